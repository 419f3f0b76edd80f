# SPDX-License-Identifier: Apache-2.0
"""Places: the objects of a running program in which values are bound to names, and the bindings that code depends on.

A place is a namespace (the dict of a module or of a class), a function with its replaceable parts, a closure cell, or a class
with its bases. There is one `Place` for each, as long as some code depends on a binding in it, and it is shared by all caches
of the process.

Invariants, while the lock of `locking` is free:

- A binding is in `place.bindings` exactly as long as it has dependents.
- `binding.value` is what stood there when its dependents were compiled, or a constant equal to it.
"""

from __future__ import annotations

import ctypes
import sys
import types
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from smelt.caching.constants import same_constant
from smelt.caching.dependencies import Dependency
from smelt.caching.guards import Word, pointer_offset
from smelt.caching.invalidation import invalidate_dependents


class _Missing:
    """The value of a name that is not bound: what was looked up and not found is depended on like anything else."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING = _Missing()


_NO_ADDRESS = 1
"""A word that is no object's address."""


class Binding(Dependency):
    """One name in one place, and the value that the code which depends on it was compiled for."""

    __slots__ = ("_identity", "name", "place", "value")

    def __init__(self, place: Place, name: str, value: object) -> None:
        super().__init__()
        self._identity: ctypes.c_uint64 | None = None
        self.place = place
        # As the names of modules and classes are, so that compiled checks find it by its address.
        self.name = sys.intern(name) if type(name) is str else name
        self.value = value

    def update(self, value: object) -> None:
        """Take note that the name is bound to `value` now, and invalidate what was compiled for another constant."""
        if not same_constant(self.value, value):
            what = self.place.describe(self.name)
            change = "was deleted" if value is MISSING else "was defined" if self.value is MISSING else "was rebound"
            invalidate_dependents(f"{what} {change}", [self])
            # Dependents that were collected, and not tidied away yet, are no reason to go on with it.
            self.place.forget(self)
        # While the former value is let go of none is right: another object may be where that was.
        if self._identity is not None:
            self._identity.value = _NO_ADDRESS
        # Behind all that may be interrupted, so that it is done again then, not taken for done.
        self.value = value
        if self._identity is not None:
            self.identity()

    def identity(self) -> ctypes.c_uint64:
        """A word that has the address of the value, 0 for `MISSING`, as long as anything depends on the binding."""
        if self._identity is None:
            self._identity = ctypes.c_uint64()
        self._identity.value = 0 if self.value is MISSING else id(self.value)
        return self._identity

    def abandoned(self) -> None:
        self.place.forget(self)

    def __repr__(self) -> str:
        return f"<binding of {self.place.describe(self.name)}>"


P = TypeVar("P", bound="Place")


class Place:
    """An object in which values are bound to names."""

    __slots__ = ("__weakref__", "bindings", "container", "label")

    def __init__(self, container: Any, label: str) -> None:
        self.container = container
        self.label = label
        self.bindings: dict[str, Binding] = {}
        self.remember(self.look())

    def binding(self, name: str) -> Binding:
        """The binding of `name`, with what stands there now if nothing depended on it before."""
        found = self.bindings.get(name)
        return found if found is not None else self.track(Binding(self, name, MISSING))

    def track(self, binding: Binding) -> Binding:
        self.bindings[binding.name] = binding
        binding.value = self.read(binding.name)
        return binding

    def forget(self, binding: Binding) -> None:
        if self.bindings.get(binding.name) is binding:
            del self.bindings[binding.name]

    def settle(self) -> None:
        """Compare every binding with what stands there now."""
        # Looked at before the values are read: what changes in between is found by the next comparison. Remembered after
        # everything was updated: other threads compare without the lock, and until then they have to come here and wait for it.
        state = self.look()
        for binding in tuple(self.bindings.values()):
            binding.update(self.read(binding.name))
        self.remember(state)

    def look(self) -> Any:
        """What `has_moved` is to compare with if nothing changes from here on."""
        raise NotImplementedError

    def remember(self, state: Any) -> None:
        """Compare with `state`, which `look` gave, from now on."""
        raise NotImplementedError

    def has_moved(self) -> bool:
        """Whether anything in the place may have changed since it was last remembered."""
        raise NotImplementedError

    def read(self, name: str) -> object:
        """What is bound to `name` now, or `MISSING`."""
        raise NotImplementedError

    def words(self, bindings: Sequence[Binding]) -> list[Word] | None:
        """The words in memory to compare for code that depends on these bindings of the place, or None where they are not known."""
        raise NotImplementedError

    def describe(self, name: str) -> str:
        return f"{self.label}.{name}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label})"


_places: weakref.WeakValueDictionary[tuple[type[Place], int], Place] = weakref.WeakValueDictionary()


def place_of(kind: type[P], container: object, label: str) -> P:
    """The one place of this kind for `container`. To be called under the lock."""
    # LIFETIME: a place holds its container, so the address can't come to mean another object while it is a key.
    found = _places.get((kind, id(container)))
    if found is None:
        found = kind(container, label)
        _places[kind, id(container)] = found
    assert isinstance(found, kind)
    return found


def settle_all_places() -> None:
    """Look for changes in every place. To be called under the lock."""
    for place in list(_places.values()):
        if place.has_moved():
            place.settle()


class Pointers(Place):
    """A place whose state is some pointers in the memory of one object.

    What a pointer to nothing is shown as is its `nothing`.
    """

    __slots__ = ("_expected", "_state")

    nothing: ClassVar[object] = MISSING

    _state: tuple[object, ...]

    def __init__(self, container: Any, label: str) -> None:
        self._expected: tuple[ctypes.c_uint64, ...] | None = None
        super().__init__(container, label)

    def offsets(self) -> tuple[int, ...] | None:
        """Where the pointers are in the container, or None where that is not known."""
        raise NotImplementedError

    def remember(self, state: tuple[object, ...]) -> None:
        # First, while what they point to is still held: no other object can be where that was.
        if self._expected is not None:
            for word, part in zip(self._expected, state, strict=True):
                word.value = self._address(part)
        self._state = state

    def words(self, bindings: Sequence[Binding]) -> list[Word] | None:  # noqa: ARG002
        offsets = self.offsets()
        if offsets is None:
            return None
        if self._expected is None:
            self._expected = tuple(ctypes.c_uint64(self._address(part)) for part in self._state)
        return [Word(id(self.container) + offset, word) for offset, word in zip(offsets, self._expected, strict=True)]

    def _address(self, part: object) -> int:
        return 0 if part is self.nothing else id(part)


class FunctionParts(Pointers):
    """What can be replaced inside a Python function: its code and the defaults of its parameters.

    The names are `__code__`, `__kwdefaults__` and `default of PARAMETER`.
    """

    __slots__ = ()

    nothing = None

    def offsets(self) -> tuple[int, ...] | None:
        return _FUNCTION_OFFSETS

    def look(self) -> tuple[types.CodeType, tuple[object, ...] | None, dict[str, object] | None]:
        function: types.FunctionType = self.container
        return function.__code__, function.__defaults__, function.__kwdefaults__

    def has_moved(self) -> bool:
        function: types.FunctionType = self.container
        code, defaults, keyword_defaults = self._state
        return (
            function.__code__ is not code
            or function.__defaults__ is not defaults
            or function.__kwdefaults__ is not keyword_defaults
        )

    def read(self, name: str) -> object:
        if name in ("__code__", "__kwdefaults__"):
            return getattr(self.container, name)
        return parameter_default(self.container, name.removeprefix("default of "))

    def describe(self, name: str) -> str:
        return f"the {name} of {self.label}" if name.startswith("default of ") else f"{self.label}.{name}"


class Cell(Pointers):
    """A closure cell. The one name in it is that of the variable."""

    __slots__ = ()

    def offsets(self) -> tuple[int, ...] | None:
        return None if _CELL_OFFSET is None else (_CELL_OFFSET,)

    def look(self) -> tuple[object]:
        return (cell_contents(self.container),)

    def has_moved(self) -> bool:
        return cell_contents(self.container) is not self._state[0]

    def read(self, name: str) -> object:  # noqa: ARG002
        return cell_contents(self.container)

    def describe(self, name: str) -> str:
        return f"the variable {name} that {self.label} captures"


class Bases(Pointers):
    """A class and the order in which its bases are searched, the value of the one name `__mro__`."""

    __slots__ = ()

    def offsets(self) -> tuple[int, ...] | None:
        return None if _ORDER_OFFSET is None else (_ORDER_OFFSET,)

    def look(self) -> tuple[tuple[type, ...]]:
        return (self.container.__mro__,)

    def has_moved(self) -> bool:
        return self.container.__mro__ is not self._state[0]

    def read(self, name: str) -> object:  # noqa: ARG002
        return self.container.__mro__


def cell_contents(cell: types.CellType) -> object:
    """What the cell holds, or `MISSING` while its variable is unbound."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def parameter_default(function: types.FunctionType, parameter: str) -> object:
    """The default of a parameter, or `MISSING`."""
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    if parameter in positional:
        from_the_end = len(positional) - positional.index(parameter)
        return defaults[-from_the_end] if from_the_end <= len(defaults) else MISSING
    return (function.__kwdefaults__ or {}).get(parameter, MISSING)


def _function_offsets() -> tuple[int, ...] | None:
    first_default, second_default = object(), object()

    def probe(first: object = first_default, *, second: object = second_default) -> tuple[object, object]:
        return first, second

    parts = (probe.__code__, probe.__defaults__, probe.__kwdefaults__)
    offsets = [offset for offset in (pointer_offset(probe, part) for part in parts) if offset is not None]
    return tuple(offsets) if len(offsets) == len(parts) else None


def _cell_offset() -> int | None:
    contents = object()
    return pointer_offset(types.CellType(contents), contents)


def _order_offset() -> int | None:
    probe = type("probe", (), {})
    return pointer_offset(probe, probe.__mro__)


_FUNCTION_OFFSETS = _function_offsets()
_CELL_OFFSET = _cell_offset()
_ORDER_OFFSET = _order_offset()
