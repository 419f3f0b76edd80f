# SPDX-License-Identifier: Apache-2.0
"""Digests of code objects: what the fingerprint of a function is remembered under, so that its source isn't read.

Equal digests mean that the code does the same, by whatever file and line it was compiled. They differ between versions of Python; the
fingerprint is made from the source and does not.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any

from smelt.caching.digests import digest
from smelt.caching.encoding import encode, encode_int, encode_str, frame, sequence

_VERSION = sys.implementation.cache_tag or sys.version

_CO_METHOD = 0x8000000
"""From Python 3.14 on: that it was defined in the body of a class, which is no part of what it does."""


def code_digest(code: CodeType) -> bytes:
    """The digest of a code object: 32 bytes."""
    return digest(encode_str(_VERSION) + _encode_code(code))


def _encode_code(code: CodeType) -> bytes:
    numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_CO_METHOD)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return sequence(
        [
            # Not `co_qualname`: a copy in another class or function is the same code.
            encode_str(code.co_name),
            # As it was compiled: neither specialisation nor instrumentation shows in it.
            frame("code", code.co_code),
            frame("exceptions", code.co_exceptiontable),
            *map(encode_int, numbers),
            *(sequence(map(encode_str, part)) for part in names),
            *map(_encode_constant, code.co_consts),
        ],
        "code",
    )


def _encode_constant(value: Any) -> bytes:
    if isinstance(value, CodeType):
        return _encode_code(value)
    if type(value) is tuple:
        return sequence(map(_encode_constant, value))
    if isinstance(value, slice):  # from Python 3.14 on
        return sequence(map(_encode_constant, (value.start, value.stop, value.step)), "slice")
    return encode(value, "a constant")
