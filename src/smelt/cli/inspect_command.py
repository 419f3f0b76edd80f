# SPDX-License-Identifier: Apache-2.0
"""`smelt inspect`: what is in a metallib."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from smelt.cli.help_texts import add_command
from smelt.cli.output import say
from smelt.targets.metal.air.bitstream import BitstreamError
from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Buffer, Input, Kernel, constants_of, kernels_of
from smelt.targets.metal.air.program import DowngradeError, Pointer
from smelt.targets.metal.air.reading import read_module
from smelt.targets.metal.air.sizes import size_in_bytes
from smelt.targets.metal.devices.software.disassembly import disassembled
from smelt.targets.metal.metallib import Function, FunctionKind, Library, read_metallib

_SPACES = {1: "device", 2: "constant", 3: "threadgroup"}
_FILE_TYPES = {1: "Core Image library", 2: "dynamic library", 3: "symbol companion"}
_PLATFORMS = ("", "macOS", "iOS", "tvOS", "watchOS", "bridgeOS", "Mac Catalyst")


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "inspect",
        "list what is in a metallib",
        "Lists the functions of a metallib, by whichever tools it was made, with the arguments of the kernels.",
        {
            "smelt inspect shapes.metallib": "everything",
            "smelt inspect shapes.metallib --function vadd --disassemble": "one function, as LLVM IR",
            "smelt inspect shapes.metallib --json": "for a script",
        },
        "1 for a file that can't be read, or is no metallib",
    )
    parser.add_argument("file", type=Path, metavar="FILE.metallib", help="the file")
    parser.add_argument("--function", metavar="NAME", help="only this function")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--names", action="store_true", help="show only the names of the functions")
    shown.add_argument("--disassemble", action="store_true", help="show the LLVM IR of the functions")
    shown.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt inspect`.

    Raises `MetallibError` for what is no metallib, `DeviceError` for a module that can't be disassembled, `ValueError` if there is no such
    file, `OSError` if it can't be read.
    """
    try:
        contents = chosen.file.read_bytes()
    except FileNotFoundError:
        what = f"there is no file {chosen.file}: give the path of a metallib, as in smelt inspect build/shapes.metallib"
        raise ValueError(what) from None
    library = read_metallib(contents)
    functions = [library.function(chosen.function)] if chosen.function else library.functions
    if chosen.names:
        for function in functions:
            say(function.name)
    elif chosen.disassemble:
        for function in functions:
            say(f"; {function.name}\n{disassembled(function.module, function.name)}")
    elif chosen.json:
        say(json.dumps({**_of_library(library), "functions": [_of_function(one) for one in functions]}, indent=2))
    else:
        _say_library(library)
        for function in functions:
            _say_function(function)
    return 0


@dataclasses.dataclass
class _Said:
    """What the module of a function says: of its arguments and constants, how many bytes a threadgroup shares, and what it calls.

    `error` is what is wrong with a module of which nothing can be said.
    """

    kernel: Kernel | None = None
    constant_types: dict[int, str] = dataclasses.field(default_factory=dict)
    threadgroup_bytes: int = 0
    calls: tuple[str, ...] = ()
    error: str | None = None


def _said_by(function: Function) -> _Said:
    try:
        module = read_module(function.module, is_outline=True)
        kernels = {kernel.name: kernel for kernel in kernels_of(module)}
        return _Said(
            kernels.get(function.name),
            {constant.index: constant.type_name for constant in constants_of(module)},
            sum(
                size_in_bytes(variable.content)
                for variable in module.globals
                if isinstance(variable.type, Pointer) and variable.type.space == THREADGROUP_SPACE
            ),
            tuple(sorted(one.name for one in module.functions if one.is_declaration and one.name)),
        )
    except (BitstreamError, DowngradeError) as error:
        return _Said(error=str(error))


def _of_library(library: Library) -> dict[str, Any]:
    sources = library.sources
    return {
        "version": str(library.version),
        "system": str(library.system),
        "platform": _platform(library),
        "file_type": library.file_type,
        "uuid": None if library.uuid is None else library.uuid.hex(),
        "name": _name_of(library),
        "link_command": None if sources is None else sources.link_command,
        "sources": None if sources is None else [archive.identifier for archive in sources.archives],
    }


def _platform(library: Library) -> str:
    known = library.platform < len(_PLATFORMS) and _PLATFORMS[library.platform]
    return known or ("macOS" if library.is_macos else f"platform {library.platform}")


def _name_of(library: Library) -> str | None:
    """The name that the file had when it was written, if it says."""
    named = [tag.content for tag in library.dynamic or () if tag.name == "NAME"]
    return named[0].rstrip(b"\0").decode(errors="replace") if named else None


def _of_function(function: Function) -> dict[str, Any]:
    said = _said_by(function)
    return {
        "name": function.name,
        "kind": _kind(function),
        "air": f"{function.air.major}.{function.air.minor}",
        "language": f"{function.language.major}.{function.language.minor}",
        "bytes": len(function.module),
        "constants": [dataclasses.asdict(constant) for constant in function.constants],
        "location": function.location,
        "arguments": None if said.kernel is None else dataclasses.asdict(said.kernel),
        "threadgroup_bytes": said.threadgroup_bytes,
        "calls": list(said.calls),
        "error": said.error,
    }


def _kind(function: Function) -> str:
    try:
        return FunctionKind(function.kind).name.lower()
    except ValueError:
        return f"kind {function.kind}"


def _say_library(library: Library) -> None:
    what = _FILE_TYPES.get(library.file_type, "metallib")
    name = _name_of(library)
    say(
        f"{what} {library.version} for {_platform(library)} {library.system}, {len(library.functions)} functions"
        + (f", written as {name}" if name else "")
    )
    if library.sources is not None:
        say(f"linked by: {library.sources.link_command}, with {len(library.sources.archives)} archives of sources")


def _say_function(function: Function) -> None:
    versions = (
        f"AIR {function.air.major}.{function.air.minor}, Metal {function.language.major}.{function.language.minor}"
    )
    say(f"\n{_kind(function)} {function.name}: {versions}, {len(function.module)} bytes")
    if function.location is not None:
        path, line = function.location
        say(f"  from {path}:{line}")
    said = _said_by(function)
    for constant in function.constants:
        kind = said.constant_types.get(constant.index)
        say(f"  constant {constant.index}: {constant.name}" + (f", {kind}" if kind else ""))
    if said.error is not None:
        say(f"  its module can't be understood: {said.error}")
    if said.kernel is not None:
        _say_arguments(said.kernel)
    if said.threadgroup_bytes:
        say(f"  {said.threadgroup_bytes} bytes of threadgroup memory")
    if said.calls:
        say(f"  calls {', '.join(said.calls)}")


def _say_arguments(kernel: Kernel) -> None:
    arguments: list[Buffer | Input] = [*kernel.buffers, *kernel.inputs]
    for argument in sorted(arguments, key=lambda argument: argument.parameter):
        if isinstance(argument, Buffer):
            access = "read and written" if argument.is_written else "read"
            space = _SPACES.get(argument.space, f"address space {argument.space}")
            where = f"{space} memory, {access}" + (f", if {argument.condition}" if argument.condition else "")
            say(f"  buffer {argument.index}: {argument.name}, {argument.type_name}, {where}")
        else:
            say(f"  {argument.quantity}: {argument.name}, {argument.type_name}")
    if kernel.most_threads is not None:
        say(f"  at most {kernel.most_threads} threads in a threadgroup")
