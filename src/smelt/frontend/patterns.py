# SPDX-License-Identifier: Apache-2.0
"""`match` statements: a pattern becomes a test, which assigns the names that the pattern captures."""

from __future__ import annotations

import ast

from smelt.frontend.expressions import ExpressionTranslator
from smelt.ir import untyped
from smelt.ir.positions import Position


def case_test(
    translator: ExpressionTranslator, pattern: ast.pattern, subject: untyped.Expression
) -> untyped.Expression:
    """The expression that is true where `pattern` matches `subject`."""
    position = translator.position(pattern)
    match pattern:
        case ast.MatchValue(value=value):
            return untyped.Compare(position, subject, (("==", translator.expression(value)),))
        case ast.MatchSingleton(value=value):
            return untyped.Compare(position, subject, (("is", untyped.Literal(position, value)),))
        case ast.MatchOr(patterns=patterns):
            return untyped.Logical(position, "or", tuple(case_test(translator, p, subject) for p in patterns))
        case ast.MatchAs(pattern=inner, name=name):
            tests = [] if inner is None else [case_test(translator, inner, subject)]
            if name is not None:
                tests.append(_capture(position, name, subject))
            return _all(position, tests)
        case ast.MatchSequence(patterns=patterns):
            return _sequence_test(translator, position, patterns, subject)
    raise translator.refuse(
        pattern,
        "kernels match literals, names and tuples",
        "use `if` with isinstance, or compare the fields one by one",
    )


def _sequence_test(
    translator: ExpressionTranslator,
    position: Position,
    patterns: list[ast.pattern],
    subject: untyped.Expression,
) -> untyped.Expression:
    starred = next((i for i, pattern in enumerate(patterns) if isinstance(pattern, ast.MatchStar)), None)
    fixed = len(patterns) - (starred is not None)
    is_tuple = _call(position, isinstance, subject, untyped.Literal(position, tuple))
    length = untyped.Compare(
        position,
        _call(position, len, subject),
        (("==" if starred is None else ">=", untyped.Literal(position, fixed)),),
    )
    tests: list[untyped.Expression] = [is_tuple, length]
    for index, pattern in enumerate(patterns):
        if isinstance(pattern, ast.MatchStar):
            if pattern.name is not None:
                stop = index + 1 - len(patterns)
                span = untyped.Slice(
                    position, untyped.Literal(position, index), untyped.Literal(position, stop) if stop else None, None
                )
                tests.append(_capture(position, pattern.name, untyped.Subscript(position, subject, span)))
            continue
        place = index if starred is None or index < starred else index - len(patterns)
        item = untyped.Subscript(position, subject, untyped.Literal(position, place))
        tests.append(case_test(translator, pattern, item))
    return _all(position, tests)


def _capture(position: Position, name: str, value: untyped.Expression) -> untyped.Expression:
    # Assigned for its effect; the test is true whatever was captured.
    return untyped.Compare(
        position,
        untyped.TupleDisplay(position, (untyped.Walrus(position, name, value),)),
        (("is not", untyped.Literal(position, None)),),
    )


def _call(position: Position, function: object, *arguments: untyped.Expression) -> untyped.Expression:
    return untyped.Call(position, untyped.Literal(position, function), arguments, ())


def _all(position: Position, tests: list[untyped.Expression]) -> untyped.Expression:
    if not tests:
        return untyped.Literal(position, True)
    return tests[0] if len(tests) == 1 else untyped.Logical(position, "and", tuple(tests))
