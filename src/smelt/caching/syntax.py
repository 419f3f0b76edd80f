# SPDX-License-Identifier: Apache-2.0
"""The normal form of a function's syntax tree: what is left when everything is gone that plays no part in what it computes.

Gone are positions, comments and formatting (the parser drops them), docstrings, the function's own name and decorators,
annotations unless asked for, and the ways in which one Python version builds another tree than the next. Private names
are as Python mangles them. `ast.dump` serves for none of this, and its text differs between versions.

The normal form is a flat sequence of strings, numbers and other constants, from which the tree could be built again, so
that different trees have different normal forms. A node is its class name with the names of the fields that it has, then
the value of each; a list is its length in brackets, then its items; any other value follows a "=".
"""

from __future__ import annotations

import ast
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from smelt.caching.sources import mangle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smelt.caching.sources import FunctionNode, FunctionSource

Field: TypeAlias = tuple[str, Any, "_Surroundings"]

_ANNOTATIONS = frozenset({"annotation", "returns"})

_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_JOINED = frozenset({"JoinedStr", "TemplateStr"})

_MANGLED_FIELDS = frozenset(
    {
        ("Name", "id"),
        ("Attribute", "attr"),
        ("arg", "arg"),
        ("FunctionDef", "name"),
        ("AsyncFunctionDef", "name"),
        ("ClassDef", "name"),
        ("alias", "name"),
        ("alias", "asname"),
        ("ExceptHandler", "name"),
        ("MatchAs", "name"),
        ("MatchStar", "name"),
        ("MatchMapping", "rest"),
        ("Global", "names"),
        ("Nonlocal", "names"),
        ("TypeVar", "name"),
        ("ParamSpec", "name"),
        ("TypeVarTuple", "name"),
    }
)
"""Where the compiler mangles private names. It leaves keywords alone, in calls as in patterns: tried on 3.11 to 3.13."""


class _Surroundings(NamedTuple):
    class_name: str | None
    """The class whose name private names are mangled with."""
    annotations: bool
    """Whether annotations play a part here."""
    annotations_in_functions: bool
    """Whether they do in functions; in the body of a class they always do, for `dataclass` and its like read them."""


def normal_form(source: FunctionSource, *, annotations: bool) -> dict[str, list[object]]:
    """The normal form of a function, by named parts.

    Parameters
    ----------
    source
        The function.
    annotations
        Whether the annotations of its parameters, its result and its local variables play a part.
    """
    node = source.node
    around = _Surroundings(source.class_name, annotations, annotations)
    parts: dict[str, list[object]] = {
        "kind": [type(node).__name__],
        "parameters": list(_parameters(node.args, around)),
        "body": _flat(_without_docstring(node.body), around),
    }
    if annotations:
        parts["annotations"] = list(_annotations(node, around))
    return parts


def _parameters(arguments: ast.arguments, around: _Surroundings) -> Iterator[object]:
    """The parameters by kind and name, with whether each has a default. What the default is belongs to the function object."""
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    yield from (len(arguments.posonlyargs), len(arguments.args), len(arguments.kwonlyargs))
    for index, parameter in enumerate(positional):
        yield from (mangle(parameter.arg, around.class_name), index >= first_default)
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield from (mangle(parameter.arg, around.class_name), default is not None)
    for rest in (arguments.vararg, arguments.kwarg):
        yield mangle(rest.arg, around.class_name) if rest is not None else None


def _annotations(node: FunctionNode, around: _Surroundings) -> Iterator[object]:
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [parameter for parameter in (arguments.vararg, arguments.kwarg) if parameter is not None]
    for parameter in (*parameters, *rest):
        if parameter.annotation is not None:
            yield mangle(parameter.arg, around.class_name)
            yield from _flat(parameter.annotation, around)
    if not isinstance(node, ast.Lambda):
        if node.returns is not None:
            yield "return"
            yield from _flat(node.returns, around)
        # From Python 3.12 on. Without annotations they say nothing: what the body reads of them are cells.
        if type_parameters := getattr(node, "type_params", None):
            yield from _flat(type_parameters, around)


def _flat(root: Any, around: _Surroundings) -> list[object]:
    flat: list[object] = []
    # A list instead of recursion: a long sum is as deep as it has terms.
    pending: list[tuple[Any, _Surroundings]] = [(root, around)]
    while pending:
        value, around = pending.pop()
        if isinstance(value, (ast.Constant, ast.MatchSingleton)):
            # None is a value here, and no field that is missing.
            flat += (type(value).__name__, value.value)
        elif isinstance(value, ast.AST):
            name, fields = _normal_node(value, around)
            flat.append(f"{name}({','.join([field for field, _, _ in fields])})")
            pending += [(value, around) for _, value, around in reversed(fields)]
        elif isinstance(value, list):
            flat.append(f"[{len(value)}]")
            pending += [(item, around) for item in reversed(value)]
        else:
            flat += ("=", value)
    return flat


def _normal_node(node: ast.AST, around: _Surroundings) -> tuple[str, list[Field]]:
    """The class name and the fields of a node that say something, each with the surroundings that its value is in."""
    name = type(node).__name__
    if isinstance(node, ast.AnnAssign) and not around.annotations and node.value is not None:
        return "Assign", [("targets", [node.target], around), ("value", node.value, around)]
    inside = around
    if isinstance(node, ast.ClassDef):
        inside = around._replace(class_name=node.name, annotations=True)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        around = inside = around._replace(annotations=around.annotations_in_functions)
    fields: list[Field] = []
    for field in node._fields:
        # Whether a name is read or written follows from its place.
        if field == "ctx" or (field in _ANNOTATIONS and not around.annotations):
            continue
        value = _normal_field(node, name, field, around.class_name)
        # A field that this version of Python has and another one lacks is None or empty where both mean the same.
        if value is not None and value != []:
            fields.append((field, value, inside if field == "body" else around))
    return name, fields


def _normal_field(node: ast.AST, name: str, field: str, class_name: str | None) -> Any:
    value = getattr(node, field, None)
    if class_name is not None and (name, field) in _MANGLED_FIELDS:
        return _mangled(value, class_name)
    if field == "body" and isinstance(node, _WITH_DOCSTRING):
        return _without_docstring(value)
    if field == "values" and name in _JOINED:
        return _merged(node)
    if field == "format_spec" and not _merged(value):
        # `f"{x:}"` is `f"{x}"`.
        return None
    return value


def _mangled(value: Any, class_name: str) -> Any:
    if isinstance(value, list):
        return [mangle(item, class_name) for item in value]
    return mangle(value, class_name) if isinstance(value, str) else value


def _merged(joined: Any) -> list[ast.AST]:
    """The parts of an f-string with neighbouring pieces of text joined: Python 3.12 leaves empty ones in format specifiers."""
    merged: list[ast.AST] = []
    for is_text, parts in groupby(getattr(joined, "values", ()), _is_text):
        if not is_text:
            merged.extend(parts)
        elif text := "".join([part.value for part in parts]):
            merged.append(ast.Constant(text))
    return merged


def _is_text(part: ast.AST) -> bool:
    return isinstance(part, ast.Constant) and isinstance(part.value, str)


def _without_docstring(body: Any) -> Any:
    """The body of a function or class without its docstring; the body of a lambda as it is."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            # A docstring alone is as good as `pass`.
            return rest or [ast.Pass()]
    return body
