# SPDX-License-Identifier: Apache-2.0
"""Whether two code objects of Python's do the same."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from types import CodeType

from smelt.caching.constants import constant_key

_meaning_of_code = attrgetter(
    # `co_code` is the code as it was compiled: specialisation and instrumentation (coverage, debuggers) don't show in it.
    "co_code",
    "co_exceptiontable",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
)


def is_same_code(first: CodeType, second: CodeType) -> bool:
    """Whether two code objects do the same, wherever they stand."""
    return (
        _meaning_of_code(first) == _meaning_of_code(second)
        # `types.coroutine` sets CO_ITERABLE_COROUTINE (0x100) on a finished function.
        and (first.co_flags ^ second.co_flags) in {0, 0x100}
        and _are_same_constants(first.co_consts, second.co_consts)
    )


def _are_same_constants(first: Sequence[object], second: Sequence[object]) -> bool:
    return len(first) == len(second) and all(map(_is_same_constant, first, second))


def _is_same_constant(first: object, second: object) -> bool:
    if isinstance(first, CodeType):
        return isinstance(second, CodeType) and first.co_name == second.co_name and is_same_code(first, second)
    if isinstance(first, slice) and isinstance(second, slice):  # from Python 3.14 on
        return _are_same_constants((first.start, first.stop, first.step), (second.start, second.stop, second.step))
    if first.__class__ is tuple and second.__class__ is tuple:
        return _are_same_constants(first, second)
    return constant_key(first) == constant_key(second)
