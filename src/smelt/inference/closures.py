# SPDX-License-Identifier: Apache-2.0
"""Functions that kernels define: how they are called, and what becomes of them where they are given to another function.

In the function that makes it a closure sees the variables around it as they are when it is called. Another function can't see them:
there it is a struct of what they were when it was handed over, which is the same, because nothing can assign them meanwhile. Its body
is inferred in place wherever it is called.
"""

from __future__ import annotations

from collections.abc import Callable

from smelt.caching.sources import function_source
from smelt.compiler.errors import KernelError
from smelt.inference.context import Closure, Context, Definition, Frame, FunctionValue
from smelt.inference.environment import Unusable
from smelt.inference.partials import bound_operand
from smelt.ir import untyped
from smelt.ir.builder import Operand
from smelt.types import Tuple, Type
from smelt.types.partials import Partial

Run = Callable[[Frame, untyped.Node], Operand]


def run_in_place(context: Context, run: Run, kind: Type, frame: Frame, node: untyped.Node) -> Operand:
    """What the function of `frame`, whose type is `kind`, returns. Raises `KernelError`, also if it calls itself."""
    if kind in context.in_place:
        raise recursion(context, frame.body.name, node)
    builder, caller = context.builder, context.source
    is_foreign = frame.function is not context.instance.source
    inlined, call = builder.inlined, builder.position
    context.in_place.append(kind)
    context.source = function_source(frame.function)
    builder.inlined = (frame.function, frame.body.name, call)
    try:
        return run(frame, node)
    except KernelError as error:
        if is_foreign:
            error.called_from(caller, node.position)
        raise
    finally:
        builder.inlined = inlined
        context.source = caller
        context.in_place.pop()


def handed_over(context: Context, operand: Operand, node: untyped.Node) -> Operand:
    """An operand as another function gets it: closures in it become values."""
    if isinstance(operand.type, Tuple) and operand.parts is not None:
        items = tuple(handed_over(context, part, node) for part in operand.parts)
        sequence = type(operand.type)
        return Operand(sequence(tuple(item.type for item in items)), parts=items, constant=operand.constant)
    if isinstance(operand.type, Partial) and operand.parts is not None:
        function, positional, named = operand.parts
        names = [name for name, _ in named.type.fields]  # type: ignore[attr-defined]
        given = [
            [handed_over(context, part, node) for part in context.builder.parts(each)] for each in (positional, named)
        ]
        return bound_operand(handed_over(context, function, node), given[0], dict(zip(names, given[1], strict=True)))
    if not isinstance(operand.type, Closure):
        return operand
    closure, frame = operand.type.node, operand.type.frame
    if operand.type in context.handing_over:
        # It captures itself.
        raise recursion(context, closure.body.name, node)
    context.handing_over.append(operand.type)
    captured = [(name, _captured(context, frame, name, node)) for name in closure.body.captured]
    context.handing_over.pop()
    parts = [(name, part) for name, part in captured if part is not None]
    parts += [(f"{name}=", part) for (name, _), part in zip(closure.defaults, operand.parts or (), strict=True)]
    place = closure.position
    kind = FunctionValue(
        f"function {frame.function.__qualname__}.{closure.body.name} at {place.line}:{place.column}",
        tuple((name, part.type) for name, part in parts),
        definition=Definition(closure, frame.function),
    )
    return Operand(kind, parts=tuple(part for _, part in parts))


def frame_around(context: Context, function: Operand) -> tuple[Definition, Frame, tuple[Operand, ...]]:
    """What is called with a function value, the variables around it, and the defaults of its parameters."""
    kind = function.type
    assert isinstance(kind, FunctionValue)
    assert kind.definition is not None
    parts = context.builder.parts(function)
    count = len(kind.fields) - len(kind.definition.node.defaults)
    variables = {name: part for (name, _), part in zip(kind.fields[:count], parts[:count], strict=True)}
    definition = kind.definition
    return definition, Frame(definition.function, definition.node.body, dict(variables)), parts[count:]


def recursion(context: Context, name: str, node: untyped.Node) -> KernelError:
    can = "write a function of the module, which can call itself, or " if context.infer.has_recursion else ""
    return context.error(f"{name} calls itself", node, help=f"{can}write a loop, with a thread_array for what is to do")


def _captured(context: Context, frame: Frame | None, name: str, node: untyped.Node) -> Operand | None:
    """A variable of the activations around a closure; None for what the kernel itself captured, or what has no value yet."""
    while frame is not None:
        operand = frame.variables.get(name)
        if isinstance(operand, Unusable):
            raise context.error(operand.reason, node, help="assign it on every way, with values of one type")
        if operand is not None:
            return handed_over(context, operand, node)
        frame = frame.outer
    return None
