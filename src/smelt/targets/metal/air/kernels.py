# SPDX-License-Identifier: Apache-2.0
"""What a module of AIR says of its kernels: their arguments, one by one, and the constants that they are made with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from smelt.targets.metal.air.codes import ConstantCode
from smelt.targets.metal.air.program import (
    Constant,
    DowngradeError,
    Function,
    Metadata,
    Module,
    Node,
    Text,
    ValueNode,
    refusing_damage,
)
from smelt.targets.metal.limits import MOST_BUFFERS

THREADGROUP_SPACE = 3
"""The address space of what the threads of a group share."""


@dataclass(frozen=True)
class Buffer:
    """An argument that points to memory.

    Attributes
    ----------
    parameter
        Its place among the parameters of the function.
    index
        What the host binds it to; those in threadgroup memory count for themselves.
    space
        1 for device memory, 2 for constants, 3 for memory of a threadgroup.
    is_written
        Whether the kernel may write to it.
    type_name, name
        What it points to, and what it is called, in the source.
    size_bytes, align_bytes
        The size and the alignment of what it points to.
    condition
        The function constant that it is there with; None if it is always there.
    """

    parameter: int
    index: int
    space: int
    is_written: bool
    type_name: str
    name: str
    size_bytes: int
    align_bytes: int
    condition: str | None = None


@dataclass(frozen=True)
class Input:
    """An argument that the device computes: a position, or a size.

    Attributes
    ----------
    parameter
        Its place among the parameters of the function.
    quantity
        What: `thread_position_in_grid`, say.
    type_name, name
        Its type, and what it is called, in the source.
    """

    parameter: int
    quantity: str
    type_name: str
    name: str


@dataclass(frozen=True)
class Kernel:
    """A kernel of a module.

    Attributes
    ----------
    name
        Its name.
    buffers, inputs
        Its arguments.
    most_threads
        The most threads that a threadgroup may have; None if that is the device's affair.
    """

    name: str
    buffers: tuple[Buffer, ...]
    inputs: tuple[Input, ...]
    most_threads: int | None


@dataclass(frozen=True)
class ConstantOfFunction:
    """A constant that gets its value when a pipeline is made: the global variable that holds it, its type, name and index."""

    variable: str
    type_name: str
    name: str
    index: int


def kernels_of(module: Module) -> tuple[Kernel, ...]:
    """The kernels of a module.

    Raises `DowngradeError` for descriptions of arguments that are not known or can't be, `BitstreamError` for damaged ones.
    """
    with refusing_damage():
        return tuple(_kernel(node) for node in _named(module, b"air.kernel"))


def constants_of(module: Module) -> tuple[ConstantOfFunction, ...]:
    """The function constants of a module. Raises as `kernels_of`."""
    with refusing_damage():
        return tuple(_constant(node) for node in _named(module, b"air.function_constants"))


def _constant(node: Node) -> ConstantOfFunction:
    variable, type_name, name, index, *_ = node.operands
    assert isinstance(variable, ValueNode)
    return ConstantOfFunction(variable.value.name or "", _text(type_name), _text(name), _number(index))


def _named(module: Module, name: bytes) -> list[Node]:
    return [node for found, nodes in module.named if found == name for node in nodes]


def _text(node: Metadata | None) -> str:
    if not isinstance(node, Text):
        raise DowngradeError("the description of a kernel has something else where a text should be")
    return node.text.decode(errors="replace")


def _number(node: Metadata | None) -> int:
    if not isinstance(node, ValueNode) or not isinstance(node.value, Constant):
        raise DowngradeError("the description of a kernel has something else where a number should be")
    constant = node.value
    if constant.code == ConstantCode.NULL:
        return 0
    if constant.code != ConstantCode.INTEGER:
        raise DowngradeError("the description of a kernel has something else where a number should be")
    value = constant.numbers[0]
    return -(value >> 1) if value & 1 else value >> 1


def _kernel(node: Node) -> Kernel:
    function, _, arguments, *attributes = node.operands
    assert isinstance(function, ValueNode)
    assert isinstance(function.value, Function)
    assert isinstance(arguments, Node)
    name, taken = function.value.name or "", len(function.value.signature.parameters)
    if len(arguments.operands) != taken:
        raise DowngradeError(f"{name} has {taken} parameters, and {len(arguments.operands)} are described")
    buffers: list[Buffer] = []
    inputs: list[Input] = []
    for place, argument in enumerate(arguments.operands):
        assert isinstance(argument, Node)
        described = _argument(argument)
        if described.parameter != place:
            raise DowngradeError(f"parameter {place} of {name} is described as number {described.parameter}")
        if isinstance(described, Buffer):
            buffers.append(_checked(described))
        else:
            inputs.append(described)
    most_threads = None
    for attribute in attributes:
        if isinstance(attribute, Node) and _text(attribute.operands[0]) == "air.max_work_group_size":
            most_threads = _number(attribute.operands[1])
            if most_threads < 1:
                raise DowngradeError(f"{name} has at most {most_threads} threads in a threadgroup")
    return Kernel(name, tuple(buffers), tuple(inputs), most_threads)


def _checked(buffer: Buffer) -> Buffer:
    if not 0 <= buffer.index < MOST_BUFFERS:
        raise DowngradeError(f"the argument {buffer.name} is buffer {buffer.index}; there are {MOST_BUFFERS}")
    if buffer.size_bytes < 0 or buffer.align_bytes < 1 or buffer.align_bytes & buffer.align_bytes - 1:
        raise DowngradeError(
            f"the argument {buffer.name} points to {buffer.size_bytes} bytes, aligned to {buffer.align_bytes}"
        )
    return buffer


def _argument(node: Node) -> Buffer | Input:
    parameter = _number(node.operands[0])
    parts = iter(node.operands[1:])
    said = dict(_said(parts))
    name, type_name = _first_text(said, "air.arg_name"), _first_text(said, "air.arg_type_name")
    if "air.buffer" not in said and "air.indirect_buffer" not in said:
        quantity = next((key for key in said if key not in _DETAILS), None)
        if quantity is None:
            raise DowngradeError(f"the argument {name} is of a sort that is not known")
        return Input(parameter, quantity.removeprefix("air."), type_name, name)
    condition = said.get("air.function_constant", (None,))[0]
    return Buffer(
        parameter,
        _number(said["air.location_index"][0]),
        _number(said["air.address_space"][0]) if "air.address_space" in said else 1,
        "air.read_write" in said or "air.write" in said,
        type_name,
        name,
        _number(said["air.arg_type_size"][0]),
        _number(said["air.arg_type_align_size"][0]),
        _condition_name(condition),
    )


_DETAILS = {
    "air.arg_name": 1,
    "air.arg_type_name": 1,
    "air.arg_unused": 0,
    "air.location_index": 2,
    "air.address_space": 1,
    "air.buffer_size": 1,
    "air.struct_type_info": 1,
    "air.arg_type_size": 1,
    "air.arg_type_align_size": 1,
    "air.function_constant": 1,
    "air.raster_order_group": 1,
}
"""What is said of an argument, and how many things follow each; nothing follows what it is."""


def _said(parts: Iterator[Metadata | None]) -> Iterator[tuple[str, tuple[Metadata | None, ...]]]:
    for part in parts:
        key = _text(part)
        yield key, tuple(itertools.islice(parts, _DETAILS.get(key, 0)))


def _first_text(said: dict[str, tuple[Metadata | None, ...]], key: str) -> str:
    return _text(said[key][0]) if key in said else ""


def _condition_name(node: Metadata | None) -> str | None:
    if not isinstance(node, Node):
        return None
    names = [_text(operand) for operand in node.operands if isinstance(operand, Text)]
    return names[-1] if names else None
