# SPDX-License-Identifier: Apache-2.0
"""What a launch is given: checked, bound to the kernel's parameters, and typed."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Any

from smelt.launch.errors import LaunchError
from smelt.launch.foreign import as_array
from smelt.types import Type, typeof

_NOTHING: Mapping[str, Any] = {}


def parameter_names(kernel: str, function: types.FunctionType) -> tuple[str, ...]:
    """The parameters of a kernel. Raises `LaunchError` if it has some that a launch can't give."""
    code = function.__code__
    others = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if others or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        raise LaunchError(
            f"{kernel} has keyword-only parameters, *args or **kwargs, which a launch doesn't give; name the parameters one by "
            "one, or pass a tuple"
        )
    return code.co_varnames[: code.co_argcount]


def check_count(kernel: str, function: types.FunctionType, count: int) -> None:
    """Raise `LaunchError` unless the kernel takes `count` arguments."""
    names = parameter_names(kernel, function)
    if count != len(names):
        takes = f"{len(names)} argument{'' if len(names) == 1 else 's'}"
        raise LaunchError(f"{kernel} takes {takes} ({', '.join(names)}), not {count}")


def bind(
    kernel: str, function: types.FunctionType, given: Sequence[Any], keywords: Mapping[str, Any] = _NOTHING
) -> tuple[tuple[Any, ...], tuple[Type, ...]]:
    """The arguments of a launch in the order of the parameters, with the defaults of those that were left out, and their types.

    Raises `LaunchError` if their number is wrong, if one has a name that the kernel doesn't know or comes twice, or if one is of a type
    that kernels don't have.
    """
    names = parameter_names(kernel, function)
    if keywords:
        arguments = _in_order(kernel, function, names, given, keywords)
    else:
        defaults = function.__defaults__ or ()
        missing = len(names) - len(given)
        arguments = (*given, *defaults[len(defaults) - missing :]) if 0 < missing <= len(defaults) else tuple(given)
        check_count(kernel, function, len(arguments))
    values, kinds = [], []
    for name, argument in zip(names, arguments, strict=True):
        try:
            value = as_array(argument)
            kinds.append(typeof(value))
        except TypeError as error:
            raise LaunchError(f"{kernel}, argument {name}: {error}") from None
        values.append(value)
    return tuple(values), tuple(kinds)


def _in_order(
    kernel: str, function: types.FunctionType, names: tuple[str, ...], given: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Any, ...]:
    """The arguments of a launch of which some are given by name."""
    defaults = function.__defaults__ or ()
    first = names[: len(given)]
    if len(given) > len(names):
        check_count(kernel, function, len(given) + len(keywords))
    for name in keywords:
        if name not in names:
            raise LaunchError(f"{kernel} has no parameter {name}; it takes {', '.join(names)}")
        if name in names[: function.__code__.co_posonlyargcount]:
            raise LaunchError(f"{kernel} takes {name} by its position, not by its name")
        if name in first:
            raise LaunchError(f"{kernel} gets {name} twice: by its position and by its name")
    known = {**dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)), **keywords}
    known.update(zip(first, given, strict=True))
    missing = [name for name in names if name not in known]
    if missing:
        raise LaunchError(f"{kernel} needs {', '.join(missing)}, too; it takes {', '.join(names)}")
    return tuple(known[name] for name in names)
