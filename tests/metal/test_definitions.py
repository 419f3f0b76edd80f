# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG005 - every meaning is given the same
"""What LLVM's own functions are made of in AIR: each is run on the device in software, and compared with what it means."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt
from smelt.targets.metal.functions import with_definitions

pytestmark = pytest.mark.once


def bits_of(dtype):
    return np.iinfo(dtype).bits


def wrapped(number, dtype):
    """A whole number as one of a type: the bits that don't fit are cut off."""
    bits = bits_of(dtype)
    number &= (1 << bits) - 1
    return number - (1 << bits) if np.iinfo(dtype).min < 0 and number >> (bits - 1) else number


def unsigned(number, bits):
    return number & ((1 << bits) - 1)


def bounded(number, bits, *, signed):
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return min(max(number, least), most)


def funnel(high, low, amount, bits, *, left):
    both = unsigned(high, bits) << bits | unsigned(low, bits)
    amount = unsigned(amount, bits) % bits
    return both << amount >> bits if left else both >> amount


def reversed_bits(number, bits):
    return int(f"{unsigned(number, bits):0{bits}b}"[::-1], 2)


def reversed_bytes(number, bits):
    return int.from_bytes(unsigned(number, bits).to_bytes(bits // 8, "little"), "big")


def trailing_zeros(number, bits):
    return bits if number == 0 else (number & -number).bit_length() - 1


# LLVM's function, what it is called with besides a and b, and what it gives for two numbers of so many bits.
INTEGERS = {
    "smin": ("", lambda a, b, n: min(a, b)),
    "smax": ("", lambda a, b, n: max(a, b)),
    "umin": ("", lambda a, b, n: min(unsigned(a, n), unsigned(b, n))),
    "umax": ("", lambda a, b, n: max(unsigned(a, n), unsigned(b, n))),
    "abs": ("a, i1 false", lambda a, b, n: abs(a)),
    "ctpop": ("a", lambda a, b, n: unsigned(a, n).bit_count()),
    "ctlz": ("a, i1 false", lambda a, b, n: n - unsigned(a, n).bit_length()),
    "cttz": ("a, i1 false", lambda a, b, n: trailing_zeros(a, n)),
    "bitreverse": ("a", lambda a, b, n: reversed_bits(a, n)),
    "bswap": ("a", lambda a, b, n: reversed_bytes(a, n)),
    "fshl": ("a, b, b", lambda a, b, n: funnel(a, b, b, n, left=True)),
    "fshr": ("a, b, b", lambda a, b, n: funnel(a, b, b, n, left=False)),
    "uadd.sat": ("", lambda a, b, n: bounded(unsigned(a, n) + unsigned(b, n), n, signed=False)),
    "usub.sat": ("", lambda a, b, n: bounded(unsigned(a, n) - unsigned(b, n), n, signed=False)),
    "sadd.sat": ("", lambda a, b, n: bounded(a + b, n, signed=True)),
    "ssub.sat": ("", lambda a, b, n: bounded(a - b, n, signed=True)),
    "scmp": ("", lambda a, b, n: (a > b) - (a < b)),
    "ucmp": ("", lambda a, b, n: (unsigned(a, n) > unsigned(b, n)) - (unsigned(a, n) < unsigned(b, n))),
    "smul.with.overflow": ("", lambda a, b, n: bounded(a * b, n, signed=True) != a * b),
    "umul.with.overflow": ("", lambda a, b, n: unsigned(a, n) * unsigned(b, n) >= 1 << n),
}


def call_of(name, kind, given):
    """LLVM IR that calls a function of LLVM's on `%a` and `%b`, its declaration, and the name of the result."""
    arguments = ", ".join(part if " " in part else f"{kind} %{part}" for part in (given or "a, b").split(", "))
    kinds = ", ".join(part.split(" ")[0] for part in arguments.split(", "))
    if name.endswith("cmp"):
        full, result = f"llvm.{name}.{kind}.{kind}", kind
    else:
        full, result = f"llvm.{name}.{kind}", f"{{ {kind}, i1 }}" if "overflow" in name else kind
    place = f"%{name.replace('.', '_')}"
    lines = [f"  {place} = call {result} @{full}({arguments})"]
    if "overflow" in name:
        lines.append(f"  {place}_flag = extractvalue {result} {place}, 1")
        lines.append(f"  {place}_wide = zext i1 {place}_flag to {kind}")
        place = f"{place}_wide"
    return "\n".join(lines), f"declare {result} @{full}({kinds})", place


def ran(air, calls, kind, x, y, out):
    """Run LLVM IR for each pair of numbers; `calls` are triples as of `call_of`."""
    stores = [
        f"{text}\n  %place{number} = add i64 %i, {number * x.size}\n"
        f"  %to{number} = getelementptr {kind}, ptr addrspace(1) %out, i64 %place{number}\n"
        f"  store {kind} {place}, ptr addrspace(1) %to{number}"
        for number, (text, _, place) in enumerate(calls)
    ]
    body = "\n".join(stores)
    text = f"""
define void @each(ptr addrspace(1) %out, ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %thread) {{
  %i = zext i32 %thread to i64
  %ap = getelementptr {kind}, ptr addrspace(1) %x, i64 %i
  %bp = getelementptr {kind}, ptr addrspace(1) %y, i64 %i
  %a = load {kind}, ptr addrspace(1) %ap
  %b = load {kind}, ptr addrspace(1) %bp
{body}
  ret void
}}
"""
    declared = "\n".join(dict.fromkeys(line for _, line, _ in calls))
    arguments = [
        *(air.buffer(number, number, name, size=x.itemsize) for number, name in enumerate(("out", "x", "y"))),
        air.quantity(3, "thread_position_in_grid"),
    ]
    finished = with_definitions(f"{declared}\n{text}", is_finished=True)
    assert "@llvm." not in finished
    library = smelt.metal.library(air.metallib((air.with_kernel(finished, "each", arguments), "each")))
    library.function("each")({0: out, 1: x, 2: y}, threads=x.size)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_functions_of_integers_are_those_of_llvm(air, dtype):
    generator = np.random.default_rng(7)
    information = np.iinfo(dtype)
    x, y = (generator.integers(information.min, information.max, 64, dtype) for _ in range(2))
    x[:6] = (0, -1, information.min, information.max, 5, information.min)
    y[:6] = (0, 1, -1, 1, 5, information.min)
    x[10:30] >>= bits_of(dtype) // 2
    y[20:40] >>= bits_of(dtype) - 5
    out = np.zeros((len(INTEGERS), 64), dtype)
    kind = f"i{bits_of(dtype)}"
    ran(air, [call_of(name, kind, given) for name, (given, _) in INTEGERS.items()], kind, x, y, out)
    for row, (name, (_, meaning)) in zip(out, INTEGERS.items(), strict=True):
        pairs = zip(x.tolist(), y.tolist(), strict=True)
        assert row.tolist() == [wrapped(int(meaning(a, b, bits_of(dtype))), dtype) for a, b in pairs], name


FLOATS = {
    "floor": ("a", np.floor),
    "ceil": ("a", np.ceil),
    "trunc": ("a", np.trunc),
    "rint": ("a", np.rint),
    "nearbyint": ("a", np.rint),
    "roundeven": ("a", np.rint),
    "sqrt": ("a", np.sqrt),
    "fabs": ("a", np.abs),
    "copysign": ("", np.copysign),
    "minnum": ("", np.fmin),
    "maxnum": ("", np.fmax),
}


def numbers():
    x = np.random.default_rng(2).uniform(-9, 9, 64).astype(np.float32)
    x[:9] = (0.5, 1.5, -2.5, math.nan, math.inf, -math.inf, -0.0, 1e-40, 0.0)
    return x


def test_functions_of_floats_are_those_of_llvm(air):
    x, y = numbers(), np.roll(numbers(), 1)
    calls = []
    for name, (given, _) in FLOATS.items():
        text, declared, place = call_of(name, "float", given)
        calls.append(
            (text.replace(f"{name}.float", f"{name}.f32"), declared.replace(f"{name}.float", f"{name}.f32"), place)
        )
    out = np.zeros((len(FLOATS), 64), np.float32)
    ran(air, calls, "float", x, y, out)
    with np.errstate(all="ignore"):
        for row, (name, (given, meaning)) in zip(out, FLOATS.items(), strict=True):
            wanted = meaning(x) if given else meaning(x, y)
            assert np.array_equal(row, wanted, equal_nan=True), name
            assert name in ("minnum", "maxnum", "sqrt") or np.array_equal(np.signbit(row), np.signbit(wanted)), name


# The classes of llvm.is.fpclass, by their bits: what a number has to be.
CLASSES = {
    0x003: np.isnan,
    0x004: np.isneginf,
    0x200: np.isposinf,
    0x1F8: np.isfinite,
    0x060: lambda x: x == 0,
    0x020: lambda x: (x == 0) & np.signbit(x),
    0x080: lambda x: (x > 0) & (x < 2.0**-126),
    0x108: lambda x: np.isfinite(x) & (np.abs(x) >= 2.0**-126),
}


def test_classes_of_floats_are_those_of_llvm(air):
    x = numbers()
    calls = [
        (
            f"  %is{mask} = call i1 @llvm.is.fpclass.f32(float %a, i32 {mask})\n  %as{mask} = uitofp i1 %is{mask} to float",
            "declare i1 @llvm.is.fpclass.f32(float, i32)",
            f"%as{mask}",
        )
        for mask in CLASSES
    ]
    out = np.zeros((len(CLASSES), 64), np.float32)
    ran(air, calls, "float", x, x, out)
    for row, (mask, meaning) in zip(out, CLASSES.items(), strict=True):
        assert row.astype(bool).tolist() == meaning(x).tolist(), hex(mask)
