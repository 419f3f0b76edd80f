# SPDX-License-Identifier: Apache-2.0
"""`functools.partial` objects: what they hold, and what it is to call one."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smelt.caching import MISSING, read_keyword
from smelt.ir import untyped
from smelt.ir.builder import Operand
from smelt.types.partials import partial_type

if TYPE_CHECKING:
    from smelt.inference.context import Context


def captured_partial(context: Context, value: functools.partial[Any], node: untyped.Node) -> Operand:
    """A captured partial object as an operand. Its function and arguments stand for good, its dict of keywords can be changed."""
    names = dict.fromkeys((*value.keywords, *_parameter_names(value.func)))
    keywords = {name: context.read(read_keyword, value, name, node) for name in names}
    return bound_operand(
        context.constant(value.func, node),
        [context.constant(argument, node) for argument in value.args],
        {name: context.constant(argument, node) for name, argument in keywords.items() if argument is not MISSING},
    )


def bound_operand(function: Operand, arguments: Sequence[Operand], keywords: Mapping[str, Operand]) -> Operand:
    """The partial object of these."""
    kinds = {name: operand.type for name, operand in keywords.items()}
    kind = partial_type(function.type, [argument.type for argument in arguments], kinds)
    parts = (function, tuple(arguments), tuple(keywords[name] for name in sorted(keywords)))
    positional, named = (
        Operand(field, parts=items) for (_, field), items in zip(kind.fields[1:], parts[1:], strict=True)
    )
    return Operand(kind, parts=(function, positional, named))


def call_partial(
    context: Context,
    bound: Operand,
    arguments: tuple[Operand, ...],
    keywords: dict[str, Operand],
    node: untyped.Node,
) -> Operand:
    """What calling a partial object evaluates to. A keyword of the call takes the place of a bound one."""
    builder = context.builder
    function, positional, named = builder.parts(bound)
    names = [name for name, _ in named.type.fields]  # type: ignore[attr-defined]
    given = {**dict(zip(names, builder.parts(named), strict=True)), **keywords}
    return context.call_operand(function, (*builder.parts(positional), *arguments), given, node)


def _parameter_names(function: object) -> tuple[str, ...]:
    """The parameters of a Python function: what isn't bound may be later."""
    if not isinstance(function, types.FunctionType):
        return ()
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
