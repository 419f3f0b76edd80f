# SPDX-License-Identifier: Apache-2.0
"""What debuggers and profilers are told of a kernel: LLVM's debug metadata, from which it makes DWARF.

Each Python function is a subprogram, each instruction has the line and column that it comes from, and a function that is written out where
it is called is an inlined one. Files are named by their modules, `package/module.py`, so that the same program gives the same bytes
wherever it lies; a debugger searches them in the directories that it is told.

Sources: LLVM's "Language Reference", on metadata and debug records, and "Source Level Debugging with LLVM".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smelt.ir.positions import InlinedPosition, Position
from smelt.types import Array, Kind, Scalar, Type

# Behind the metadata that modules have anyway.
_FIRST_NODE = 100

_LIBRARY = "smelt.runtime."

_ENCODINGS = {
    Kind.BOOLEAN: "DW_ATE_boolean",
    Kind.SIGNED: "DW_ATE_signed",
    Kind.UNSIGNED: "DW_ATE_unsigned",
    Kind.FLOATING: "DW_ATE_float",
}

_DEFINITION = re.compile(r"^(define .*?@([\w.]+)\(.*?\{)$", re.MULTILINE | re.DOTALL)
_INSTRUCTION = re.compile(r"^(  (?!%\S+ = (?:phi|alloca) |;).*)$", re.MULTILINE)


class DebugInformation:
    """The debug metadata of one module.

    Parameters
    ----------
    level
        1 for functions and lines, 2 for variables too.
    is_optimised
        Whether the module is going to be optimised.
    """

    def __init__(self, level: int, *, is_optimised: bool) -> None:
        self.has_variables = level > 1
        self._is_optimised = is_optimised
        self._names: dict[object, str] = {}
        self._texts: list[str] = []

    def function(self, symbol: str, source: Any) -> FunctionDebugInformation | None:
        """The part of the Python function `source`, as the LLVM function `symbol`; None for those of the runtime library."""
        if (source.__module__ or "").startswith(_LIBRARY):
            return None
        return FunctionDebugInformation(self, symbol, source, source.__qualname__)

    def node(self, text: str, key: object = None) -> str:
        """A metadata node. There is one for each text, or for each key."""
        name = self._names.get(key or text)
        if name is None:
            name = self._names[key or text] = f"!{_FIRST_NODE + len(self._texts)}"
            self._texts.append(f"{name} = {text}")
        return name

    def file(self, source: Any) -> str:
        return self.node(f'!DIFile(filename: "{_escaped(path_of(source))}", directory: "")')

    def subprogram(self, symbol: str, source: Any, name: str, *, is_artificial: bool = False) -> str:
        """A function as a debugger sees it: under a name, at the first line of a Python function."""
        file, line = self.file(source), first_line(source)
        flags = ", flags: DIFlagArtificial" if is_artificial else ""
        kind = self.node(f"!DISubroutineType(types: {self.node('!{}')})")
        return self.node(
            f'distinct !DISubprogram(name: "{_escaped(name)}", scope: {file}, file: {file}, line: {line}, '
            f"type: {kind}, scopeLine: {line}, unit: {self._unit(file)}, spFlags: DISPFlagLocalToUnit | DISPFlagDefinition"
            f"{' | DISPFlagOptimized' if self._is_optimised else ''}{flags})",
            ("subprogram", symbol, name),
        )

    def attached(self, text: str, source: Any) -> str:
        """The definitions of `text`, which run the kernel `source`, with debug information: those without stand in its first line."""
        definitions = _DEFINITION.split(text)
        # What stands before the first one, and then of each its head, its name and its body.
        parts = [definitions[0]]
        for head, symbol, body in zip(definitions[1::3], definitions[2::3], definitions[3::3], strict=True):
            if "!dbg" in head:
                parts += [head, body]
                continue
            scope = self.subprogram(symbol, source, f"threads of {source.__qualname__}", is_artificial=True)
            note = f", !dbg {self.node(f'!DILocation(line: {first_line(source)}, scope: {scope})')}"
            parts += [f"{head[:-1]}!dbg {scope} {{", _INSTRUCTION.sub(rf"\1{note}", body)]
        return "".join(parts)

    def text(self) -> str:
        """All metadata."""
        # The merging of modules: 7 takes the greatest version, 2 warns of different ones. Version 4 has file names in the line table.
        flags = self.node('!{i32 7, !"Dwarf Version", i32 4}'), self.node('!{i32 2, !"Debug Info Version", i32 3}')
        names = f"!llvm.module.flags = !{{{', '.join(flags)}}}\n!llvm.dbg.cu = !{{{self._names['unit']}}}\n"
        return names + "\n".join(self._texts) + "\n"

    def _unit(self, file: str) -> str:
        optimised = str(self._is_optimised).lower()
        return self.node(
            f'distinct !DICompileUnit(language: DW_LANG_Python, file: {file}, producer: "smelt", isOptimized: {optimised}, '
            "runtimeVersion: 0, emissionKind: FullDebug)",
            "unit",
        )

    def type(self, kind: Type) -> str | None:
        """What a value of a type that is one LLVM value is to a debugger, or the first element of an array; None for others."""
        if isinstance(kind, Array):
            element = self.type(kind.element)
            return element and self.node(f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: {element}, size: 64)")
        if not isinstance(kind, Scalar) or kind.kind not in _ENCODINGS:
            return None
        return self.node(f'!DIBasicType(name: "{kind}", size: {8 * kind.size}, encoding: {_ENCODINGS[kind.kind]})')


class FunctionDebugInformation:
    """The debug metadata of one LLVM function."""

    def __init__(self, module: DebugInformation, symbol: str, source: Any, name: str) -> None:
        self._module = module
        self._symbol = symbol
        self._source = source
        self.subprogram = module.subprogram(symbol, source, name)
        self.nowhere = module.node(f"!DILocation(line: 0, scope: {self.subprogram})")
        """The place of what no line says."""

    def location(self, position: Position) -> str:
        """The metadata node of a place."""
        source = self._source_of(position)
        call = f", inlinedAt: {self.location(position.call)}" if isinstance(position, InlinedPosition) else ""
        line = first_line(source) + position.line
        return self._module.node(
            f"!DILocation(line: {line}, column: {position.column + 1}, scope: {self._scope(position)}{call})"
        )

    def variable(
        self, name: str, kind: Type, row: Sequence[tuple[str, str]], position: Position, *, argument: int = 0
    ) -> str | None:
        """A debug record that says what a variable is from here on, given the LLVM types and names of its value.

        None where there are to be no variables, and for one that a debugger couldn't show. `argument` counts parameters from 1.
        """
        shown = self._module.type(kind) if self._module.has_variables and row and name.isidentifier() else None
        if shown is None:
            return None
        source = self._source_of(position)
        number = f"arg: {argument}, " if argument else ""
        variable = self._module.node(
            f'!DILocalVariable(name: "{name}", {number}scope: {self._scope(position)}, file: {self._module.file(source)}, '
            f"line: {first_line(source)}, type: {shown})"
        )
        llvm_type, value = row[0]
        return f"#dbg_value({llvm_type} {value}, {variable}, !DIExpression(), {self.location(position)})"

    def _source_of(self, position: Position) -> Any:
        return position.function if isinstance(position, InlinedPosition) else self._source

    def _scope(self, position: Position) -> str:
        if not isinstance(position, InlinedPosition):
            return self.subprogram
        place = f"{position.name} at {position.function.__qualname__}"
        return self._module.subprogram(self._symbol, position.function, place)


def first_line(source: Any) -> int:
    """The line of its file that lines of a Python function are counted from."""
    line: int = source.__code__.co_firstlineno
    return line


def path_of(source: Any) -> str:
    """The file of a Python function as it lies on the import path: the directories of its module's packages, and the file's name."""
    *packages, _ = (source.__module__ or "").split(".")
    name = Path(source.__code__.co_filename).name
    if name == "__init__.py":
        packages = source.__module__.split(".")
    return "/".join((*packages, name))


def _escaped(text: str) -> str:
    """A text between the quotes of LLVM IR."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}" for byte in text.encode())
