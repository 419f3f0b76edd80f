# SPDX-License-Identifier: Apache-2.0
"""Method tables: where methods are looked up, alone or stacked one over another.

The method of a call is the most specific one whose signature its argument types match. What was found, or that nothing was,
is an outcome of dispatch: code that depends on it is invalidated when a definition changes the outcome, and only then.

Invariants, while the lock of `locking` is free:

- No two current methods of one function in one table have the same signature.
- A method that stands no longer is kept exactly as long as somebody holds a world in which it stood.
- Every current outcome that code depends on is what `find` gives now.
"""

from __future__ import annotations

import weakref
from typing import Any

from smelt.caching.cache import CodeCache, default_cache
from smelt.caching.dispatch import Dispatch, OutcomesByFunction
from smelt.caching.errors import MethodTableError
from smelt.caching.methods import Method, MethodInstance
from smelt.caching.signatures import ArgumentTypes, check_argument_types, matches, uses_abstract_classes
from smelt.caching.specificity import most_specific, most_specific_first
from smelt.caching.worlds import World


class LookupTable:
    """Where methods are looked up: what `MethodTable`, `FunctionTable` and `StackedMethodTable` have in common.

    Attributes
    ----------
    cache
        The code cache whose worlds its definitions belong to.
    layers
        The tables that are searched, the topmost first: itself, unless it is a stack.
    """

    def __init__(self, name: str, cache: CodeCache | None) -> None:
        self.name = name
        self.cache = cache if cache is not None else default_cache()
        self.layers: tuple[LookupTable, ...] = (self,)
        self._outcomes = OutcomesByFunction()
        # Whoever searches this table: itself, and the stacks that it is a layer of.
        self._searched_by: weakref.WeakSet[LookupTable] = weakref.WeakSet((self,))

    def dispatch(self, function: Any, types: ArgumentTypes, world: World | int | None = None) -> Dispatch:
        """Look a call up and return the outcome, which can be an edge.

        Parameters
        ----------
        function
            The function that is called.
        types
            Its argument types, a tuple.
        world
            The world to look in, the current one by default. An older one must be held by somebody.

        Raises
        ------
        SignatureError
            If `types` is no tuple of types.
        AmbiguousCallError
            If several methods match and none is more specific than all others.
        WorldError
            If `world` is gone.
        """
        types = check_argument_types(types)
        return Dispatch(self, function, types, self._find_checked(function, types, world))

    def method_instance(
        self, function: Any, types: ArgumentTypes, world: World | int | None = None
    ) -> MethodInstance | None:
        """The method instance that a call runs, or None where no method matches. Takes and raises what `dispatch` does."""
        types = check_argument_types(types)
        method = self._find_checked(function, types, world)
        return method.specialise(types) if method is not None else None

    def find(self, function: Any, types: ArgumentTypes, world: int | None = None) -> Method | None:
        """The most specific method of the topmost layer that has one for these types."""
        for layer in self.layers:
            found = layer.find_here(function, types, world)
            if found is not None:
                return found
        return None

    def matching_methods(
        self, function: Any, types: ArgumentTypes, world: World | int | None = None
    ) -> tuple[Method, ...]:
        """All methods that match, layer by layer from the top, in each layer no method after a more specific one."""
        types = check_argument_types(types)
        check_function(function)
        number = None if world is None else self.cache.known_world(world)
        return tuple(
            method
            for layer in self.layers
            for method in most_specific_first(layer.methods_here(function, number), types)
        )

    def find_here(self, function: Any, types: ArgumentTypes, world: int | None) -> Method | None:
        """As `find`, in this layer alone."""
        return most_specific(
            function, types, [m for m in self.methods_here(function, world) if matches(m.signature, types)]
        )

    def methods_here(self, function: Any, world: int | None) -> tuple[Method, ...]:
        """The methods of a function that stand in this layer in that world, or now."""
        raise NotImplementedError

    def drop_former(self, method: Method) -> None:
        """Forget a method of this layer that stood in no world that anybody still holds."""
        raise NotImplementedError

    def outcome_depends_on_registration(self, function: Any) -> bool:
        """Whether registering a class with an abstract one can change the outcome of a call."""
        return any(
            uses_abstract_classes(method.signature)
            for layer in self.layers
            for method in layer.methods_here(function, None)
        )

    def _find_checked(self, function: Any, types: ArgumentTypes, world: World | int | None) -> Method | None:
        check_function(function)
        return self.find(function, types, None if world is None else self.cache.known_world(world))

    def __repr__(self) -> str:
        return self.name


class StackedMethodTable(LookupTable):
    """Tables searched one over another: the topmost that has a method for a call decides.

    `StackedMethodTable(overlay, base)`; a layer may be a stack itself, and there may be any number.
    Raises `MethodTableError` for what is no table, for no table at all, and for tables of different caches.
    """

    def __init__(self, *tables: LookupTable, name: str | None = None) -> None:
        if not tables:
            raise MethodTableError("a stack of method tables needs at least one: StackedMethodTable(overlay, base)")
        for table in tables:
            check_table(table)
        if len({id(table.cache) for table in tables}) > 1:
            raise MethodTableError(
                f"{', '.join(map(str, tables))} belong to different code caches and can't be stacked"
            )
        super().__init__(name or " over ".join(table.name for table in tables), tables[0].cache)
        self.layers = tuple(layer for table in tables for layer in table.layers)
        for layer in self.layers:
            layer._searched_by.add(self)


def method_instance(
    function: Any, types: ArgumentTypes, *, table: LookupTable, world: World | int | None = None
) -> MethodInstance | None:
    """The method instance that a call runs in a world, by default the current one; None where no method matches.

    Raises `SignatureError` for types that are none, `AmbiguousCallError` where several methods match equally well, and
    `WorldError` for a world that is gone.
    """
    return check_table(table).method_instance(function, types, world)


def check_table(table: object) -> LookupTable:
    """Return `table` if methods can be looked up in it. Raises `MethodTableError` otherwise."""
    if not isinstance(table, LookupTable):
        raise MethodTableError(f"{table!r} is no method table; make one with MethodTable(name)")
    return table


def check_function(function: object) -> None:
    """Raise `MethodTableError` unless `function` can be looked up."""
    try:
        hash(function)
    except TypeError:
        raise MethodTableError(f"{function!r} can't be hashed, so it can't have methods") from None
