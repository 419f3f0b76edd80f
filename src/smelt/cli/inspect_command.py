# SPDX-License-Identifier: Apache-2.0
"""`smelt inspect`: what is in a metallib."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

from smelt.cli.help_texts import add_command
from smelt.cli.output import say
from smelt.targets.metal.air.kernels import Buffer, Input, Kernel, kernels_of
from smelt.targets.metal.air.reading import read_module
from smelt.targets.metal.metallib import Function, FunctionKind, Library, read_metallib

_SPACES = {1: "device", 2: "constant", 3: "threadgroup"}


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
    parser.add_argument("file", type=Path, metavar="FILE.metallib")
    parser.add_argument("--function", metavar="NAME", help="only this function")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--disassemble", action="store_true", help="show the LLVM IR of the functions")
    shown.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt inspect`. Raises `MetallibError` for what is no metallib, `OSError` for what can't be read."""
    library = read_metallib(chosen.file.read_bytes())
    functions = [library.function(chosen.function)] if chosen.function else library.functions
    if chosen.disassemble:
        parse = importlib.import_module("smelt.lowering.llvm").module_of_bitcode
        for function in functions:
            say(f"; {function.name}\n{parse(function.module)}")
    elif chosen.json:
        say(json.dumps({**_of_library(library), "functions": [_of_function(one) for one in functions]}, indent=2))
    else:
        system = f"macOS {library.system}" if library.is_macos else str(library.system)
        say(f"metallib {library.version} for {system}, {len(library.functions)} functions")
        for function in functions:
            _say_function(function)
    return 0


def _kernel(function: Function) -> Kernel | None:
    kernels = kernels_of(read_module(function.module, is_outline=True))
    return next((kernel for kernel in kernels if kernel.name == function.name), None)


def _of_library(library: Library) -> dict[str, Any]:
    return {
        "version": str(library.version),
        "system": str(library.system),
        "uuid": None if library.uuid is None else library.uuid.hex(),
        "sources": None if library.sources is None else [archive.identifier for archive in library.sources.archives],
    }


def _of_function(function: Function) -> dict[str, Any]:
    kernel = _kernel(function)
    return {
        "name": function.name,
        "kind": _kind(function),
        "air": f"{function.air.major}.{function.air.minor}",
        "language": f"{function.language.major}.{function.language.minor}",
        "bytes": len(function.module),
        "constants": [dataclasses.asdict(constant) for constant in function.constants],
        "location": function.location,
        "arguments": None if kernel is None else dataclasses.asdict(kernel),
    }


def _kind(function: Function) -> str:
    try:
        return FunctionKind(function.kind).name.lower()
    except ValueError:
        return f"kind {function.kind}"


def _say_function(function: Function) -> None:
    versions = (
        f"AIR {function.air.major}.{function.air.minor}, Metal {function.language.major}.{function.language.minor}"
    )
    say(f"\n{_kind(function)} {function.name}: {versions}, {len(function.module)} bytes")
    if function.location is not None:
        path, line = function.location
        say(f"  from {path}:{line}")
    for constant in function.constants:
        say(f"  constant {constant.index}: {constant.name}")
    kernel = _kernel(function)
    if kernel is None:
        return
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
