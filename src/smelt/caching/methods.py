# SPDX-License-Identifier: Apache-2.0
"""Methods, the definitions of functions, and method instances, their specialisations on concrete argument types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smelt.caching.constants import types_key
from smelt.caching.dependencies import Dependency
from smelt.caching.signatures import ArgumentTypes, Signature, describe
from smelt.caching.texts import shown
from smelt.caching.worlds import OPEN, WorldRange

if TYPE_CHECKING:
    from smelt.caching.cache import CodeCache
    from smelt.caching.code import CodeInstance, Owner
    from smelt.caching.tables import LookupTable


class Method(Dependency):
    """One definition of a function: what it is for, what it is made of, and the worlds in which it stands.

    Attributes
    ----------
    function
        The function, any hashable object, that this is a method of.
    signature
        The types of arguments that it takes.
    source
        A Python function, or whatever else its compiler compiles.
    table
        The method table that it was added to.
    """

    __slots__ = ("_instances", "cache", "function", "max_world", "min_world", "signature", "source", "table")

    def __init__(
        self, cache: CodeCache, table: LookupTable, function: Any, signature: Signature, source: Any, min_world: int
    ) -> None:
        super().__init__()
        self.cache = cache
        self.table = table
        self.function = function
        self.signature = signature
        self.source = source
        self.min_world = min_world
        self.max_world = OPEN
        self._instances: dict[object, MethodInstance] = {}

    @property
    def world_range(self) -> WorldRange:
        return WorldRange(self.min_world, self.max_world)

    @property
    def instances(self) -> tuple[MethodInstance, ...]:
        """The specialisations that were asked for so far."""
        return tuple(self._instances.values())

    def specialise(self, types: ArgumentTypes) -> MethodInstance:
        """The method instance for these argument types: the same object for the same types."""
        key = types_key(types)
        found = self._instances.get(key)
        if found is None:
            # setdefault, so that threads that come here at once all get the same object.
            found = self._instances.setdefault(key, MethodInstance(self, types))
        return found

    def __repr__(self) -> str:
        return f"<method {function_name(self.function)}{describe(self.signature)} of {self.table}>"


class MethodInstance:
    """A method specialised on concrete argument types: what code is compiled for, and looked up by.

    Attributes
    ----------
    method
        The definition that is specialised.
    types
        The argument types.
    """

    # `_code` holds the newest code instance of each owner; older ones hang on it.
    __slots__ = ("_awaited", "_code", "method", "types")

    def __init__(self, method: Method, types: ArgumentTypes) -> None:
        self.method = method
        self.types = types
        self._code: dict[Owner, CodeInstance] = {}
        self._awaited: dict[Owner, AwaitedCode] = {}

    @property
    def function(self) -> Any:
        """The function that this is an instance of a method of."""
        return self.method.function

    @property
    def source(self) -> Any:
        """What is to be compiled: the source of the method."""
        return self.method.source

    def __repr__(self) -> str:
        return f"{function_name(self.function)}{describe(self.types)}"


class AwaitedCode(Dependency):
    """Code of a method instance that did not exist yet when something that depends on it was published.

    It happens where functions call each other in a circle. Whoever depends on it depends on the code as soon as that is
    published.
    """

    __slots__ = ("instance", "owner")

    def __init__(self, instance: MethodInstance, owner: Owner) -> None:
        super().__init__()
        self.instance = instance
        self.owner = owner

    def abandoned(self) -> None:
        if self.instance._awaited.get(self.owner) is self:
            del self.instance._awaited[self.owner]


def function_name(function: Any) -> str:
    """The name of a function for messages: qualified, with its module unless that is `builtins` or the main program."""
    if isinstance(function, str):
        return function
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if not isinstance(name, str):
        return shown(function)
    module = getattr(function, "__module__", None)
    return name if module in (None, "builtins", "__main__") else f"{module}.{name}"
