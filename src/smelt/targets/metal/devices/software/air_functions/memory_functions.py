# SPDX-License-Identifier: Apache-2.0
"""Functions of AIR on memory: atomic operations, and the few that ask for nothing but what is always so."""

from __future__ import annotations

import re

from smelt.targets.metal.devices.software.air_functions.function_bodies import Body, Families, constant
from smelt.targets.metal.devices.software.checking.accesses import size_of

_OPERATIONS = {
    "xchg": "xchg",
    "add": "add",
    "sub": "sub",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "min.s": "min",
    "max.s": "max",
    "min.u": "umin",
    "max.u": "umax",
    "add.s": "add",
    "add.u": "add",
    "sub.s": "sub",
    "sub.u": "sub",
    "and.s": "and",
    "and.u": "and",
    "or.s": "or",
    "or.u": "or",
    "xor.s": "xor",
    "xor.u": "xor",
}


def _atomic(body: Body, family: str) -> str:
    """`atomic.<global or local>.<operation>[.<sign>].<type>`."""
    _, _, *words, _ = family.split(".")
    operation = ".".join(words)
    pointer = f"{body.declared.parameters[0]} %p0"
    if operation == "load":
        return body.do(f"load atomic {body.kind}, {pointer} monotonic, align {size_of(body.kind)}")
    kind = body.declared.parameters[1]
    if operation == "store":
        body.lines.append(f"store atomic {kind} %p1, {pointer} monotonic, align {size_of(kind)}")
        return ""
    if operation == "cmpxchg.weak":
        return _compare_exchange(body, pointer)
    name = _OPERATIONS[operation]
    is_float = kind in ("float", "half") and name != "xchg"
    return body.do(f"atomicrmw {'f' if is_float else ''}{name} {pointer}, {kind} %p1 monotonic")


def _compare_exchange(body: Body, pointer: str) -> str:
    """The expected value lies in memory, which gets the one that was there."""
    kind, expected = body.kind, f"{body.declared.parameters[1]} %p1"
    wanted = body.do(f"load {kind}, {expected}")
    pair = body.do(f"cmpxchg {pointer}, {kind} {wanted}, {kind} %p2 monotonic monotonic")
    old = body.do(f"extractvalue {{ {kind}, i1 }} {pair}, 0")
    body.lines.append(f"store {kind} {old}, {expected}")
    return old


def _fence(body: Body, _: str) -> str:
    body.lines.append("fence seq_cst")
    return ""


def _predicate(body: Body, _: str) -> str:
    return body.do(f"zext i1 {body.do(f'icmp ne {body.kind} %p0, 0')} to {body.kind}")


MEMORY_FAMILIES: Families = (
    (
        rf"atomic\.(?:global|local)\.(?:load|store|cmpxchg\.weak|{'|'.join(map(re.escape, _OPERATIONS))})\.\w+",
        _atomic,
    ),
    (r"atomic\.fence", _fence),
    (r"is_uniform\.i\d+", constant("true")),
    (r"(?:get_simdgroup_size|get_threads_per_simdgroup)\.i\d+", constant("32")),
    (r"normalize_function_constant_predicate\.i8", _predicate),
)
