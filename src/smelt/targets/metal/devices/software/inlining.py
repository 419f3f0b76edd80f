# SPDX-License-Identifier: Apache-2.0
"""A module of AIR as one function: its function constants given, its functions defined, everything that the kernel calls a part of it.

What then is in the kernel is all that will run. It is looked at here, before anything of it does: a module comes from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smelt.targets.metal.devices.descriptions import LOG_FUNCTION
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software import logs
from smelt.targets.metal.devices.software.air_functions.function_bodies import ATTRIBUTES, declaration_of
from smelt.targets.metal.devices.software.air_functions.functions import definition_of
from smelt.targets.metal.devices.software.artifacts import KernelSource
from smelt.targets.metal.devices.software.cooperation import COOPERATIVE
from smelt.targets.metal.devices.software.disassembly import disassembled
from smelt.targets.metal.devices.software.listings import split_list
from smelt.targets.metal.devices.software.optimisation import simplified

MOST_PRIVATE_BYTES = 1 << 20
"""The most memory of its own that a thread may have: a part of the stack."""


@dataclass(frozen=True)
class OneFunction:
    """A module whose kernel calls nothing but LLVM's own functions, the C library's, and those of AIR for which threads wait.

    Attributes
    ----------
    parameters
        The types and the names of the parameters.
    body
        The lines between the braces.
    rest
        All other lines: variables, declarations, metadata.
    """

    parameters: tuple[tuple[str, str], ...]
    body: tuple[str, ...]
    rest: tuple[str, ...]


def as_one_function(source: KernelSource) -> OneFunction:
    """The kernel with all that it calls. Raises `DeviceError` for what this device doesn't know or refuses to run."""
    name = source.kernel.name
    text = disassembled(source.bitcode, name)
    if not re.search(rf'^define [^@]*@"?{re.escape(name)}"?\(', text, re.MULTILINE):
        raise DeviceError(f"the module of the kernel {name} has no function of that name")
    text = logs.with_packed_arguments(_with_constants(text, source))
    text, of_library = _with_definitions(text, name)
    # Copies of what a loop does are dear to compile: threads that work together get them once they have run for long.
    unrolls = source.runs_long or _COOPERATING.search(text) is None
    return _cut(simplified(text, unrolls=unrolls), name, of_library)


_COOPERATING = re.compile(rf"^declare [^@]*@{COOPERATIVE.pattern}\(", re.MULTILINE)


def _with_constants(text: str, source: KernelSource) -> str:
    """The module with the values of its function constants in place of what the device would write there."""
    for constant in source.constants:
        value = source.values.get(constant.variable)
        if value is not None:
            text = _with_variable(text, f"@{constant.variable} = ", _CONSTANT, rf"\1 {value}")
    for variable in source.shared:
        # What a group shares is no constant, whatever it begins with.
        for name in (f"@{variable}", f'@"{variable}"'):
            text = _with_variable(text, f"{name} = ", _SHARED, r"external addrspace(3) global \1")
    return text


_CONSTANT = re.compile(r"externally_initialized (constant (?:\w+|<[^>]+>)) undef")
_SHARED = re.compile(r"(?<= = ).*?addrspace\(3\) global (.*?) (?:undef|poison|zeroinitializer)")


def _with_variable(text: str, start: str, pattern: re.Pattern[str], changed: str) -> str:
    """The module with another definition of the variable whose line begins so."""
    begin = text.find(f"\n{start}") + 1
    if not begin:
        return text
    end = text.index("\n", begin)
    return f"{text[:begin]}{pattern.sub(changed, text[begin:end], count=1)}{text[end:]}"


_TARGET_LINES = ("target ", "@llvm.compiler.used", "@llvm.used", "attributes #")

_HEAD = re.compile(r"^define .*?@(?P<name>[\w.$-]+|\"[^\"]+\")\((?P<rest>.*)$")


def _with_definitions(text: str, kernel: str) -> tuple[str, frozenset[str]]:
    """The module with AIR's functions defined, all functions to be inlined, and its target left out; the functions that these call."""
    lines, definitions, needed, unknown = [], [], {}, []
    for line in text.splitlines():
        if line.startswith("declare"):
            declared = declaration_of(line)
            if declared is None:
                name = _name_of(line)
                if not _OF_LLVM.fullmatch(name):
                    unknown.append(name)
                # Without attributes, as what is added declares them; LLVM knows its own functions.
                lines.append(re.sub(rf"({ATTRIBUTES.pattern})+(?=[,)])| #\d+$|local_unnamed_addr ", "", line))
            elif COOPERATIVE.fullmatch(declared.name) or declared.name == LOG_FUNCTION:
                # Which threads come together at a call must not change.
                lines.append(re.sub(r" #\d+$|local_unnamed_addr |range\([^)]*\) ", "", line) + " convergent nounwind")
            else:
                defined = definition_of(declared)
                if defined is None:
                    unknown.append(declared.name)
                else:
                    definitions.append(defined[0])
                    needed.update(dict.fromkeys(defined[1]))
        elif line.startswith("define"):
            lines.append(_head(line, kernel))
        elif not line.startswith(_TARGET_LINES):
            lines.append(_plain(line))
    if unknown:
        names = ", ".join(sorted(unknown))
        raise DeviceError(f"the kernel {kernel} calls {names}, which this device doesn't know")
    body = "\n".join(lines)
    declarations = [line for line in needed if f"@{_name_of(line)}(" not in body]
    return "\n".join([body, *declarations, *definitions]) + "\n", frozenset(map(_name_of, needed))


def _name_of(declaration: str) -> str:
    return declaration.partition("@")[2].partition("(")[0]


def _plain(line: str) -> str:
    """A line without what a compiler thought that a host doesn't keep to: it may bind one buffer twice.

    Where the end of all is said to be unreachable, a thread ends.
    """
    if line == "  unreachable":
        return "  ret void"
    return re.sub(r", !(?:alias\.scope|noalias|invariant\.group) !\d+|(?<=[\w)>}]) #\d+(?=$|,)", "", line)


def _head(line: str, kernel: str) -> str:
    """The head of a function: the kernel is seen from outside, all others become a part of it."""
    found = _HEAD.match(line)
    assert found is not None
    before, _, _ = line.partition("@")
    result = before.replace("weak_odr ", "").replace("dso_local ", "").replace("internal ", "").removeprefix("define ")
    rest = re.sub(r" #\d+| section \"[^\"]*\"| align \d+(?= \{)|local_unnamed_addr|unnamed_addr", "", found["rest"])
    if found["name"].strip('"') == kernel:
        return f"define {result}@{found['name']}({rest}"
    closing = rest.rindex("{")
    return f"define internal {result}@{found['name']}({rest[:closing]}alwaysinline {{"


_OF_LLVM = re.compile(
    r"llvm\.(?:(?:lifetime\.(?:start|end)|memcpy|memmove|memset|fmuladd|fma|fsh[lr]|[su](?:max|min)|abs|ctpop|ct[lt]z|bitreverse"
    r"|bswap|assume|sqrt|fabs|floor|ceil|trunc|rint|nearbyint|round|roundeven|copysign|(?:min|max)(?:num|imum)|[su](?:add|sub|mul)\.with\.overflow"
    r"|[su](?:add|sub|shl)\.sat|fpto[su]i\.sat|vector\.reduce\.\w+|expect|experimental\.noalias\.scope\.decl|dbg\.\w+|va_start|va_end"
    r"|sin|cos|tan|exp|exp2|exp10|log|log2|log10|pow|powi|ldexp|is\.constant|is\.fpclass|ptrmask|invariant\.(?:start|end)|donothing"
    r"|arithmetic\.fence|launder\.invariant\.group|strip\.invariant\.group|sideeffect|objectsize)(?:\.[\w.]+)?)"
)
"""LLVM's own functions that change nothing but what they are given."""

_CALL = re.compile(r"^  (?:%[\w.\"$-]+ = )?(?:tail |musttail |notail )?call (?P<rest>.*)$")
_CALLEE = re.compile(r"^[^@%(]*(?:\([^()]*\)[^@%(]*)*(?P<sigil>[@%])(?P<name>[\w.$-]+|\"[^\"]+\")\(")
_REFUSED = re.compile(r"^  (?:%\S+ = )?(invoke|callbr|indirectbr|resume|landingpad|catch\w*|cleanup\w*|va_arg)\b")


def _cut(text: str, kernel: str, of_library: frozenset[str]) -> OneFunction:
    lines = text.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("define") and _is_head_of(line, kernel))
    end = next(n for n in range(begin, len(lines)) if lines[n] == "}")
    parameters = _parameters(lines[begin])
    body = [_plain(line) for line in lines[begin + 1 : end] if line and not line.lstrip().startswith(";")]
    # Names that begin so are smelt's own.
    body = [re.sub(r"(?<=%)smelt\.|^smelt\.(?=[\w.$-]*:)", ".smelt.", line) for line in body]
    _check(body, kernel, of_library)
    if not re.match(r"[\w.$-]+:|\"", body[0]):
        # A first block without a name has the number after those of the parameters.
        body.insert(0, f"{sum(name[1:].isdigit() for _, name in parameters)}:")
    rest = [*lines[:begin], *lines[end + 1 :]]
    left = [line for line in _without_functions(rest) if not line.startswith((*_TARGET_LINES, "source_filename", ";"))]
    return OneFunction(parameters, tuple(body), tuple(left))


def _is_head_of(line: str, kernel: str) -> bool:
    found = _HEAD.match(line)
    return found is not None and found["name"].strip('"') == kernel


def _without_functions(lines: Iterable[str]) -> list[str]:
    """What is no function: those that are left are called by nobody."""
    kept, is_inside = [], False
    for line in lines:
        is_inside = is_inside or line.startswith("define")
        if not is_inside:
            kept.append(line)
        is_inside = is_inside and line != "}"
    return kept


def _parameters(head: str) -> tuple[tuple[str, str], ...]:
    found = []
    for part in split_list(head[head.index("(") + 1 :]):
        kind = re.match(r"ptr(?: addrspace\(\d+\))?|<[^>]*>|[\w.]+", part)
        assert kind is not None
        found.append((kind[0], part.rsplit(" ", maxsplit=1)[-1].replace("%smelt.", "%.smelt.")))
    return tuple(found)


def _check(body: Sequence[str], kernel: str, of_library: frozenset[str]) -> None:
    """Refuse what may do anything but compute, and access memory by instructions that can be watched."""
    private, is_entry = 0, True
    for number, line in enumerate(body):
        is_entry = is_entry and not (number and not line.startswith("  "))
        refused = _REFUSED.match(line)
        if refused is not None:
            raise DeviceError(f"the kernel {kernel} has the instruction {refused[1]}, which no kernel has")
        call = _CALL.match(line)
        if call is not None:
            _check_call(call["rest"], kernel, of_library)
        elif " = alloca " in line:
            if not is_entry or re.search(r"= alloca .*, i\d+ %", line):
                raise DeviceError(f"the kernel {kernel} takes memory from the stack as it runs, which no kernel does")
            private += _rough_size(line)
    if private > MOST_PRIVATE_BYTES:
        raise DeviceError(
            f"a thread of the kernel {kernel} has {private} bytes of its own; the most is {MOST_PRIVATE_BYTES}"
        )


def _check_call(call: str, kernel: str, of_library: frozenset[str]) -> None:
    callee = _CALLEE.match(call)
    if callee is None or callee["sigil"] == "%" or re.search(r"\basm\b", call.partition("(")[0]):
        raise DeviceError(f"the kernel {kernel} calls what is only known when it runs, or assembly: {call}")
    name = callee["name"].strip('"')
    if not (name.startswith(("air.", "llvm.")) or name in of_library):
        raise DeviceError(
            f"the kernel {kernel} calls {name}, which could not be made a part of it: does it call itself?"
        )


def _rough_size(line: str) -> int:
    """The bytes of an `alloca`, or a little more: counts times eight."""
    total = 8
    for count in re.findall(r"(?:\[|<|, i\d+ )(\d+)(?= x|,|$)", line):
        total *= int(count)
    return total
