# SPDX-License-Identifier: Apache-2.0
"""The tables that methods are added to."""

from __future__ import annotations

import abc
from typing import Any

from smelt.caching.cache import CodeCache
from smelt.caching.constants import constant_key, types_key
from smelt.caching.dependencies import Dependency
from smelt.caching.errors import MethodTableError
from smelt.caching.locking import exclusively
from smelt.caching.methods import Method, function_name
from smelt.caching.signatures import ArgumentTypes, Signature, check_signature, describe
from smelt.caching.tables import LookupTable, check_function, check_table


class MethodTable(LookupTable):
    """A table of methods, each for one function and one signature, filled by `add_method`.

    The methods of a `timeless` table stand in every world: it is filled before anything is looked up in it, and never changed.
    """

    def __init__(self, name: str, *, cache: CodeCache | None = None, timeless: bool = False) -> None:
        super().__init__(name, cache)
        self._is_timeless = timeless
        # Tuples that are replaced whole, so that lookups need no lock.
        self._current: dict[Any, tuple[Method, ...]] = {}
        self._former: dict[Any, tuple[Method, ...]] = {}
        # What `find_here` found in the current world; emptied for a function whenever its methods change.
        self._found: dict[Any, dict[object, Method | None]] = {}
        self._registrations = abc.get_cache_token()

    def find_here(self, function: Any, types: ArgumentTypes, world: int | None) -> Method | None:
        if world is not None:
            return super().find_here(function, types, world)
        registrations = abc.get_cache_token()
        if self._registrations != registrations:
            # In this order: who finds the token noted, in another thread, relies on what was found before it being gone.
            self._found.clear()
            self._registrations = registrations
        if function not in self._current:
            return None
        found = self._found.setdefault(function, {})
        key = types_key(types)
        if key not in found:
            found[key] = super().find_here(function, types, None)
        return found[key]

    def methods_here(self, function: Any, world: int | None) -> tuple[Method, ...]:
        current = self._current.get(function, ())
        if world is None:
            return current
        # A method that ends while this looks may be in both.
        both = dict.fromkeys((*current, *self._former.get(function, ())))
        return tuple(m for m in both if world in m.world_range)

    def add(self, function: Any, signature: Signature, source: Any) -> Method:
        """As `add_method`."""
        signature = check_signature(signature)
        check_function(function)
        with exclusively():
            replaced = self._same_signature(function, signature)
            if self._is_timeless:
                self._refuse_change(self._found or replaced)
            world = 1 if self._is_timeless else self.cache.begin_world()
            if replaced is not None:
                self._end(replaced)
            method = Method(self.cache, self, function, signature, source, world)
            self._current[function] = (*(m for m in self._current.get(function, ()) if m is not replaced), method)
            what = (
                f"{function_name(function)}{describe(signature)} was {'redefined' if replaced else 'defined'} in {self}"
            )
            self._changed(function, replaced, what)
        return method

    def remove(self, method: object) -> None:
        """As `remove_method`."""
        with exclusively():
            if not isinstance(method, Method) or method not in self._current.get(method.function, ()):
                raise MethodTableError(f"{method!r} does not stand in {self}")
            self._refuse_change(self._is_timeless)
            self.cache.begin_world()
            self._end(method)
            rest = tuple(m for m in self._current[method.function] if m is not method)
            if rest:
                self._current[method.function] = rest
            else:
                del self._current[method.function]
            what = f"{function_name(method.function)}{describe(method.signature)} was removed from {self}"
            self._changed(method.function, method, what)

    def _refuse_change(self, is_change: object) -> None:
        if is_change:
            raise MethodTableError(f"{self} is timeless: its methods stand in every world, so they can't be changed")

    def drop_former(self, method: Method) -> None:
        rest = tuple(m for m in self._former.get(method.function, ()) if m is not method)
        if rest:
            self._former[method.function] = rest
        else:
            self._former.pop(method.function, None)

    def _end(self, method: Method) -> None:
        # Before it leaves `_current`, which a lookup reads first, and without the lock: it is found in one or the other.
        method.max_world = self.cache.world_number - 1
        if self.cache.retain_method(method):
            self._former[method.function] = (*self._former.get(method.function, ()), method)

    def _changed(self, function: Any, ended: Method | None, what: str) -> None:
        self._found.pop(function, None)
        outdated: list[Dependency] = [] if ended is None else [ended]
        for table in list(self._searched_by):
            for outcome in table._outcomes.of(function):
                # First watched, then looked at, so that a registration in between is noticed.
                if table.outcome_depends_on_registration(function):
                    self.cache.watch_registrations(outcome)
                if outcome.is_outdated():
                    outdated.append(outcome)
        self.cache.invalidate(what, outdated)

    def _same_signature(self, function: Any, signature: Signature) -> Method | None:
        key = constant_key(signature)
        for method in self._current.get(function, ()):
            if constant_key(method.signature) == key:
                return method
        return None


def add_method(table: MethodTable, function: Any, signature: Signature, source: Any) -> Method:
    """Define a method: `source` is what `function` does for arguments that match `signature`, in `table`.

    A method of the same signature in the same table is replaced. Begins a world, and invalidates the code that the definition
    reaches: what was compiled from the replaced method, and every call that finds this method now and found another before.

    Parameters
    ----------
    table
        The table.
    function
        The function, any hashable object.
    signature
        A tuple with one entry for each argument, see `signatures`.
    source
        What a compiler makes code from: a Python function, or any object of its own.

    Raises
    ------
    MethodTableError
        If `table` is no `MethodTable`, or `function` can't be hashed.
    SignatureError
        If `signature` isn't one.
    """
    return _check_method_table(table).add(function, signature, source)


def remove_method(table: MethodTable, method: Method) -> None:
    """Take a method out of its table; calls find what they would have found without it.

    Raises `MethodTableError` if the method does not stand in the table.
    """
    _check_method_table(table).remove(method)


def _check_method_table(table: object) -> MethodTable:
    if isinstance(table, MethodTable):
        return table
    check_table(table)
    raise MethodTableError(f"{table} takes no methods; add them to one of its layers, a MethodTable")
