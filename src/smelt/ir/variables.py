# SPDX-License-Identifier: Apache-2.0
"""Which variables pieces of an untyped program may assign."""

from __future__ import annotations

from collections.abc import Iterable

from smelt.ir import untyped


def assigned_by(statements: Iterable[untyped.Statement]) -> Iterable[str]:
    """The variables that statements may assign."""
    for statement in statements:
        yield from _assigned_in(statement)


def assigned_by_expression(expression: untyped.Node) -> Iterable[str]:
    """The variables that an expression may assign with `:=`."""
    return _assigned_in(expression)


def assigned_by_target(target: untyped.Target) -> Iterable[str]:
    """The variables that assigning to a target assigns."""
    if isinstance(target, untyped.Local):
        yield target.name
    elif isinstance(target, untyped.TupleTarget):
        for item in target.items:
            yield from assigned_by_target(item)


def _assigned_in(node: object) -> Iterable[str]:
    if isinstance(node, untyped.Assign):
        for target in node.targets:
            yield from assigned_by_target(target)
    elif isinstance(node, (untyped.AugmentedAssign, untyped.For)):
        yield from assigned_by_target(node.target)
    elif isinstance(node, untyped.Walrus):
        yield node.name
    if isinstance(node, untyped.Body):
        # What a function inside assigns is its own.
        return
    if isinstance(node, untyped.Node):
        for name in type(node).__dataclass_fields__:
            yield from _assigned_in(getattr(node, name))
    elif isinstance(node, tuple):
        for part in node:
            yield from _assigned_in(part)
