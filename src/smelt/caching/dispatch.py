# SPDX-License-Identifier: Apache-2.0
"""Outcomes of dispatch: which method a call finds, as something that code depends on."""

from __future__ import annotations

import types
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from smelt.caching.dependencies import Dependency
from smelt.caching.methods import Method, MethodInstance, function_name
from smelt.caching.signatures import ArgumentTypes, describe

if TYPE_CHECKING:
    from smelt.caching.tables import LookupTable


class Dispatch(Dependency):
    """The outcome of looking a call up in a table: the method that it finds, or None. An edge, once looked up.

    Attributes
    ----------
    table, function, types
        What was looked up, and where.
    method
        The most specific method that matches, or None where there is none.
    """

    __slots__ = ("function", "method", "table", "types")

    def __init__(self, table: LookupTable, function: Any, types: ArgumentTypes, method: Method | None) -> None:
        super().__init__()
        self.table = table
        self.function = function
        self.types = types
        self.method = method

    @property
    def instance(self) -> MethodInstance | None:
        """The method instance that the call runs, or None where no method matches."""
        return self.method.specialise(self.types) if self.method is not None else None

    @property
    def is_overlaid(self) -> bool:
        """Whether the method was found above the lowest layer of the table."""
        return self.method is not None and self.method.table is not self.table.layers[-1]

    def is_outdated(self) -> bool:
        """Whether the same call has another outcome now."""
        try:
            return self.table.find(self.function, self.types) is not self.method
        except Exception:  # noqa: BLE001 - ambiguous, or a pattern that fails: whatever it is, the next lookup meets it
            return True

    def abandoned(self) -> None:
        self.table._outcomes.remove(self)

    def __repr__(self) -> str:
        return f"<dispatch of {function_name(self.function)}{describe(self.types)} to {self.method}>"


class OutcomesByFunction:
    """The outcomes that some code depends on, by function, keeping no function alive that only they refer to."""

    def __init__(self) -> None:
        # A Python function holds its methods and so, by way of its code, these outcomes: strong keys would keep every
        # closure that was ever compiled. Other callables (bound methods, say) are compared by value and held.
        self._of_functions: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Dispatch]] = weakref.WeakKeyDictionary()
        self._of_others: dict[Any, weakref.WeakSet[Dispatch]] = {}

    def add(self, outcome: Dispatch) -> None:
        self._by(outcome.function).setdefault(outcome.function, weakref.WeakSet()).add(outcome)

    def remove(self, outcome: Dispatch) -> None:
        by_function = self._by(outcome.function)
        outcomes = by_function.get(outcome.function)
        if outcomes is not None:
            outcomes.discard(outcome)
            if not outcomes:
                del by_function[outcome.function]

    def of(self, function: Any) -> list[Dispatch]:
        return list(self._by(function).get(function, ()))

    def __iter__(self) -> Iterator[Dispatch]:
        for outcomes in [*self._of_functions.values(), *self._of_others.values()]:
            yield from list(outcomes)

    def _by(self, function: Any) -> Any:
        return self._of_functions if isinstance(function, types.FunctionType) else self._of_others
