# SPDX-License-Identifier: Apache-2.0
"""Namespaces: dicts of modules and classes as places, and the two ways to learn that one has changed.

- CPython up to 3.13 numbers the states of each dict: one comparison for each namespace tells whether anything in it was rebound.
- Anywhere else every binding is compared. It is the slow and obvious way, and the reference for the tests of the other.

CPython 3.12 and later could also call back before a watched dict changes. It has found the entry that it is about to change by then, and
uses it afterwards: if the callback is Python, another thread may change the dict meanwhile, and memory is freed twice.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

from smelt.caching.guards import NamedValues, Word
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

    def words(self, bindings: Sequence[Binding]) -> list[Word] | None:
        return [self._word(NamedValues(self.container, bindings))] if _HAS_POINTERS else None

    def _word(self, values: NamedValues) -> Word:
        return Word(0, ctypes.c_uint64(), values)


class VersionedNamespace(Namespace):
    """A namespace on CPython up to 3.13, where `PyDictObject.ma_version_tag` differs between any two states of any two dicts."""

    __slots__ = ("_expected", "_version")

    def __init__(self, container: dict[str, object], label: str) -> None:
        # LIFETIME: the place holds the dict.
        self._version = _version_tag(container)
        self._expected = ctypes.c_uint64()
        super().__init__(container, label)

    def look(self) -> int:
        return self._version.value

    def remember(self, state: int) -> None:
        self._expected.value = state

    def has_moved(self) -> bool:
        return self._version.value != self._expected.value

    def _word(self, values: NamedValues) -> Word:
        # An expectation of its own, as it is brought up to date by whoever looked at these values and at no others.
        return Word(ctypes.addressof(self._version), ctypes.c_uint64(self._expected.value), values)


_HAS_POINTERS = sys.implementation.name == "cpython" and ctypes.sizeof(ctypes.c_void_p) == 8
"""Whether `id` gives an address of eight bytes."""

_HEADER_BYTES = 16
"""Of an object on 64 bits. Without the interpreter lock it is larger, and dicts change while they are looked at."""


def _version_tag(container: dict[str, Any]) -> ctypes.c_uint64:
    # struct PyDictObject { PyObject ob_base (16 bytes); Py_ssize_t ma_used; uint64_t ma_version_tag; ... }, Include/cpython/
    # dictobject.h of CPython 3.11 to 3.13. From 3.12 on the lowest bits are about watchers, and the number is above them.
    return ctypes.c_uint64.from_address(id(container) + 24)


def _has_version_tags() -> bool:
    if not _HAS_POINTERS or sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)):
        return False
    if object.__basicsize__ != _HEADER_BYTES:
        return False
    probe, other = {"a": 1}, {"a": 1}
    before, unchanged = _version_tag(probe).value, _version_tag(other).value
    probe["a"] = 2
    return _version_tag(probe).value != before and _version_tag(other).value == unchanged


def best_namespace() -> type[Namespace]:
    """The cheapest kind of namespace that this Python has."""
    return VersionedNamespace if _has_version_tags() else Namespace
