# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - a part of the documentation
"""Every error message of smelt, read from its source.

A message is what an error is made of where it is raised. What differs from one error to another is shown as `…`. So the page that
lists them can't miss a message, nor have one that smelt no longer has; the tests see to it that each has a place in the page.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ELLIPSIS = "…"
THREADS = "threads"
"""The kind of the errors that threads of a kernel raise when it runs."""

# What makes an error in the name of its author: these methods' first text is the message.
_MAKERS = {"error": "KernelError", "refuse": "KernelError", "recursion": "KernelError", "warn": "StoreWarning"}
_EXCEPTIONS = {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)
}
# These say that smelt itself is wrong, or end a search inside of it; no user sees them.
_INTERNAL = {"AssertionError", "NotImplementedError"}


@dataclass(frozen=True, order=True)
class Message:
    """One message.

    Attributes
    ----------
    kind
        The class of the error, or `THREADS`.
    text
        What it says.
    help
        What its author says should be written instead; empty if nothing.
    module
        Where it is raised, relative to the package.
    """

    kind: str
    text: str
    help: str
    module: str


def listed(found: Iterable[Message], kinds: Sequence[str], places: Sequence[str]) -> list[Message]:
    """Those of some kinds, of modules whose names begin with one of `places`; of all modules if there are no places."""
    return [one for one in found if one.kind in kinds and one.module.startswith(tuple(places) or ("",))]


@functools.cache
def messages(package: Path) -> tuple[Message, ...]:
    """Every message of the modules under `package`, in the order of the alphabet."""
    found: set[Message] = set()
    for path in sorted(package.rglob("*.py")):
        found.update(
            _Module(path.relative_to(package).as_posix(), ast.parse(path.read_text(encoding="utf-8"))).messages()
        )
    return tuple(sorted(found))


class _Module:
    """A module of smelt, and the messages in it."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self.tree = tree
        self.all_functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        self.functions = {node.name: node for node in self.all_functions}

    def messages(self) -> Iterator[Message]:
        for function in (self.tree, *self.all_functions):
            for node in _own_nodes(function):
                if isinstance(node, ast.Call):
                    yield from self._of_call(node, function)
                elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("_REFUSED", "_COMPREHENSION"):
                    for pair in ast.walk(node.value):
                        if isinstance(pair, ast.Tuple):
                            what, instead = (self._texts(item, function)[0] for item in pair.elts)
                            yield Message("KernelError", what, instead, self.name)

    def _of_call(self, call: ast.Call, function: ast.AST) -> Iterator[Message]:
        last = ast.unparse(call.func).rpartition(".")[2]
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        kind, given = self._error(last, call, keywords)
        if kind is None:
            return
        texts = [texts for argument in given if (texts := self._texts(argument, function))]
        # What another module advises isn't known here.
        helps = (self._texts(keywords["help"], function) if "help" in keywords else []) or [""]
        if last == "refuse" and len(texts) > 1:
            helps = texts[1]
        for text in texts[0] if texts else ():
            if text.strip(f"{ELLIPSIS}:.; "):
                yield from (Message(kind, text, instead, self.name) for instead in helps)

    def _error(
        self, last: str, call: ast.Call, keywords: dict[str | None, ast.expr]
    ) -> tuple[str | None, Sequence[ast.expr]]:
        """The kind of error that a call makes, and the arguments among which its message is."""
        if "error" in keywords and "message" in keywords:
            return THREADS, [keywords["message"]]
        for error, message in zip(call.args, call.args[1:], strict=False):
            if isinstance(error, ast.Constant) and error.value in _EXCEPTIONS:
                return THREADS, [message]
        if last in _MAKERS:
            return _MAKERS[last], call.args
        if last.endswith("Error") and last not in _INTERNAL:
            return THREADS if self.name.startswith("runtime/") else last, call.args
        return None, ()

    def _texts(self, node: ast.expr, function: ast.AST) -> list[str]:
        """All that an expression can say: none if that isn't known here, since it repeats another error, say."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return ["".join(str(part.value) if isinstance(part, ast.Constant) else ELLIPSIS for part in parts)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [a + b for a in self._texts(left, function) for b in self._texts(right, function)]
            case ast.IfExp(body=then, orelse=otherwise):
                return self._texts(then, function) + self._texts(otherwise, function)
            case ast.Name(id=name):
                return [text for value in _assigned(function, name) for text in self._texts(value, function)]
            case ast.Subscript(value=ast.Name(id=name)):
                tables = [value for value in _assigned(self.tree, name) if isinstance(value, ast.Dict)]
                return [text for table in tables for value in table.values for text in self._texts(value, self.tree)]
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                returns = [here for here in _own_nodes(self.functions[name]) if isinstance(here, ast.Return)]
                return [
                    text for here in returns if here.value for text in self._texts(here.value, self.functions[name])
                ]
        return []


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function or module, but not in a function in it."""
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef):
            todo.extend(ast.iter_child_nodes(node))


def _assigned(function: ast.AST, name: str) -> Iterator[ast.expr]:
    """What is assigned to a variable: alone, or as one of several at a time."""
    for node in _own_nodes(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=True)
                    yield from (value for item, value in pairs if isinstance(item, ast.Name) and item.id == name)
