# SPDX-License-Identifier: Apache-2.0
"""Python functions as their own methods."""

from __future__ import annotations

import types
import weakref
from typing import Any

from smelt.caching.cache import CodeCache
from smelt.caching.methods import Method
from smelt.caching.signatures import ArgumentTypes, Variadic
from smelt.caching.tables import LookupTable


class FunctionTable(LookupTable):
    """The table in which every Python function is its own one method, for all arguments. The usual lowest layer of a stack.

    The method lives as long as its function. Code for it depends on the function's `__code__`, so that replacing that is a
    redefinition.
    """

    _ATTRIBUTE = "__smelt_methods__"

    def __init__(self, name: str = "functions", *, cache: CodeCache | None = None) -> None:
        super().__init__(name, cache)

    def methods_here(self, function: Any, world: int | None) -> tuple[Method, ...]:  # noqa: ARG002
        if not isinstance(function, types.FunctionType):
            return ()
        # On the function itself: the method refers to the function, so in any table of ours it would keep it alive.
        held = function.__dict__.get(self._ATTRIBUTE)
        if held is None or held.function() is not function:
            # None yet, or functools.wraps copied the attributes of another function.
            held = function.__dict__[self._ATTRIBUTE] = _MethodsOfFunction(function)
        found = held.methods.get(self)
        if found is None:
            method = Method(self.cache, self, function, (Variadic(Any),), function, 1)
            found = held.methods.setdefault(self, method)
        return (found,)

    def find_here(self, function: Any, types: ArgumentTypes, world: int | None) -> Method | None:  # noqa: ARG002
        found = self.methods_here(function, world)
        return found[0] if found else None


class _MethodsOfFunction:
    """The methods that a Python function has in function tables, as an attribute of it.

    It stays in this process: a copy of the function, by pickle or otherwise, starts without.
    """

    def __init__(self, function: types.FunctionType | None = None) -> None:
        self.function: Any = weakref.ref(function) if function is not None else lambda: None
        self.methods: weakref.WeakKeyDictionary[LookupTable, Method] = weakref.WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[_MethodsOfFunction], tuple[()]]:
        return (_MethodsOfFunction, ())
