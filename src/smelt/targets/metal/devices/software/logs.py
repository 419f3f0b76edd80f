# SPDX-License-Identifier: Apache-2.0
"""What kernels log, by `os_log`: lines that are made of a format as C's `printf` has it, and shown on the host.

The arguments lie in memory one after the other, each at a multiple of its size, as those of a variadic function do on Metal; on the
processor there is no such list, so that variadic functions get the address of one here. Source of the call's form: Metal.jl,
src/device/intrinsics/output.jl.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from smelt.lowering.threadgroups import PRINTER
from smelt.targets.metal.devices.descriptions import LOG_FUNCTION
from smelt.targets.metal.devices.software.checking.records import place_of
from smelt.targets.metal.devices.software.listings import split_list
from smelt.targets.metal.devices.software.loggers import SYMBOL

_VARIADIC_HEAD = re.compile(r"^define .*?@(?P<name>[\w.$-]+|\"[^\"]+\")\((?P<parameters>.*)\.\.\.\)")
_VARIADIC_CALL = re.compile(
    r"^  (?:tail |notail )?call (?:\w+ )*?void \((?P<types>.*?)\.\.\.\) @(?P<name>[\w.$-]+|\"[^\"]+\")\((?P<arguments>.*)\)[^()]*$"
)
_START = re.compile(r"^  call void @llvm\.va_start[.\w]*\(ptr (?:[a-z]+ )*(?P<place>[^ )]+)\)")
_END = re.compile(r"^  call void @llvm\.va_end")

_SIZES = {"double": 8, "i32": 4, "i64": 8, "ptr": 8, "float": 4, "i16": 2, "i8": 1, "half": 2}


def with_packed_arguments(text: str) -> str:
    """A module whose variadic functions get the address of a list instead."""
    if "..." not in text:
        return text
    lines: list[str] = []
    for line in text.splitlines():
        head = _VARIADIC_HEAD.match(line)
        if head is not None:
            lines.append(line.replace("...)", "ptr %smelt.arguments)", 1))
            continue
        call = _VARIADIC_CALL.match(line)
        start = _START.match(line)
        if call is not None:
            lines += _packed_call(call, len(lines))
        elif start is not None:
            lines.append(f"  store ptr %smelt.arguments, ptr {start['place']}")
        elif not _END.match(line) and not re.match(r"declare void @llvm\.va_(?:start|end)", line):
            lines.append(line)
    return "\n".join(_with_lists_first(lines)) + "\n"


def _packed_call(call: re.Match[str], number: int) -> Iterable[str]:
    given = split_list(call["arguments"])
    fixed_count = len(split_list(call["types"].rstrip(", ")))
    fixed, variable = given[:fixed_count], given[fixed_count:]
    place, lines = 0, []
    for position, argument in enumerate(variable):
        kind, _, value = argument.partition(" ")
        value = value.rsplit(" ", maxsplit=1)[-1] if not value.startswith("getelementptr") else value
        size = _SIZES.get(kind, 8)
        place = -(-place // size) * size
        address = f"%smelt.argument{number}.{position}"
        lines.append(f"  {address} = getelementptr i8, ptr %smelt.list{number}, i64 {place}")
        lines.append(f"  store {kind} {value}, ptr {address}")
        place += size
    lines.insert(0, f"  %smelt.list{number} = alloca [{max(place, 1)} x i8], align 8")
    passed = ", ".join((*fixed, f"ptr %smelt.list{number}"))
    return [*lines, f"  call void @{call['name']}({passed})"]


def _with_lists_first(lines: list[str]) -> list[str]:
    """Memory of the stack is taken where a function begins."""
    moved: list[str] = []
    begin = 0
    for line in lines:
        if line.startswith("define"):
            begin = len(moved) + 1
        elif len(moved) == begin and re.match(r"[\w.$-]+:", line):
            begin += 1
        if line.startswith("  %smelt.list") and " = alloca " in line:
            moved.insert(begin, line)
        else:
            moved.append(line)
    return moved


_LOG = re.compile(rf"^  (?:tail )?call void @{re.escape(LOG_FUNCTION)}\((?P<arguments>.*)\)[^()]*$")

DECLARATION = f"""\
declare void @{SYMBOL}(i64, i32, ptr, i64, ptr, i64)
define internal i64 @smelt.logger(ptr %state) alwaysinline {{
  %record_at = getelementptr i64, ptr %state, i64 {PRINTER}
  %record = load ptr, ptr %record_at, !invariant.load !{{}}
{place_of("logger")}
  %logger = load i64, ptr %logger_place
  ret i64 %logger
}}
"""


def with_loggers(lines: Iterable[str], sizes: Mapping[str, str]) -> list[str]:
    """The body of a kernel that gives what it logs to the logger of its launch, given the bytes of the module's variables.

    Raises `ValueError` for a format that is not a constant of the module, which may be of any length.
    """
    found: list[str] = []
    for number, line in enumerate(lines):
        call = _LOG.match(line)
        if call is None:
            found.append(line)
            continue
        _, _, kind, form, arguments, size = split_list(call["arguments"])
        constant = form.removeprefix("ptr addrspace(2) ").removeprefix("noundef ")
        if constant not in sizes:
            raise ValueError("it logs with a format that is only known when it runs")
        own = f"%smelt.log{number}"
        found += [
            f"  {own}.logger = call i64 @smelt.logger(ptr %smelt.state)",
            f"  {own}.format = addrspacecast ptr addrspace(2) {constant} to ptr",
            f"  call void @{SYMBOL}(i64 {own}.logger, {kind}, ptr {own}.format, i64 {sizes[constant]}, {arguments}, {size})",
        ]
    return found
