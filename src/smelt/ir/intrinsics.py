# SPDX-License-Identifier: Apache-2.0
"""The operations of typed programs: one row each, with its operands, its result and its effects.

`view` is a part of an array: `axes` has a word for each of its axes in turn, and some of the words take operands. `index` takes the
position, counted from the start, on an axis that the part doesn't have; `slice` where it begins, how many there are and the step
between them; `whole` takes nothing, and neither does `new`, an axis of one that only the part has. `permute` reorders the axes,
`field` is the array of one field of an array of records. `stride` counts bytes, and so does `distance`, from the first element of one
array to that of the other.

Operands are typed alike unless a row says otherwise: inference converts before it operates. Weak numbers are computed with like the
strong type that stands for them on the target. Arithmetic is Python's: `//` and `%` floor, integers wrap around as NumPy's do.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Effect(enum.Enum):
    """What an operation does beyond computing its result."""

    NONE = "none"
    READS = "reads memory"
    WRITES = "writes memory"
    MAY_FAIL = "may end the thread with an error"
    WAITS = "waits for other threads of the group"
    CALLS = "what the called function does"
    PRINTS = "shows a text to the user"


@dataclass(frozen=True)
class Intrinsic:
    """One row of the table.

    Attributes
    ----------
    name
        How it is written.
    operands
        A word for each operand: what `verifier` checks its type against. A last word `...` allows any number more of the one before.
    result
        `same` as the first operand, a name of a type, `declared` (the instruction says it), `none`, or `declared or none`.
    effect
        What it does besides.
    attributes
        The names of its attributes.
    """

    name: str
    operands: tuple[str, ...]
    result: str
    effect: Effect = Effect.NONE
    attributes: tuple[str, ...] = ()


def _rows() -> dict[str, Intrinsic]:
    rows = [
        Intrinsic("constant", (), "declared", attributes=("value",)),
        Intrinsic("convert", ("number",), "declared"),
        Intrinsic("reinterpret", ("real",), "declared"),
        Intrinsic("select", ("bool", "any", "same"), "declared"),
        Intrinsic("not", ("bool",), "bool"),
        # What stands at a place, counted from 0, among numbers that are known.
        Intrinsic("table", ("integer",), "declared", attributes=("items",)),
        Intrinsic("make", ("any", "..."), "declared"),
        Intrinsic("item", ("aggregate",), "declared", attributes=("index",)),
        Intrinsic("extent", ("array",), "weak int", attributes=("dimension",)),
        Intrinsic("index", ("array", "integer"), "weak int", Effect.MAY_FAIL, ("dimension", "checked")),
        Intrinsic("load", ("array", "integer", "..."), "declared", Effect.READS),
        Intrinsic("store", ("array", "any", "integer", "..."), "none", Effect.WRITES),
        Intrinsic("view", ("array", "integer", "..."), "declared", attributes=("axes",)),
        Intrinsic("permute", ("array",), "declared", attributes=("order",)),
        Intrinsic("stride", ("array",), "weak int", attributes=("dimension",)),
        Intrinsic("distance", ("array", "array"), "weak int"),
        Intrinsic("field", ("array",), "declared", attributes=("index",)),
        Intrinsic("check", ("bool",), "none", Effect.MAY_FAIL, ("error", "message")),
        # Before a recursive call: there is room for it on the stack.
        Intrinsic("recur", (), "none", Effect.MAY_FAIL),
        Intrinsic("call", ("any", "..."), "declared or none", Effect.CALLS, ("callee",)),
        # A template of `compiler.texts`, whose values are the operands.
        Intrinsic("print", ("any", "..."), "none", Effect.PRINTS, ("template",)),
        Intrinsic("thread", (), "weak int", attributes=("quantity", "axis")),
        # A scope is `threadgroup` or `simdgroup`. A shape of None is given at launch.
        Intrinsic("barrier", (), "none", Effect.WAITS, ("scope",)),
        # Whether it is true for any of the threads that go through a loop together.
        Intrinsic("any_thread", ("bool",), "bool", Effect.WAITS),
        Intrinsic("simd_shuffle", ("number", "integer"), "same", Effect.WAITS),
        Intrinsic("simd_reduce", ("real",), "same", Effect.WAITS, ("function",)),
        Intrinsic("threadgroup_array", (), "declared", attributes=("shape",)),
        Intrinsic("thread_array", (), "declared", attributes=("shape",)),
        Intrinsic("atomic", ("array", "real", "integer", "..."), "declared", Effect.WRITES, ("function",)),
        Intrinsic("atomic_compare_exchange", ("array", "real", "same", "integer", "..."), "declared", Effect.WRITES),
    ]
    rows += [Intrinsic(name, ("number", "same"), "same") for name in ("add", "sub", "mul")]
    rows += [Intrinsic("div", ("floating", "same"), "same")]
    rows += [Intrinsic(name, ("real", "same"), "same") for name in ("floordiv", "mod", "min", "max")]
    rows += [Intrinsic(name, ("integer or bool", "same"), "same") for name in ("and", "or", "xor")]
    rows += [Intrinsic(name, ("integer", "same"), "same") for name in ("shl", "shr")]
    rows += [Intrinsic("invert", ("integer or bool",), "same"), Intrinsic("neg", ("number",), "same")]
    rows += [Intrinsic("abs", ("real",), "same")]
    rows += [Intrinsic(name, ("number", "same"), "bool") for name in ("eq", "ne")]
    rows += [Intrinsic(name, ("real", "same"), "bool") for name in ("lt", "le", "gt", "ge")]
    rows += [Intrinsic(name, ("floating",), "same") for name in FLOATING_FUNCTIONS]
    rows += [Intrinsic(name, ("floating", "same"), "same") for name in FLOATING_FUNCTIONS_OF_TWO]
    rows += [Intrinsic("fma", ("floating", "same", "same"), "same")]
    return {row.name: row for row in rows}


FLOATING_FUNCTIONS = (
    "sqrt",
    "exp",
    "exp2",
    "log",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "expm1",
    "log1p",
    "cbrt",
    "erf",
    "erfc",
    "tgamma",
    "lgamma",
    "floor",
    "ceil",
    "trunc",
    "rint",
)
FLOATING_FUNCTIONS_OF_TWO = ("pow", "atan2", "hypot", "fmod", "copysign")

INTRINSICS = _rows()
