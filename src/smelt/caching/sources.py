# SPDX-License-Identifier: Apache-2.0
"""From a function to the syntax tree of its own code.

A function is the source of its code object and of nothing else: `functools.wraps` and `__wrapped__` are never followed,
and a function whose `__code__` was replaced has the source of the new one. What is handed out is checked: the file is
compiled once more, and must hold code equal to the function's, so that an edited file is never taken for what runs.

Invariants:

- A source that was handed out for a code object stays the source of that code object, whatever becomes of the file:
  code objects don't change.
- A parsed file is used only as long as `linecache` gives the lines that it was parsed from.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import threading
import warnings
import weakref
from collections import OrderedDict, defaultdict
from contextlib import contextmanager
from functools import reduce
from operator import or_
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from smelt.caching.code_comparison import is_same_code
from smelt.caching.errors import SourceError
from smelt.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUNCTION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class FunctionSource(Record, eq=False):
    """The source of one function.

    Attributes
    ----------
    node
        The definition or lambda. It is shared by all who ask for it: don't change it.
    filename
        Where it stands, as its code object says: a path, or the name of a notebook cell.
    first_line
        The line of its first decorator, or of `def` or `lambda`; from 1.
    lines
        All lines of the file, without line ends; `node.lineno` counts them from 1.
    class_name
        The innermost class that its text stands in, by which Python mangles private names, or None.
    """

    node: FunctionNode
    filename: str
    first_line: int
    lines: tuple[str, ...]
    class_name: str | None

    def line(self, number: int) -> str:
        """The text of one line, counted from 1 as in `ast`; empty where the file has no such line."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def function_source(function: FunctionType) -> FunctionSource:
    """The syntax tree that the code of `function` was made from, and where it stands.

    Parameters
    ----------
    function
        A Python function. Of a method pass its `__func__`.

    Raises
    ------
    SourceError
        If it is no Python function, has no source, or its source has changed since it was made.
    """
    return _source_files.source_of(function)


def mangle(name: str, class_name: str | None) -> str:
    """What `name` is called when it stands in the text of class `class_name`: `__x` is `_Class__x` there."""
    if class_name is None or not name.startswith("__") or name.endswith("__") or "." in name:
        return name
    visible = class_name.lstrip("_")
    return f"_{visible}{name}" if visible else name


class SourceFiles:
    """The files that functions were looked up in, parsed once each; the last `limit` of them are kept."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        self._files: OrderedDict[str, _ParsedFile] = OrderedDict()
        # By identity, for code objects of different files compare equal. The reference says when an entry is void.
        self._settled: dict[int, tuple[weakref.ref[CodeType], FunctionSource]] = {}

    def source_of(self, function: FunctionType) -> FunctionSource:
        """See `function_source`."""
        if not isinstance(function, FunctionType):
            kind = type(function)
            name = getattr(function, "__qualname__", None)
            named = f" {name}" if isinstance(name, str) else ""
            raise SourceError(
                f"{kind.__module__}.{kind.__qualname__}{named} has no Python source: only a function defined with def or "
                "lambda has; of a method pass its __func__"
            )
        code = function.__code__
        known = self._settled.get(id(code))
        if known is not None and known[0]() is code:
            return known[1]
        try:
            with self._lock:
                source = self._parsed_file(function).source_of(function)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise SourceError(
                f"the source of {_full_name(function)} can't be read, for {code.co_filename} doesn't compile any more: {error}"
            ) from error
        settled, key = self._settled, id(code)
        settled[key] = (weakref.ref(code, lambda _: settled.pop(key, None)), source)
        return source

    def _parsed_file(self, function: FunctionType) -> _ParsedFile:
        filename = function.__code__.co_filename
        # linecache keeps what it has read until it is told to look at the file again.
        linecache.checkcache(filename)
        lines = linecache.getlines(filename, function.__globals__)
        if not lines:
            raise SourceError(
                f"{_full_name(function)} has no source: nothing is known of the text of {filename}; "
                "define it in a file or a notebook cell"
            )
        parsed = self._files.get(filename)
        if parsed is None or not parsed.is_made_of(lines):
            parsed = self._files[filename] = _ParsedFile(filename, lines)
            if len(self._files) > self._limit:
                self._files.popitem(last=False)
        self._files.move_to_end(filename)
        return parsed


_source_files = SourceFiles()


def _full_name(function: FunctionType) -> str:
    return f"{function.__module__}.{function.__qualname__}"


class _Mode(NamedTuple):
    """How a file is compiled.

    Attributes
    ----------
    future
        The future statements in force: a notebook or a doctest takes over those of the cells before.
    is_whole
        Whether all at once, or statement by statement, as notebooks and shells do it. It shows: where a name is imported in what is
        compiled at once, calls of its attributes have other instructions (`is_import_originated` in CPython's compiler).
    """

    future: int
    is_whole: bool


class _ParsedFile:
    """A file's syntax tree, the functions in it by name and first line, and what the file compiles to."""

    def __init__(self, filename: str, lines: list[str]) -> None:
        self.filename = filename
        self.given_lines = lines
        self.text = "".join(lines)
        # As Python counts lines: a form feed and the separators of Unicode, at which `str.splitlines` splits, don't end one.
        self.lines = tuple(self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        self.functions = list(_functions_in(self._parse()))
        self.by_place: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index, (node, _) in enumerate(self.functions):
            self.by_place[_name_and_first_line(node)].append(index)
        self._compiled: dict[_Mode, dict[tuple[str, int], list[CodeType]]] = {}
        self._told_apart: dict[_Mode, dict[int, CodeType]] = {}

    def is_made_of(self, lines: list[str]) -> bool:
        # The very same list is the common case, and not compared line by line.
        return lines is self.given_lines or lines == self.given_lines

    def source_of(self, function: FunctionType) -> FunctionSource:
        code = function.__code__
        place = (code.co_name, code.co_firstlineno)
        candidates = self.by_place.get(place, [])
        if _is_rewritten_by_pytest(code):
            matching = [index for index in candidates if _has_parameters(*self.functions[index], code)]
        else:
            future = code.co_flags & _FUTURE_FLAGS
            modes = (_Mode(future, is_whole=True), _Mode(future, is_whole=False))
            matching = next(filter(None, (self._matching(candidates, code, mode) for mode in modes)), [])
        if not matching:
            raise SourceError(
                f"the source of {_full_name(function)} in {self.filename} has changed since it was imported; reload the "
                "module (or it was made by something that rewrites code, and has no source of its own)"
            )
        node, class_name = self.functions[self._chosen(matching, function)]
        return FunctionSource(node, self.filename, code.co_firstlineno, self.lines, class_name)

    def _matching(self, candidates: list[int], code: CodeType, mode: _Mode) -> list[int]:
        """Which of the functions that share the place of `code` compile to it."""
        if len(candidates) > 1:
            # Only lambdas share a line and a name.
            told_apart = self._lambdas_told_apart(mode)
            return [i for i in candidates if i in told_apart and is_same_code(told_apart[i], code)]
        compiled = self._codes(mode).get((code.co_name, code.co_firstlineno), ())
        return candidates if any(is_same_code(other, code) for other in compiled) else []

    def _chosen(self, matching: list[int], function: FunctionType) -> int:
        """The one of several functions of the same place and code, most often lambdas on a line, that this one is."""
        if len(matching) == 1:
            return matching[0]
        positions = list(_positions(function.__code__))
        extents = {index: _extent(self.functions[index][0]) for index in matching}
        around = [
            i for i, (start, end) in extents.items() if all(start <= first and last <= end for first, last in positions)
        ]
        if len(around) == 1:
            return around[0]
        # No positions: the interpreter was told to keep none, or (Python 3.12) the lambda is a constant. Equal texts serve alike.
        if len({ast.dump(self.functions[index][0]) for index in matching}) == 1:
            return matching[0]
        raise SourceError(
            f"line {function.__code__.co_firstlineno} of {self.filename} has several functions that compile to the code of "
            f"{_full_name(function)}; put each on a line of its own"
        )

    def _parse(self) -> ast.Module:
        with _silent_compiler():
            tree = compile(self.text, self.filename, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)
        return tree

    def _compile(self, tree: ast.Module, mode: _Mode) -> Iterator[CodeType]:
        """All code objects that the file, or a variant of it, compiles to."""
        # Notebooks await at top level. Without an argument, `optimize` is the level of this interpreter.
        flags = mode.future | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        for part in [tree] if mode.is_whole else [ast.Module([statement], []) for statement in tree.body]:
            with _silent_compiler():
                code = compile(part, self.filename, "exec", flags, dont_inherit=True)
            assert isinstance(code, CodeType)
            yield from _codes_in(code)

    def _codes(self, mode: _Mode) -> dict[tuple[str, int], list[CodeType]]:
        codes = self._compiled.get(mode)
        if codes is None:
            codes = defaultdict(list)
            for code in self._compile(self._parse(), mode):
                codes[code.co_name, code.co_firstlineno].append(code)
            self._compiled[mode] = codes
        return codes

    def _lambdas_told_apart(self, mode: _Mode) -> dict[int, CodeType]:
        """What each lambda that shares its line with another one compiles to.

        Which is which can't be read off the compiled file: equal lambdas may share one code object, dead ones have none,
        and columns are not always kept. So the file is compiled with each of them moved to a line of its own. A lambda is
        moved as a whole, and never together with one around it, for line ends leave traces in code.
        """
        told_apart = self._told_apart.get(mode)
        if told_apart is None:
            told_apart = {}
            for wave in self._waves_of_shared_lines():
                tree = self._parse()
                twins = [node for node, _ in _functions_in(tree)]
                moved: dict[int, int] = {}
                for count, index in enumerate(wave, start=1):
                    twin = twins[index]
                    assert isinstance(twin, ast.Lambda)
                    offset = count * (len(self.lines) + 1)
                    twin.lineno, twin.end_lineno = twin.lineno + offset, twin.lineno + offset
                    # The defaults stay: they are code of what is around the lambda.
                    ast.increment_lineno(twin.body, offset)
                    moved[twin.lineno] = index
                for code in self._compile(tree, mode):
                    if code.co_firstlineno in moved:
                        # What is inside a lambda moved with it, and comes after it.
                        told_apart.setdefault(moved[code.co_firstlineno], code)
            self._told_apart[mode] = told_apart
        return told_apart

    def _waves_of_shared_lines(self) -> list[list[int]]:
        """The lambdas that share their line with another one, by how many of these are around each."""
        shared = [index for at_place in self.by_place.values() if len(at_place) > 1 for index in at_place]
        depths = {id(self.functions[index][0]): 0 for index in shared}
        for index in shared:
            for node in ast.walk(self.functions[index][0]):
                if id(node) in depths:
                    depths[id(node)] += 1
        waves: dict[int, list[int]] = defaultdict(list)
        for index in shared:
            waves[depths[id(self.functions[index][0])]].append(index)
        return list(waves.values())


# What a code object inherits from its file or from the cells before. CO_NESTED, which `nested_scopes` shares, says
# something about the function instead.
_FUTURE_FLAGS = reduce(or_, [getattr(__future__, name).compiler_flag for name in __future__.all_feature_names])
_FUTURE_FLAGS &= ~__future__.nested_scopes.compiler_flag


@contextmanager
def _silent_compiler() -> Iterator[None]:
    """The compiler's warnings were given when the file was imported; here they would be repeated, or raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _functions_in(tree: ast.Module) -> Iterator[tuple[FunctionNode, str | None]]:
    """All functions of a module with the classes that their text stands in, always in the same order."""
    # A list instead of recursion: a long sum is as deep as it has terms.
    pending: list[tuple[ast.AST, str | None]] = [(tree, None)]
    while pending:
        node, class_name = pending.pop()
        if isinstance(node, _FUNCTION_NODES):
            yield node, class_name
        if isinstance(node, ast.ClassDef):
            pending.extend((child, class_name) for child in (*node.decorator_list, *node.bases, *node.keywords))
            pending.extend((child, node.name) for child in node.body)
        else:
            pending.extend((child, class_name) for child in ast.iter_child_nodes(node))


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    pending = [code]
    while pending:
        code = pending.pop()
        yield code
        pending.extend(constant for constant in code.co_consts if isinstance(constant, CodeType))


def _name_and_first_line(node: FunctionNode) -> tuple[str, int]:
    """The `co_name` and `co_firstlineno` of what `node` compiles to."""
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, node.decorator_list[0].lineno if node.decorator_list else node.lineno


def _extent(node: FunctionNode) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the code of a function comes from. Of a lambda it is the body alone: a default may be a lambda of the same code."""
    inner = node.body if isinstance(node, ast.Lambda) else node
    assert inner.end_lineno is not None
    assert inner.end_col_offset is not None
    return (inner.lineno, inner.col_offset), (inner.end_lineno, inner.end_col_offset)


def _positions(code: CodeType) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for line, end_line, column, end_column in code.co_positions():
        if line is None or end_line is None or column is None or end_column is None:
            continue
        # Instructions that stand for no text (RESUME, an implicit return) have an empty extent at the line's beginning.
        if (line, column) != (end_line, end_column):
            yield (line, column), (end_line, end_column)


def _is_rewritten_by_pytest(code: CodeType) -> bool:
    # Its assertion rewriting adds names that can't be written: `@py_assert1`, `@pytest_ar`...
    return any(name.startswith("@py") for inner in _codes_in(code) for name in (*inner.co_names, *inner.co_varnames))


def _has_parameters(node: FunctionNode, class_name: str | None, code: CodeType) -> bool:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    parameters = [*positional, *arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))]
    names = tuple(mangle(parameter.arg, class_name) for parameter in parameters)
    return (
        (len(arguments.posonlyargs), len(positional), len(arguments.kwonlyargs))
        == (code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount)
    ) and code.co_varnames[: len(names)] == names
