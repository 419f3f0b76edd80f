# SPDX-License-Identifier: Apache-2.0
"""What functions of LLVM's, of the C library and of smelt's own are in AIR: functions of AIR's, or definitions that are made of those.

What each function of AIR's does is described in the Metal Shading Language Specification, chapters 6 and 8, and their names are those
that Apple's compiler, GPUCompiler.jl and Metal.jl write. AIR has two of many functions on float32: the precise one, and a fast one that
promises fewer digits and nothing of infinities and NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from smelt.compiler.errors import ArtifactError
from smelt.lowering.arithmetic import constant
from smelt.targets.metal.atomics import ATOMICS
from smelt.types import float32

_FAST_AND_PRECISE = frozenset(
    (
        *("exp", "exp2", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan"),
        *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "pow", "atan2"),
    )
)
_LLVM_OR_LIBRARY = re.compile(r"llvm\.(\w+)\.f32|(\w+)f")


def air_name(name: str, *, is_fast: bool) -> str:
    """The name in AIR of a function of float32 that LLVM or the C library has; the same name for one that is kept for now.

    What has one exact result LLVM may compute where the numbers are known; it is defined once everything is optimised.
    """
    found = _LLVM_OR_LIBRARY.fullmatch(name)
    word = found and (found[1] or found[2])
    if word in _FAST_AND_PRECISE or (word == "sqrt" and is_fast):
        return f"air.{'fast_' if is_fast else ''}{word}.f32"
    return "air.fmod.f32" if name == "fmodf" else name


_DECLARATION = re.compile(r'^declare [^@\n]*@"?(?P<name>[\w.]+)"?\((?P<parameters>[^\n]*?)\)[^()\n]*$', re.MULTILINE)
_UNIMPORTANT = re.compile(
    r"^ *(?:tail )?call void @llvm\.(?:assume|lifetime\.(?:start|end)(?:\.p0)?|donothing)\([^\n]*\n", re.MULTILINE
)

_KEPT = re.compile(r"llvm\.(?:memcpy|memmove|memset|fmuladd)\..*|air\..*")
"""What Apple's own modules have. LLVM's moves and fills of memory are what its loader knows them by."""


def with_definitions(text: str, *, is_finished: bool) -> str:
    """A module with definitions of what it declares and AIR hasn't. What LLVM computes with is defined only once that is finished.

    Raises `ArtifactError` for a function that is not known.
    """
    if is_finished:
        text = _UNIMPORTANT.sub("", text)
    defined: dict[str, None] = {}

    def replaced(found: re.Match[str]) -> str:
        name = found["name"]
        is_llvm = name.startswith("llvm.")
        if _KEPT.fullmatch(name) or (is_llvm and not is_finished) or '@"' in found[0]:
            return found[0]
        if re.fullmatch(r"llvm\.(?:assume|lifetime.*|donothing)", name):
            return ""
        for pattern, define in _DEFINITIONS:
            matched = pattern.fullmatch(name)
            if matched is not None:
                defined.update(dict.fromkeys(re.split(r"(?<=\n)(?=define|declare)", define(own_name(name), matched))))
                return ""
        raise ArtifactError(f"AIR has no {name}, and smelt has no definition of it in AIR")

    text = _DECLARATION.sub(replaced, text)
    for name in sorted(set(re.findall(r"@(llvm\.[\w.]+)\(", text))) if is_finished else ():
        if not _KEPT.fullmatch(name):
            text = text.replace(f"@{name}(", f"@{own_name(name)}(")
    present = {found["name"] for found in _DECLARATION.finditer(text)}
    for part in defined:
        found = _DECLARATION.match(part)
        if found is not None and found["name"] in present:
            continue
        if found is not None:
            present.add(found["name"])
        text += part
    return text


def own_name(name: str) -> str:
    """The name of the definition of a function."""
    return f"smelt.{name}" if name.startswith("llvm.") else name


_Define = Callable[[str, "re.Match[str]"], str]

_TYPES = {"f16": "half", "bf16": "bfloat", "f32": "float"}


def _kind(suffix: str) -> str:
    return _TYPES.get(suffix, suffix)


def _written(template: str) -> _Define:
    """A definition in LLVM IR, in which `{0}` and so on stand for what was found in the name, and `T` for the type at its end."""

    def define(name: str, found: re.Match[str]) -> str:
        groups = [found[number] for number in range(1, len(found.groups()) + 1)]
        kind = _kind(groups[-1])
        bits = int(re.sub(r"\D", "", groups[-1]))
        least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        body = template.format(
            *groups,
            T=kind,
            S=groups[-1],
            name=name,
            bits=bits,
            last=bits - 1,
            least=least,
            most=most,
            all=(1 << bits) - 1,
        )
        return f"\n{body}\n"

    return define


def _same(air: str, *, operands: int = 1, dropped: str = "") -> _Define:
    """A definition by one call of a function of AIR's with the same operands, but for those that LLVM's has besides."""
    parameters = ", ".join(["{T} %p" + str(number) for number in range(operands)] + ([dropped] if dropped else []))
    given = ", ".join("{T} %p" + str(number) for number in range(operands))
    declared = ", ".join("{T}" for _ in range(operands))
    return _written(
        f"declare {{T}} @{air}({declared}) nounwind willreturn memory(none)\n"
        f"define internal {{T}} @{{name}}({parameters}) alwaysinline nounwind {{{{\n"
        f"  %result = call {{T}} @{air}({given})\n  ret {{T}} %result\n}}}}"
    )


def _counting(air: str) -> _Define:
    return _written(
        f"declare {{T}} @{air}({{T}}, i1) nounwind willreturn memory(none)\n"
        f"define internal {{T}} @{{name}}({{T}} %p0, i1 %is_zero_undefined) alwaysinline nounwind {{{{\n"
        f"  %result = call {{T}} @{air}({{T}} %p0, i1 false)\n  ret {{T}} %result\n}}}}"
    )


# Of each format: the word of its bits, the least normal number, infinity, and the bit of a quiet NaN.
_FORMATS = {
    "f16": ("i16", 0x400, 0x7C00, 0x200),
    "bf16": ("i16", 0x80, 0x7F80, 0x40),
    "f32": ("i32", 0x800000, 0x7F800000, 0x400000),
}


def _magnitude(name: str, found: re.Match[str]) -> str:
    word, kind = _FORMATS[found[1]][0], _kind(found[1])
    return f"""
define internal {kind} @{name}({kind} %number) alwaysinline nounwind {{
  %bits = bitcast {kind} %number to {word}
  %size = and {word} %bits, {(1 << (int(word[1:]) - 1)) - 1}
  %result = bitcast {word} %size to {kind}
  ret {kind} %result
}}
"""


def _copysign(name: str, found: re.Match[str]) -> str:
    word, kind = _FORMATS[found[1]][0], _kind(found[1])
    most = (1 << (int(word[1:]) - 1)) - 1
    return f"""
define internal {kind} @{name}({kind} %number, {kind} %signed) alwaysinline nounwind {{
  %bits = bitcast {kind} %number to {word}
  %size = and {word} %bits, {most}
  %others = bitcast {kind} %signed to {word}
  %sign = and {word} %others, {-most - 1}
  %both = or {word} %size, %sign
  %result = bitcast {word} %both to {kind}
  ret {kind} %result
}}
"""


def _to_integer(name: str, found: re.Match[str]) -> str:
    """As the processor does it: rounded toward 0, what is too large as the largest, NaN as 0. In Metal that is undefined."""
    sign, integer, suffix = found.groups()
    kind, bits = _kind(suffix), int(integer[1:])
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if sign == "s" else (0, (1 << bits) - 1)
    widened = "  %wide = fpext {kind} %number to float\n" if kind != "float" else ""
    wide = "%wide" if widened else "%number"
    # What is too small, and where numbers begin to be too large: powers of two, so both are floats.
    lowest, above = (constant(float32, number) for number in (least, most + 1))
    return f"""
define internal {integer} @{name}({kind} %number) alwaysinline nounwind {{
{widened.format(kind=kind)}  %converted = fpto{sign}i float {wide} to {integer}
  %is_below = fcmp ole float {wide}, {lowest}
  %not_below = select i1 %is_below, {integer} {least}, {integer} %converted
  %is_above = fcmp oge float {wide}, {above}
  %bounded = select i1 %is_above, {integer} {most}, {integer} %not_below
  %is_nan = fcmp uno float {wide}, 0.0
  %result = select i1 %is_nan, {integer} 0, {integer} %bounded
  ret {integer} %result
}}
"""


def _is_of_class(name: str, found: re.Match[str]) -> str:
    """Whether a number is of one of the classes of a mask; those are numbered as LLVM's llvm.is.fpclass does."""
    word, least_normal, infinity, quiet = _FORMATS[found[1]]
    kind = _kind(found[1])
    return f"""
define internal i1 @{name}({kind} %number, i32 %classes) alwaysinline nounwind {{
  %bits = bitcast {kind} %number to {word}
  %size = and {word} %bits, {(1 << (int(word[1:]) - 1)) - 1}
  %is_negative = icmp slt {word} %bits, 0
  %is_zero = icmp eq {word} %size, 0
  %is_subnormal = icmp ult {word} %size, {least_normal}
  %is_finite = icmp ult {word} %size, {infinity}
  %is_nan = icmp ugt {word} %size, {infinity}
  %quiet_bit = and {word} %bits, {quiet}
  %is_quiet = icmp ne {word} %quiet_bit, 0
  %finite_above = select i1 %is_finite, i32 256, i32 512
  %small_above = select i1 %is_subnormal, i32 128, i32 %finite_above
  %above = select i1 %is_zero, i32 64, i32 %small_above
  %finite_below = select i1 %is_finite, i32 8, i32 4
  %small_below = select i1 %is_subnormal, i32 16, i32 %finite_below
  %below = select i1 %is_zero, i32 32, i32 %small_below
  %of_sign = select i1 %is_negative, i32 %below, i32 %above
  %of_nan = select i1 %is_quiet, i32 2, i32 1
  %class = select i1 %is_nan, i32 %of_nan, i32 %of_sign
  %common = and i32 %class, %classes
  %result = icmp ne i32 %common, 0
  ret i1 %result
}}
"""


def _bytes_reversed(name: str, found: re.Match[str]) -> str:
    kind = found[1]
    size = int(kind[1:]) // 8
    lines, total = [], "0"
    for place in range(size):
        lines += [
            f"  %moved{place} = lshr {kind} %p0, {8 * place}",
            f"  %byte{place} = and {kind} %moved{place}, 255",
            f"  %placed{place} = shl {kind} %byte{place}, {8 * (size - 1 - place)}",
            f"  %total{place} = or {kind} {total}, %placed{place}",
        ]
        total = f"%total{place}"
    body = "\n".join(lines)
    return f"\ndefine internal {kind} @{name}({kind} %p0) alwaysinline nounwind {{\n{body}\n  ret {kind} {total}\n}}\n"


def _atomic(name: str, found: re.Match[str]) -> str:
    space, operation, _ = found.groups()
    number, scope = (1, 2) if space == "global" else (3, 1)
    return ATOMICS[operation].format(name=name, space=space, pointer=f"ptr addrspace({number})", scope=scope)


# The functions that shift the bits of two numbers, one behind the other: of the upper one, and of the lower one.
_FUNNEL = """\
define internal {T} @{name}({T} %upper, {T} %lower, {T} %asked) alwaysinline nounwind {{
  %amount = and {T} %asked, {last}
  %rest = sub {T} {last}, %amount
"""
_FUNNEL_LEFT = (
    _FUNNEL
    + """\
  %high = shl {T} %upper, %amount
  %half = lshr {T} %lower, 1
  %low = lshr {T} %half, %rest
  %result = or {T} %high, %low
  ret {T} %result
}}"""
)
_FUNNEL_RIGHT = (
    _FUNNEL
    + """\
  %twice = shl {T} %upper, 1
  %high = shl {T} %twice, %rest
  %low = lshr {T} %lower, %amount
  %result = or {T} %high, %low
  ret {T} %result
}}"""
)
_UNSIGNED_SATURATED = {
    "add": """\
define internal {T} @{name}({T} %a, {T} %b) alwaysinline nounwind {{
  %sum = add {T} %a, %b
  %wraps = icmp ult {T} %sum, %a
  %result = select i1 %wraps, {T} -1, {T} %sum
  ret {T} %result
}}""",
    "sub": """\
define internal {T} @{name}({T} %a, {T} %b) alwaysinline nounwind {{
  %difference = sub {T} %a, %b
  %wraps = icmp ult {T} %a, %b
  %result = select i1 %wraps, {T} 0, {T} %difference
  ret {T} %result
}}""",
}
_SIGNED_SATURATED = {
    "add": ("add", "%from_a = xor {T} %a, %plain\n  %from_b = xor {T} %b, %plain"),
    "sub": ("sub", "%from_a = xor {T} %a, %plain\n  %from_b = xor {T} %a, %b"),
}
_SIGNED = """\
define internal {T} @{name}({T} %a, {T} %b) alwaysinline nounwind {{
  %plain = OPERATION {T} %a, %b
  SIGNS
  %both = and {T} %from_a, %from_b
  %wraps = icmp slt {T} %both, 0
  %sign = ashr {T} %a, {last}
  %extreme = xor {T} %sign, {most}
  %result = select i1 %wraps, {T} %extreme, {T} %plain
  ret {T} %result
}}"""
_PRODUCT = """\
declare {T} @air.mul_hi.{0}.{S}({T}, {T}) nounwind willreturn memory(none)
define internal {{ {T}, i1 }} @{name}({T} %a, {T} %b) alwaysinline nounwind {{
  %low = mul {T} %a, %b
  %high = call {T} @air.mul_hi.{0}.{S}({T} %a, {T} %b)
  %expected = EXPECTED
  %wraps = icmp ne {T} %high, %expected
  %half = insertvalue {{ {T}, i1 }} poison, {T} %low, 0
  %both = insertvalue {{ {T}, i1 }} %half, i1 %wraps, 1
  ret {{ {T}, i1 }} %both
}}"""
# What stands above a product that fits: nothing, or its sign.
_UPPER_HALVES = {"s": "ashr {T} %low, {last}", "u": "and {T} %low, 0"}
_THREE_WAY = """\
define internal {1} @{name}({T} %a, {T} %b) alwaysinline nounwind {{
  %is_greater = icmp {0}gt {T} %a, %b
  %is_less = icmp {0}lt {T} %a, %b
  %up = zext i1 %is_greater to {1}
  %down = zext i1 %is_less to {1}
  %result = sub {1} %up, %down
  ret {1} %result
}}"""

_INTEGER = r"(i(?:8|16|32|64))"
_FLOAT = r"(f16|f32)"

_DEFINITIONS: tuple[tuple[re.Pattern[str], _Define], ...] = tuple(
    (re.compile(pattern), define)
    for pattern, define in (
        (rf"llvm\.(floor|ceil|trunc|rint|round|sqrt)\.{_FLOAT}", _same("air.{0}.{S}")),
        (rf"llvm\.(?:nearbyint|roundeven)\.{_FLOAT}", _same("air.rint.{S}")),
        (rf"llvm\.fma\.{_FLOAT}", _same("air.fma.{S}", operands=3)),
        (rf"llvm\.(?:minnum|minimumnum)\.{_FLOAT}", _same("air.fmin.{S}", operands=2)),
        (rf"llvm\.(?:maxnum|maximumnum)\.{_FLOAT}", _same("air.fmax.{S}", operands=2)),
        (r"llvm\.fabs\.(f16|bf16|f32)", _magnitude),
        (r"llvm\.is\.fpclass\.(f16|bf16|f32)", _is_of_class),
        (r"llvm\.copysign\.(f16|bf16|f32)", _copysign),
        (rf"llvm\.([su])(min|max)\.{_INTEGER}", _same("air.{1}.{0}.{S}", operands=2)),
        (rf"llvm\.abs\.{_INTEGER}", _same("air.abs.s.{S}", dropped="i1 %is_least_undefined")),
        (rf"llvm\.ctpop\.{_INTEGER}", _same("air.popcount.{S}")),
        (rf"llvm\.bitreverse\.{_INTEGER}", _same("air.reverse_bits.{S}")),
        (rf"llvm\.ctlz\.{_INTEGER}", _counting("air.clz.{S}")),
        (rf"llvm\.cttz\.{_INTEGER}", _counting("air.ctz.{S}")),
        (rf"llvm\.bswap\.{_INTEGER}", _bytes_reversed),
        (rf"llvm\.fshl\.{_INTEGER}", _written(_FUNNEL_LEFT)),
        (rf"llvm\.fshr\.{_INTEGER}", _written(_FUNNEL_RIGHT)),
        *((rf"llvm\.u{word}\.sat\.{_INTEGER}", _written(body)) for word, body in _UNSIGNED_SATURATED.items()),
        *(
            (
                rf"llvm\.s{word}\.sat\.{_INTEGER}",
                _written(_SIGNED.replace("OPERATION", operation).replace("SIGNS", signs)),
            )
            for word, (operation, signs) in _SIGNED_SATURATED.items()
        ),
        *(
            (rf"llvm\.({sign})mul\.with\.overflow\.{_INTEGER}", _written(_PRODUCT.replace("EXPECTED", upper)))
            for sign, upper in _UPPER_HALVES.items()
        ),
        (rf"llvm\.([su])cmp\.(i\d+)\.{_INTEGER}", _written(_THREE_WAY)),
        (rf"llvm\.fpto([su])i\.sat\.{_INTEGER}\.(f16|bf16|f32)", _to_integer),
        (rf"smelt\.atomic\.(global|local)\.({'|'.join(ATOMICS)})\.(i32|f32)", _atomic),
    )
)
