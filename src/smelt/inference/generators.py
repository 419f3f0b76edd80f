# SPDX-License-Identifier: Apache-2.0
"""Comprehensions as arguments of `sum`, `min`, `max`, `any` and `all`: each becomes a loop that accumulates into a variable."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from smelt.ir.positions import Position
from smelt.ir.untyped import (
    Assign,
    Binary,
    Break,
    Call,
    Clause,
    Compare,
    Conditional,
    Expression,
    For,
    Generator,
    If,
    Literal,
    Local,
    Logical,
    Raise,
    Statement,
    Unary,
    Unset,
)
from smelt.ir.variables import assigned_by, assigned_by_target

Statements = tuple[Statement, ...]


def reduction(function: Any, node: Call) -> tuple[Statements, Expression] | None:
    """The statements that compute a call of `function` whose first argument is a generator, and the expression of its result then.

    None if `function` takes no generator, or not the other arguments of the call.
    """
    generator, *others = node.arguments
    assert isinstance(generator, Generator)
    reduce, names = _REDUCTIONS.get(function, (None, ()))
    given = dict(node.keywords)
    if function is sum and len(others) == 1 and not given:
        # The one that can also be given by its position.
        given, others = {"start": others[0]}, []
    if reduce is None or others or not set(given) <= set(names):
        return None
    place = generator.position
    # Variables that no name of Python's can be, one set for each place where a generator stands.
    return reduce(generator, f"{place.line}.{place.column}", *map(given.get, names))


def temporaries(statements: Statements) -> frozenset[str]:
    """The variables of a comprehension that it alone has: those that no name of Python's can be."""
    return frozenset(name for name in assigned_by(statements) if "." in name)


def _sum(generator: Generator, names: str, start: Expression | None) -> tuple[Statements, Expression]:
    place = generator.position
    total = Local(place, f"total.{names}")
    add = Assign(place, (total,), Binary(place, "+", total, generator.element))
    begin = Assign(place, (total,), start or Literal(place, 0))
    return (begin, *_loops(generator, (add,), ())), total


def _extreme(function: Any, symbol: str) -> Callable[..., tuple[Statements, Expression]]:
    def reduce(
        generator: Generator, names: str, default: Expression | None, key: Expression | None
    ) -> tuple[Statements, Expression]:
        place = generator.position
        best, found, item, least, rank = (
            Local(place, f"{purpose}.{names}") for purpose in ("best", "found", "item", "least", "rank")
        )
        is_better = Logical(place, "or", (Unary(place, "not", found), Compare(place, rank, ((symbol, least),))))
        take = (
            Assign(place, (best,), item),
            Assign(place, (least,), rank),
            Assign(place, (found,), Literal(place, True)),
        )
        ranked = item if key is None else Call(place, key, (item,), ())
        body = (
            Assign(place, (item,), generator.element),
            Assign(place, (rank,), ranked),
            If(place, is_better, take, ()),
        )
        begin = (Assign(place, (best, least), Unset(place)), Assign(place, (found,), Literal(place, False)))
        statements = (*begin, *_loops(generator, body, ()))
        if default is None:
            return (*statements, _require(place, found, function)), best
        return statements, Conditional(place, found, best, default)

    return reduce


def _any_or_all(*, stops_at: bool) -> Callable[..., tuple[Statements, Expression]]:
    def reduce(generator: Generator, names: str) -> tuple[Statements, Expression]:
        place = generator.position
        stopped = Local(place, f"stopped.{names}")
        test = generator.element if stops_at else Unary(place, "not", generator.element)
        stop = (Assign(place, (stopped,), Literal(place, True)), Break(place))
        begin = Assign(place, (stopped,), Literal(place, False))
        # The loops around are left, too.
        leave = (If(place, stopped, (Break(place),), ()),)
        statements = (begin, *_loops(generator, (If(place, test, stop, ()),), leave))
        return statements, stopped if stops_at else Unary(place, "not", stopped)

    return reduce


def _loops(generator: Generator, body: Statements, after_inner: Statements) -> Statements:
    """The loops of a generator around `body`. `after_inner` follows each loop that stands in another."""
    for clause in reversed(generator.clauses):
        is_outermost = clause is generator.clauses[0]
        body = (_loop(clause, body), *(() if is_outermost else after_inner))
    return body


def _loop(clause: Clause, body: Statements) -> Statement:
    for test in reversed(clause.tests):
        body = (If(test.position, test, body, ()),)
    assigned = tuple(dict.fromkeys((*assigned_by_target(clause.target), *assigned_by(body))))
    return For(clause.position, clause.target, clause.iterable, body, (), assigned)


def _require(place: Position, found: Expression, function: Any) -> Statement:
    message = Literal(place, f"{function.__name__}() iterable argument is empty")
    error = Raise(place, Call(place, Literal(place, ValueError), (message,), ()))
    return If(place, Unary(place, "not", found), (error,), ())


# Each with the names of the other arguments that it takes.
_REDUCTIONS: dict[Any, tuple[Callable[..., tuple[Statements, Expression]], tuple[str, ...]]] = {
    builtins.sum: (_sum, ("start",)),
    builtins.min: (_extreme(min, "<"), ("default", "key")),
    builtins.max: (_extreme(max, ">"), ("default", "key")),
    builtins.any: (_any_or_all(stops_at=True), ()),
    builtins.all: (_any_or_all(stops_at=False), ()),
}
