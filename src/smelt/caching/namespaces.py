# SPDX-License-Identifier: Apache-2.0
"""Namespaces: dicts of modules and classes as places, and the three ways to learn that one has changed.

- CPython up to 3.13 numbers the states of each dict: one comparison for each namespace tells whether anything in it was rebound.
- CPython 3.12 and later calls back before a watched dict changes (`watching`): the change invalidates at the moment it is
  made, and looking code up compares nothing. Where both are there the numbers are preferred, for they are safe whatever threads do: a
  dict has found the entry that it is about to change before it calls back, and if another thread changes the dict while the callback
  waits, the entry is not there any more.
- Anywhere else every binding is compared. It is the slow and obvious way, and the reference for the tests of the others.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, ClassVar

from smelt.caching import watching
from smelt.caching.guards import Word
from smelt.caching.places import MISSING, Binding, Place


class Namespace(Place):
    """A dict in which names are bound. This class compares every binding."""

    __slots__ = ()

    container: dict[str, object]

    def look(self) -> Any:
        return None

    def remember(self, state: Any) -> None:
        pass

    def has_moved(self) -> bool:
        return any(self.read(binding.name) is not binding.value for binding in tuple(self.bindings.values()))

    def read(self, name: str) -> object:
        return self.container.get(name, MISSING)

    def words(self) -> list[Word] | None:
        return None


class VersionedNamespace(Namespace):
    """A namespace on CPython up to 3.13, where `PyDictObject.ma_version_tag` differs between any two states of any two dicts."""

    __slots__ = ("_expected", "_list", "_list_place", "_version")

    def __init__(self, container: dict[str, object], label: str) -> None:
        # LIFETIME: the place holds the dict.
        self._version = _version_tag(container)
        self._expected = ctypes.c_uint64()
        # The list of bindings for compiled checks, and the word with its address, 0 while there is none.
        self._list: ctypes.Array[ctypes.c_uint64] | None = None
        self._list_place = ctypes.c_uint64()
        super().__init__(container, label)

    def look(self) -> int:
        return self._version.value

    def remember(self, state: int) -> None:
        self._expected.value = state

    def has_moved(self) -> bool:
        return self._version.value != self._expected.value

    def track(self, binding: Binding) -> Binding:
        self._list_place.value = 0
        return super().track(binding)

    def forget(self, binding: Binding) -> None:
        self._list_place.value = 0
        super().forget(binding)

    def settle(self) -> None:
        # Before a value is let go of, so that no other object can be where it was.
        self._list_place.value = 0
        super().settle()
        if self._list is not None:
            self._write_list()

    def words(self) -> list[Word] | None:
        if not self._list_place.value:
            self._write_list()
        return [Word(ctypes.addressof(self._version), self._expected, ctypes.addressof(self._list_place))]

    def _write_list(self) -> None:
        listed = [len(self.bindings), id(self.container)]
        for binding in self.bindings.values():
            listed += [id(binding.name), 0 if binding.value is MISSING else id(binding.value)]
        self._list = (ctypes.c_uint64 * len(listed))(*listed)
        self._list_place.value = ctypes.addressof(self._list)


class WatchedNamespace(Namespace):
    """A namespace on CPython 3.12 and later, which tells before a binding in it changes. See above for what threads may not do."""

    __slots__ = ("_subscription",)

    tells: ClassVar[bool] = True

    def __init__(self, container: dict[str, object], label: str) -> None:
        super().__init__(container, label)
        self._subscription = watching.Subscription(self)

    def has_moved(self) -> bool:
        return False

    def is_being_rebound(self, name: str) -> bool:
        return watching.is_being_rebound(self.container, name)

    def words(self) -> list[Word] | None:
        return []

    def track(self, binding: Binding) -> Binding:
        # First watched, then read: a change in between is told and finds the binding.
        self._subscription.add(binding.name)
        return super().track(binding)

    def forget(self, binding: Binding) -> None:
        is_tracked = self.bindings.get(binding.name) is binding
        super().forget(binding)
        if is_tracked:
            self._subscription.remove(binding.name)


_HEADER_BYTES = 16
"""Of an object on 64 bits. Without the interpreter lock it is larger, and dicts change while they are looked at."""


def _version_tag(container: dict[str, Any]) -> ctypes.c_uint64:
    # struct PyDictObject { PyObject ob_base (16 bytes); Py_ssize_t ma_used; uint64_t ma_version_tag; ... }, Include/cpython/
    # dictobject.h of CPython 3.11 to 3.13. From 3.12 on the lowest bits are about watchers, and the number is above them.
    return ctypes.c_uint64.from_address(id(container) + 24)


def _has_version_tags() -> bool:
    if sys.implementation.name != "cpython" or sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)):
        return False
    if ctypes.sizeof(ctypes.c_void_p) != 8 or object.__basicsize__ != _HEADER_BYTES:
        return False
    probe, other = {"a": 1}, {"a": 1}
    before, unchanged = _version_tag(probe).value, _version_tag(other).value
    probe["a"] = 2
    return _version_tag(probe).value != before and _version_tag(other).value == unchanged


def best_namespace() -> type[Namespace]:
    """The cheapest kind of namespace that this Python has, of those that are safe."""
    if _has_version_tags():
        return VersionedNamespace
    return WatchedNamespace if watching.is_available() else Namespace
