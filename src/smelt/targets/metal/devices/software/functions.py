# SPDX-License-Identifier: Apache-2.0
"""The functions of AIR, defined for the processor in LLVM IR.

The `fast` ones are the precise ones: Metal promises less of them, not something else. Those of half are computed in float and rounded
once. What a function of AIR does is described in the Metal Shading Language Specification, chapters 6 and 8.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from smelt.targets.metal.devices.software.listings import split_list

_DECLARATION = re.compile(r"declare (?P<result>.+?) @(?P<name>air\.[\w.]+)\((?P<parameters>.*?)\)[^()]*$")

ATTRIBUTES = re.compile(
    r" (?:nocapture|captures\(none\)|readonly|writeonly|readnone|noundef|immarg|noalias|nonnull|returned|align \d+)"
)
"""What a parameter has besides its type."""


@dataclass(frozen=True)
class Declaration:
    """A function of AIR that a module calls: its name, and the LLVM types of its result and its parameters."""

    name: str
    result: str
    parameters: tuple[str, ...]


def declaration_of(line: str) -> Declaration | None:
    """What a line of LLVM IR declares of AIR's functions; None for other lines."""
    found = _DECLARATION.match(line)
    if found is None:
        return None
    parameters = ATTRIBUTES.sub("", found["parameters"])
    return Declaration(found["name"], found["result"].strip(), tuple(split_list(parameters)))


def definition_of(declared: Declaration) -> tuple[str, tuple[str, ...]] | None:
    """LLVM IR that defines a function, and the declarations that it needs; None for a function that is not known."""
    body = _Body(declared)
    family = declared.name.removeprefix("air.")
    for pattern, write in _FAMILIES:
        if pattern.fullmatch(family):
            result = write(body, family)
            break
    else:
        return None
    parameters = ", ".join(f"{kind} %p{number}" for number, kind in enumerate(declared.parameters))
    returned = "ret void" if declared.result == "void" else f"ret {declared.result} {result}"
    lines = "\n".join(f"  {line}" for line in (*body.lines, returned))
    text = f"define internal {declared.result} @{declared.name}({parameters}) alwaysinline {{\n{lines}\n}}\n"
    return text, tuple(body.needed)


class _Body:
    """The instructions of one function."""

    def __init__(self, declared: Declaration) -> None:
        self.declared = declared
        self.lines: list[str] = []
        self.needed: dict[str, None] = {}

    def do(self, line: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"{name} = {line}")
        return name

    def call(self, result: str, name: str, *arguments: tuple[str, str]) -> str:
        kinds = ", ".join(kind for kind, _ in arguments)
        self.needed[f"declare {result} @{name}({kinds})"] = None
        return self.do(f"call {result} @{name}({', '.join(f'{kind} {value}' for kind, value in arguments)})")

    @property
    def kind(self) -> str:
        return self.declared.result

    def by_element(self, compute: Callable[[str, list[str]], str]) -> str:
        """`compute` for each element of a vector, or for a number: given its type and the operands."""
        operands = [f"%p{number}" for number in range(len(self.declared.parameters))]
        vector = re.fullmatch(r"<(\d+) x (\w+)>", self.kind)
        if vector is None:
            return compute(self.kind, operands)
        result = "poison"
        for place in range(int(vector[1])):
            parts = [
                self.do(f"extractelement {kind} {operand}, i32 {place}") if kind.startswith("<") else operand
                for kind, operand in zip(self.declared.parameters, operands, strict=True)
            ]
            element = compute(vector[2], parts)
            result = self.do(f"insertelement {self.kind} {result}, {vector[2]} {element}, i32 {place}")
        return result

    def in_float(self, compute: Callable[[list[str]], str]) -> str:
        """`compute` on floats, for each element of floats or halves."""

        def element(kind: str, operands: list[str]) -> str:
            if kind == "float":
                return compute(operands)
            wide = [self.do(f"fpext {kind} {operand} to float") for operand in operands]
            return self.do(f"fptrunc float {compute(wide)} to {kind}")

        return self.by_element(element)


_Write = Callable[[_Body, str], str]


def _word(family: str) -> str:
    return family.split(".", maxsplit=1)[0].removeprefix("fast_")


def _intrinsic(names: dict[str, str]) -> _Write:
    """A function that is one of LLVM's own on floats."""

    def write(body: _Body, family: str) -> str:
        name = names[_word(family)]
        return body.in_float(lambda operands: body.call("float", f"llvm.{name}.f32", *(("float", o) for o in operands)))

    return write


def _library(body: _Body, family: str) -> str:
    """A function of the C library's on floats."""
    name = f"{_word(family)}f"
    return body.in_float(lambda operands: body.call("float", name, *(("float", o) for o in operands)))


def _of_pi(body: _Body, family: str) -> str:
    """`sinpi` and the like: in double, where multiplying by pi costs no digit that shows in float."""
    name = _word(family).removesuffix("pi")

    def compute(operands: list[str]) -> str:
        wide = body.do(f"fpext float {operands[0]} to double")
        # What is left of a multiple of 2 is exact.
        turn = body.do(f"frem double {wide}, 2.0")
        angle = body.do(f"fmul double {turn}, 0x400921FB54442D18")
        return body.do(f"fptrunc double {body.call('double', name, ('double', angle))} to float")

    return body.in_float(compute)


def _rsqrt(body: _Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        # Rounded once: the root is taken in double.
        wide = body.do(f"fpext float {operands[0]} to double")
        root = body.call("double", "llvm.sqrt.f64", ("double", wide))
        return body.do(f"fptrunc double {body.do(f'fdiv double 1.0, {root}')} to float")

    return body.in_float(compute)


def _fract(body: _Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        floor = body.call("float", "llvm.floor.f32", ("float", operands[0]))
        part = body.do(f"fsub float {operands[0]}, {floor}")
        # Below 1, however it is rounded.
        return body.call("float", "llvm.minnum.f32", ("float", part), ("float", "0x3FEFFFFFE0000000"))

    return body.in_float(compute)


def _fmod(body: _Body, _: str) -> str:
    return body.in_float(lambda operands: body.do(f"frem float {operands[0]}, {operands[1]}"))


def _ldexp(body: _Body, _: str) -> str:
    kind = body.declared.parameters[1]
    return body.by_element(
        lambda element, operands: body.call(
            element,
            f"llvm.ldexp.{_suffix(element)}.i32",
            (element, operands[0]),
            (kind.split(" x ")[-1].rstrip(">"), operands[1]),
        )
    )


def _suffix(kind: str) -> str:
    return {"float": "f32", "half": "f16", "double": "f64", "bfloat": "bf16"}.get(kind, kind)


def _clamp_of_floats(body: _Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        least = body.call("float", "llvm.maxnum.f32", ("float", operands[0]), ("float", operands[1]))
        return body.call("float", "llvm.minnum.f32", ("float", least), ("float", operands[2]))

    return body.in_float(compute)


def _dot(body: _Body, _: str) -> str:
    kind = body.declared.parameters[0]
    vector = re.fullmatch(r"<(\d+) x (\w+)>", kind)
    assert vector is not None
    total = ""
    for place in range(int(vector[1])):
        first, second = (body.do(f"extractelement {kind} %p{number}, i32 {place}") for number in (0, 1))
        product = body.do(f"fmul {vector[2]} {first}, {second}")
        total = body.do(f"fadd {vector[2]} {total}, {product}") if total else product
    return total


def _integers(body: _Body, family: str) -> str:
    """`abs`, `min`, `max`, `clamp` and those of three, of signed or unsigned integers."""
    name, sign = family.split(".")[:2]

    def extreme(which: str, kind: str, first: str, second: str) -> str:
        return body.call(kind, f"llvm.{sign}{which}.{kind}", (kind, first), (kind, second))

    def compute(kind: str, operands: list[str]) -> str:
        if name == "abs":
            return (
                operands[0]
                if sign == "u"
                else body.call(kind, f"llvm.abs.{kind}", (kind, operands[0]), ("i1", "false"))
            )
        if name == "clamp":
            return extreme("min", kind, extreme("max", kind, operands[0], operands[1]), operands[2])
        result = operands[0]
        for operand in operands[1:]:
            result = extreme(name.rstrip("3"), kind, result, operand)
        return result

    return body.by_element(compute)


def _bits(body: _Body, family: str) -> str:
    name = {"clz": "ctlz", "ctz": "cttz", "popcount": "ctpop", "reverse_bits": "bitreverse"}[_word(family)]

    def compute(kind: str, operands: list[str]) -> str:
        # Whether zero is undefined makes no difference here: it counts all bits.
        flag = (("i1", "false"),) if name in ("ctlz", "cttz") else ()
        return body.call(kind, f"llvm.{name}.{kind}", (kind, operands[0]), *flag)

    return body.by_element(compute)


def _high_product(body: _Body, family: str) -> str:
    extend = "sext" if family.split(".")[1] == "s" else "zext"

    def compute(kind: str, operands: list[str]) -> str:
        bits = int(kind[1:])
        wide = f"i{2 * bits}"
        first, second = (body.do(f"{extend} {kind} {operand} to {wide}") for operand in operands)
        high = body.do(f"lshr {wide} {body.do(f'mul {wide} {first}, {second}')}, {bits}")
        return body.do(f"trunc {wide} {high} to {kind}")

    return body.by_element(compute)


def _convert(body: _Body, family: str) -> str:
    """`convert.<sort>.<type>.<sort>.<type>`, sorts being f, s and u."""
    _, to_sort, _, from_sort, *_ = family.split(".")
    source = body.declared.parameters[0].split(" x ")[-1].rstrip(">")

    def compute(kind: str, operands: list[str]) -> str:
        (operand,) = operands
        if to_sort == "f" and from_sort == "f":
            return _between_floats(body, source, kind, operand)
        if to_sort == "f":
            return body.do(f"{'sitofp' if from_sort == 's' else 'uitofp'} {source} {operand} to {kind}")
        if from_sort == "f" and kind == "i1":
            # NaN is true.
            return body.do(f"fcmp une {source} {operand}, 0.0")
        if from_sort == "f":
            return body.call(kind, f"llvm.fpto{to_sort}i.sat.{kind}.{_suffix(source)}", (source, operand))
        return _between_integers(body, source, kind, operand, is_signed=from_sort == "s")

    return body.by_element(compute)


def _between_floats(body: _Body, source: str, kind: str, operand: str) -> str:
    sizes = {"half": 16, "bfloat": 16, "float": 32, "double": 64}
    if source == kind:
        return operand
    if sizes[source] < sizes[kind]:
        return body.do(f"fpext {source} {operand} to {kind}")
    if sizes[source] == sizes[kind]:
        operand, source = body.do(f"fpext {source} {operand} to float"), "float"
    return body.do(f"fptrunc {source} {operand} to {kind}")


def _between_integers(body: _Body, source: str, kind: str, operand: str, *, is_signed: bool) -> str:
    if source == kind:
        return operand
    if kind == "i1":
        return body.do(f"icmp ne {source} {operand}, 0")
    if int(source[1:]) > int(kind[1:]):
        return body.do(f"trunc {source} {operand} to {kind}")
    return body.do(f"{'sext' if is_signed else 'zext'} {source} {operand} to {kind}")


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


def _atomic(body: _Body, family: str) -> str:
    """`atomic.<global or local>.<operation>[.<sign>].<type>`."""
    _, _, *words, _ = family.split(".")
    operation = ".".join(words)
    pointer = f"{body.declared.parameters[0]} %p0"
    if operation == "load":
        size = int(body.kind[1:]) // 8
        return body.do(f"load atomic {body.kind}, {pointer} monotonic, align {size}")
    kind = body.declared.parameters[1]
    if operation == "store":
        body.lines.append(f"store atomic {kind} %p1, {pointer} monotonic, align {int(kind[1:]) // 8}")
        return ""
    if operation == "cmpxchg.weak":
        return _compare_exchange(body, pointer)
    name = _OPERATIONS[operation]
    return body.do(f"atomicrmw {'f' if kind in ('float', 'half') else ''}{name} {pointer}, {kind} %p1 monotonic")


def _compare_exchange(body: _Body, pointer: str) -> str:
    """The expected value lies in memory, which gets the one that was there."""
    kind, expected = body.kind, f"{body.declared.parameters[1]} %p1"
    wanted = body.do(f"load {kind}, {expected}")
    pair = body.do(f"cmpxchg {pointer}, {kind} {wanted}, {kind} %p2 monotonic monotonic")
    old = body.do(f"extractvalue {{ {kind}, i1 }} {pair}, 0")
    body.lines.append(f"store {kind} {old}, {expected}")
    return old


def _constant(value: str) -> _Write:
    return lambda _body, _family: value


def _predicate(body: _Body, _: str) -> str:
    return body.do(f"zext i1 {body.do(f'icmp ne {body.kind} %p0, 0')} to {body.kind}")


_FLOATS = r"(?:v\d+)?(?:f16|f32)"
_INTEGERS = r"(?:v\d+)?i\d+"

_SAME_NAMES = (
    *("sqrt", "floor", "ceil", "trunc", "rint", "round", "fabs", "fma", "copysign"),
    *("sin", "cos", "exp", "exp2", "exp10", "log", "log2", "log10", "pow"),
)
_INTRINSICS = {**{name: name for name in _SAME_NAMES}, "powr": "pow", "fmin": "minnum", "fmax": "maxnum"}
_OF_LIBRARY = ("acos", "asin", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "tan", "nextafter")

_FAMILIES: tuple[tuple[re.Pattern[str], _Write], ...] = tuple(
    (re.compile(pattern), write)
    for pattern, write in (
        (rf"(?:fast_)?(?:{'|'.join(_INTRINSICS)})\.{_FLOATS}", _intrinsic(_INTRINSICS)),
        (rf"(?:fast_)?(?:{'|'.join(_OF_LIBRARY)})\.{_FLOATS}", _library),
        (rf"(?:fast_)?(?:sin|cos|tan)pi\.{_FLOATS}", _of_pi),
        (rf"(?:fast_)?rsqrt\.{_FLOATS}", _rsqrt),
        (rf"(?:fast_)?fract\.{_FLOATS}", _fract),
        (rf"(?:fast_)?fmod\.{_FLOATS}", _fmod),
        (rf"(?:fast_)?ldexp\.{_FLOATS}", _ldexp),
        (rf"(?:fast_)?clamp\.{_FLOATS}", _clamp_of_floats),
        (rf"dot\.{_FLOATS}", _dot),
        (rf"(?:abs|min|max|min3|max3|clamp)\.[su]\.{_INTEGERS}", _integers),
        (rf"(?:clz|ctz|popcount|reverse_bits)\.{_INTEGERS}", _bits),
        (rf"mul_hi\.[su]\.{_INTEGERS}", _high_product),
        (r"convert\.[fsu]\.(?:v\d+)?\w+\.[fsu]\.(?:v\d+)?\w+(?:\.rt[eznp])?", _convert),
        (
            rf"atomic\.(?:global|local)\.(?:load|store|cmpxchg\.weak|{'|'.join(map(re.escape, _OPERATIONS))})\.\w+",
            _atomic,
        ),
        (r"is_uniform\.i\d+", _constant("true")),
        (r"get_simdgroup_size\.i16", _constant("32")),
        (r"normalize_function_constant_predicate\.i8", _predicate),
    )
)
