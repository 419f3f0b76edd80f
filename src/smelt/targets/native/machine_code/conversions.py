# SPDX-License-Identifier: Apache-2.0
"""Conversions to half precision and bfloat16 and back, for processors that have no instruction for them.

LLVM calls a function of the compiler's runtime library then, which not every process has. So a kernel brings its own, under the names
that LLVM calls; they are hidden, so that none is exported. Rounding is to the nearest, halves to even; of a NaN the upper bits stay,
and it is quiet, as the instructions of x86-64 have it.
"""

from __future__ import annotations

import re


def conversions(text: str) -> str:
    """The LLVM IR of the conversions that a module with this text may need on x86-64. AArch64 has instructions for all of them."""
    found = [conversion for kind, conversion in _CONVERSIONS.items() if _has(text, kind)]
    return "".join((_ODD, *found)) if found else ""


def _has(text: str, kind: str) -> bool:
    """Whether a type occurs in LLVM IR, elsewhere than in a comment or a name."""
    return kind in text and re.search(rf"^[^;\n]*(?<![%@.\w]){kind}(?=[ ,)>\]}}])", text, re.MULTILINE) is not None


# A double as a float whose last bit says whether anything was rounded away, so that it can be rounded again.
# Source: Boldo and Melquiond, "When double rounding is odd" (2005).
_ODD = """
define internal float @rounded_to_odd(double %wide) {
  %narrow = fptrunc double %wide to float
  %back = fpext float %narrow to double
  %is_inexact = fcmp one double %back, %wide
  %back_bits = bitcast double %back to i64
  %wide_bits = bitcast double %wide to i64
  %back_size = and i64 %back_bits, 9223372036854775807
  %wide_size = and i64 %wide_bits, 9223372036854775807
  %is_larger = icmp ugt i64 %back_size, %wide_size
  %bits = bitcast float %narrow to i32
  %smaller = sub i32 %bits, 1
  %towards_zero = select i1 %is_larger, i32 %smaller, i32 %bits
  %odd = or i32 %towards_zero, 1
  %chosen = select i1 %is_inexact, i32 %odd, i32 %bits
  %result = bitcast i32 %chosen to float
  ret float %result
}
"""

# Of the 23 bits of a float's fraction half precision has 10, and its exponent is biased by 15 in place of 127.
_HALF = """
define hidden half @__truncsfhf2(float %wide) {
  %bits = bitcast float %wide to i32
  %size = and i32 %bits, 2147483647
  ; Normal numbers: the exponent is biased anew, and a carry of the fraction's rounding goes on into it, to infinity at the end.
  %cut = lshr i32 %size, 13
  %parity = and i32 %cut, 1
  %rebiased = sub i32 %size, 939520001 ; (127 - 15 << 23) - 0xfff
  %rounded = add i32 %rebiased, %parity
  %normal = lshr i32 %rounded, 13
  ; Less than 2**-14: added to 0.5, the units of its last place are those of subnormal halves.
  %positive = bitcast i32 %size to float
  %moved = fadd float %positive, 5.0e-1
  %moved_bits = bitcast float %moved to i32
  %subnormal = sub i32 %moved_bits, 1056964608 ; 0.5
  %is_small = icmp ult i32 %size, 947912704 ; 2**-14
  %finite = select i1 %is_small, i32 %subnormal, i32 %normal
  %is_large = icmp uge i32 %size, 1199570944 ; 2**16
  %small_or_infinite = select i1 %is_large, i32 31744, i32 %finite
  %is_nan = icmp ugt i32 %size, 2139095040
  %payload = and i32 %cut, 1023
  %quiet = or i32 %payload, 32256
  %unsigned = select i1 %is_nan, i32 %quiet, i32 %small_or_infinite
  %shifted = lshr i32 %bits, 16
  %sign = and i32 %shifted, 32768
  %signed = or i32 %unsigned, %sign
  %narrow = trunc i32 %signed to i16
  %result = bitcast i16 %narrow to half
  ret half %result
}

define hidden half @__truncdfhf2(double %wide) {
  %odd = call float @rounded_to_odd(double %wide)
  %result = call half @__truncsfhf2(float %odd)
  ret half %result
}

define hidden float @__extendhfsf2(half %narrow) {
  %half = bitcast half %narrow to i16
  %bits = zext i16 %half to i32
  %size = and i32 %bits, 32767
  %shifted = shl i32 %size, 13
  %exponent = and i32 %size, 31744
  %rebiased = add i32 %shifted, 939524096 ; 127 - 15 << 23
  ; Infinity and NaN have the largest exponent here too.
  %largest = or i32 %shifted, 2139095040
  %is_nan = icmp ugt i32 %size, 31744
  %quiet = select i1 %is_nan, i32 4194304, i32 0
  %special = or i32 %largest, %quiet
  ; Subnormal halves are so many units of 2**-24.
  %units = uitofp i32 %size to float
  %subnormal = fmul float %units, 0x3E70000000000000
  %subnormal_bits = bitcast float %subnormal to i32
  %is_special = icmp eq i32 %exponent, 31744
  %is_subnormal = icmp eq i32 %exponent, 0
  %finite = select i1 %is_subnormal, i32 %subnormal_bits, i32 %rebiased
  %unsigned = select i1 %is_special, i32 %special, i32 %finite
  %sign = and i32 %bits, 32768
  %moved_sign = shl i32 %sign, 16
  %signed = or i32 %unsigned, %moved_sign
  %result = bitcast i32 %signed to float
  ret float %result
}
"""

# The upper half of a float's bits.
_BFLOAT = """
define hidden bfloat @__truncsfbf2(float %wide) {
  %bits = bitcast float %wide to i32
  %cut = lshr i32 %bits, 16
  %parity = and i32 %cut, 1
  %half = add i32 %parity, 32767
  %carried = add i32 %bits, %half
  %rounded = lshr i32 %carried, 16
  %is_nan = fcmp uno float %wide, 0.0
  %quiet = or i32 %cut, 64
  %chosen = select i1 %is_nan, i32 %quiet, i32 %rounded
  %narrow = trunc i32 %chosen to i16
  %result = bitcast i16 %narrow to bfloat
  ret bfloat %result
}

define hidden bfloat @__truncdfbf2(double %wide) {
  %odd = call float @rounded_to_odd(double %wide)
  %result = call bfloat @__truncsfbf2(float %odd)
  ret bfloat %result
}
"""

_CONVERSIONS = {"half": _HALF, "bfloat": _BFLOAT}
