# SPDX-License-Identifier: Apache-2.0
"""Untyped programs: what the frontend makes of one Python function, once.

The whole grammar is on this page. It is Python's, with names resolved to where they live, positions relative to the function (so
that moving it in its file changes nothing), and nothing in it that kernels can't mean. Every node is immutable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from smelt.ir.positions import Position


@dataclass(frozen=True, slots=True)
class Node:
    position: Position


# Expressions


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, string, bool, None or Ellipsis."""

    value: Any


@dataclass(frozen=True, slots=True)
class Unset(Node):
    """What a variable holds that is assigned again before it is read."""


@dataclass(frozen=True, slots=True)
class Local(Node):
    """A variable of this function."""

    name: str


@dataclass(frozen=True, slots=True)
class Captured(Node):
    """A variable of a function around this one."""

    name: str


@dataclass(frozen=True, slots=True)
class Global(Node):
    """A name of the module, or a builtin."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    value: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Subscript(Node):
    value: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`start:stop:step` as an index."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


@dataclass(frozen=True, slots=True)
class TupleDisplay(Node):
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Starred(Node):
    """`*value`, in a tuple or among the arguments of a call."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    function: Expression
    arguments: tuple[Expression, ...]
    keywords: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`operator` is one of `- + ~ not`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`operator` is one of `+ - * / // % ** @ & | ^ << >>`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`first operator1 operand1 operator2 operand2 ...`, each operand evaluated at most once."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Logical(Node):
    """`and` or `or`, which evaluate no more operands than they need."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`then if test else otherwise`."""

    test: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Walrus(Node):
    """`name := value`."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Closure(Node):
    """A lambda or a function defined inside this one, as a value."""

    body: Body
    defaults: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Generator(Node):
    """A generator expression or list comprehension, as the argument of `sum`, `min`, `max`, `any` or `all`."""

    element: Expression
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Clause(Node):
    """`for target in iterable if test if ...` in a comprehension."""

    target: Target
    iterable: Expression
    tests: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class FormattedString(Node):
    """An f-string: texts, and expressions with their conversions (`r`, `s`, `a` or none) and their format specifications."""

    parts: tuple[str | tuple[Expression, str, str], ...]


Expression: TypeAlias = (
    Literal
    | Unset
    | Local
    | Captured
    | Global
    | Attribute
    | Subscript
    | Slice
    | TupleDisplay
    | Starred
    | Call
    | Unary
    | Binary
    | Compare
    | Logical
    | Conditional
    | Walrus
    | Closure
    | Generator
    | FormattedString
)

# What can be assigned to


@dataclass(frozen=True, slots=True)
class TupleTarget(Node):
    """`a, b = ...`. `starred` is the position of the item that takes the rest, or None."""

    items: tuple[Target, ...]
    starred: int | None


Target: TypeAlias = Local | Subscript | Attribute | TupleTarget

# Statements


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`target1 = target2 = ... = value`."""

    targets: tuple[Target, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class AugmentedAssign(Node):
    """`target operator= value`."""

    target: Local | Subscript | Attribute
    operator: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Evaluate(Node):
    """An expression for its effects."""

    value: Expression


@dataclass(frozen=True, slots=True)
class If(Node):
    test: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class While(Node):
    """`assigned` names the variables that the loop may assign, its `else` apart."""

    test: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    assigned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class For(Node):
    target: Target
    iterable: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    assigned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Break(Node):
    pass


@dataclass(frozen=True, slots=True)
class Continue(Node):
    pass


@dataclass(frozen=True, slots=True)
class Return(Node):
    value: Expression | None


@dataclass(frozen=True, slots=True)
class Raise(Node):
    error: Expression


@dataclass(frozen=True, slots=True)
class Assert(Node):
    test: Expression
    message: Expression | None


@dataclass(frozen=True, slots=True)
class With(Node):
    context: Expression
    body: tuple[Statement, ...]


Statement: TypeAlias = (
    Assign | AugmentedAssign | Evaluate | If | While | For | Break | Continue | Return | Raise | Assert | With
)

# Functions


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a function. `with_default` names those that may be left out."""

    positional_only: tuple[str, ...]
    positional: tuple[str, ...]
    rest: str | None
    keyword_only: tuple[str, ...]
    with_default: frozenset[str]


@dataclass(frozen=True, slots=True)
class Body(Node):
    """One function.

    Attributes
    ----------
    name
        Its name; `<lambda>` for a lambda.
    parameters
        Its parameters.
    statements
        What it does. A lambda has one `Return`.
    captured
        The variables of functions around it that it, or a function in it, uses.
    """

    name: str
    parameters: Parameters
    statements: tuple[Statement, ...]
    captured: tuple[str, ...]
