# SPDX-License-Identifier: Apache-2.0
"""What Metal hasn't: numbers of 64 bits and more with a point, atomic operations of other widths than 32 bits, much memory for a group."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from smelt.compiler.restrictions import Refusal, Restrictions
from smelt.ir.typed import Instruction, Value
from smelt.lowering.memory import element_size
from smelt.targets.metal.entry_point import arrays_in
from smelt.targets.metal.limits import MOST_BUFFERS, MOST_THREADGROUP_BYTES
from smelt.types import Array, Iteration, Range, Scalar, Struct, Tuple, Type, complex128, float64

_OTHER_BUFFERS = 2
"""Those of the row of arguments and of the kernel's state."""

_ATOMIC = ("atomic", "atomic_compare_exchange")


def _parameters(parameters: Sequence[Value]) -> Refusal | None:
    arrays = sum(len(arrays_in(parameter.type)) for parameter in parameters)
    if arrays + _OTHER_BUFFERS <= MOST_BUFFERS:
        return None
    return Refusal(
        f"the kernel takes {arrays} arrays, captured ones included; a kernel on Metal has {MOST_BUFFERS - _OTHER_BUFFERS} at most",
        "put several into one array, with one more axis or as fields of records",
    )


def _parameter(parameter: Value) -> Refusal | None:
    missing = _missing(parameter.type)
    if missing is None:
        return None
    what = f"the parameter {parameter.name} is a {parameter.type}"
    return Refusal(f"{what}, and Metal has no {missing}", _help(parameter.name, parameter.type, missing))


def _help(name: str, kind: Type, missing: Scalar) -> str:
    """What to pass in place of a value in which there is a number that Metal hasn't."""
    instead = _INSTEAD[missing]
    match kind:
        case Scalar():
            return f"pass a Python number or a {instead}"
        case Array(element=Scalar()):
            return f"pass an array of {instead}: {name}.astype(np.{instead})"
        case Struct():
            return f"declare {_fields_of(kind, missing, name)} as {instead}"
        case Array(element=Struct() as record):
            return f"pass an array of records with {instead} for {_fields_of(record, missing, f'{name}[i]')}"
        case Tuple(items=items):
            return next(
                _help(f"{name}[{index}]", item, missing)
                for index, item in enumerate(items)
                if _missing(item) == missing
            )
    return f"pass Python numbers or {instead}"


def _fields_of(record: Struct, missing: Scalar, name: str) -> str:
    """The fields of a record, and of records in it, in which there is such a number."""
    wrong = [(f"{name}.{field}", kind) for field, kind in record.fields if _missing(kind) == missing]
    return " and ".join(_fields_of(kind, missing, path) if isinstance(kind, Struct) else path for path, kind in wrong)


def _instruction(instruction: Instruction) -> Refusal | None:
    values = (*instruction.operands, *([instruction.result] if instruction.result is not None else []))
    for value in values:
        missing = _missing(value.type)
        if missing is not None:
            return Refusal(
                f"this is a {missing}, which Metal has not",
                f"compute with {_INSTEAD[missing]}: write np.{_INSTEAD[missing]}(...), or a Python number, which is as wide as what "
                "it is joined with",
            )
    operation = instruction.operation
    if operation in _ATOMIC:
        kind = instruction.operands[0].type
        assert isinstance(kind, Array)
        assert isinstance(kind.element, Scalar)
        if kind.element.bits != 32:
            return Refusal(
                f"Metal has atomic operations on numbers of 32 bits, not on a {kind}",
                "use an array of int32, uint32 or float32",
            )
    if operation == "threadgroup_array" and instruction.attributes["shape"] is not None:
        return _threadgroup_array(instruction)
    return None


def _threadgroup_array(instruction: Instruction) -> Refusal | None:
    assert instruction.result is not None
    kind = instruction.result.type
    assert isinstance(kind, Array)
    nbytes = prod(instruction.attributes["shape"]) * element_size(kind.element)
    # What several arrays take together is found out when the kernel is linked.
    if nbytes <= MOST_THREADGROUP_BYTES:
        return None
    return Refusal(
        f"a threadgroup has {MOST_THREADGROUP_BYTES} bytes on Metal, and this array {nbytes}",
        "use smaller groups, or narrower elements",
    )


_INSTEAD = {float64: "float32", complex128: "complex64"}
"""What Metal hasn't, and what it has instead."""


def _missing(kind: Type) -> Scalar | None:
    """The scalar in a type that Metal hasn't."""
    match kind:
        case Scalar():
            return kind if kind in _INSTEAD else None
        case Array(element=element) | Range(element=element):
            return _missing(element)
        case Tuple(items=items) | Iteration(items=items):
            return next(filter(None, map(_missing, items)), None)
        case Struct(fields=fields):
            return next(filter(None, (_missing(field) for _, field in fields)), None)
    return None


RESTRICTIONS = Restrictions(_parameters, _parameter, _instruction)
