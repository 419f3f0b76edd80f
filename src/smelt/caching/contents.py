# SPDX-License-Identifier: Apache-2.0
"""What is in the lists and dicts of a program, as places: code may have been compiled for the items that it found there.

The entries of a dict are bindings of a namespace like those of a module. What a list holds, and which keys a dict has in which order, is
one binding: the tuple of it. Items are compared by identity at each lookup, as the values of names are.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Sequence
from typing import Any

from smelt.caching.edges import Observed, Read
from smelt.caching.guards import Word
from smelt.caching.namespaces import Namespace, VersionedNamespace, best_namespace
from smelt.caching.places import MISSING, Binding, Place


class Contents(Place):
    """The items of a list, or the keys of a dict. The one name in it is `items` or `keys`. This class compares each of them."""

    __slots__ = ("_compared", "_state", "_words")

    container: list[object] | dict[object, object]

    _state: tuple[object, ...]

    def __init__(self, container: Any, label: str) -> None:
        # The words for compiled checks, once somebody has asked for them, and the address of the list's items for which they are.
        self._words: list[Word] | None = None
        self._compared = 0
        super().__init__(container, label)

    def look(self) -> tuple[object, ...]:
        return tuple(self.container)

    def remember(self, state: tuple[object, ...]) -> None:
        # First, while the items are still held: no other object can be where one was.
        if self._words is not None:
            self._update_words(self._words, state)
        self._state = state

    def has_moved(self) -> bool:
        now, state = tuple(self.container), self._state
        return len(now) != len(state) or not all(map(operator.is_, now, state))

    def read(self, name: str) -> object:  # noqa: ARG002
        return tuple(self.container)

    def words(self, bindings: Sequence[Binding]) -> list[Word] | None:  # noqa: ARG002
        """How many items a list has, where they are, and each of them, to be compared in this order: no further than to the first that
        differs, as the items may be gone then. None for a dict.
        """
        if not _HAS_ITEMS or type(self.container) is not list:
            return None
        items = _word_of(self.container, _ITEMS_OFFSET).value
        if self._words is not None and self._compared != items:
            # They are for another place, and are kept up to date no more.
            self._words[0].expected.value = _NO_SIZE
            self._words = None
        if self._words is None:
            self._compared = items
            self._words = [
                Word(id(self.container) + _SIZE_OFFSET, ctypes.c_uint64(len(self._state))),
                Word(id(self.container) + _ITEMS_OFFSET, ctypes.c_uint64(items)),
                *(Word(items + 8 * index, ctypes.c_uint64(id(item))) for index, item in enumerate(self._state)),
            ]
        return self._words

    def describe(self, name: str) -> str:
        return f"the {name} of {self.label}"

    def _update_words(self, words: list[Word], state: tuple[object, ...]) -> None:
        size, _, *items = words
        if len(items) != len(state):
            # They are for a list of another length, which it is to be for no more.
            size.expected.value = _NO_SIZE
            self._words = None
            return
        for word, item in zip(items, state, strict=True):
            word.expected.value = id(item)


class VersionedKeys(VersionedNamespace):
    """The keys of a dict, where Python numbers the states of dicts."""

    __slots__ = ()

    def read(self, name: str) -> object:  # noqa: ARG002
        return tuple(self.container)

    def words(self, bindings: Sequence[Binding]) -> list[Word] | None:  # noqa: ARG002
        return [Word(ctypes.addressof(self._version), self._expected)]

    def describe(self, name: str) -> str:
        return f"the {name} of {self.label}"


KEYS: type[Place] = VersionedKeys if best_namespace() is VersionedNamespace else Contents
"""The kind of place that the keys of a dict are."""


def read_items(container: list[Any], label: str) -> Observed:
    """The items of a list, as a tuple."""
    value = tuple(container)
    return Observed(value, (Read(Contents, container, label, "items", value),))


def read_keys(container: dict[Any, Any], label: str) -> Observed:
    """The keys of a dict in their order, as a tuple."""
    value = tuple(container)
    return Observed(value, (Read(KEYS, container, label, "keys", value),))


def read_item(container: dict[Any, Any], key: Any, label: str) -> Observed:
    """What a dict has under a key that can be hashed, `MISSING` if it has nothing."""
    value = container.get(key, MISSING)
    return Observed(value, (Read(Namespace, container, label, key, value),))


_SIZE_OFFSET, _ITEMS_OFFSET = 16, 24
_NO_SIZE = 2**64 - 1


def _word_of(container: object, offset: int) -> ctypes.c_uint64:
    return ctypes.c_uint64.from_address(id(container) + offset)


def _has_items() -> bool:
    """Whether lists are laid out as in CPython 3.11 to 3.14, Include/cpython/listobject.h: ob_base (16 bytes), ob_size, ob_item."""
    pointer = ctypes.sizeof(ctypes.c_void_p)
    # Every instance has a header of 16 bytes, but not on a build without the interpreter lock, where a list changes while it is read.
    if not hasattr(object, "__basicsize__") or object.__basicsize__ != 16 or pointer != 8:
        return False
    probe = [object(), object()]
    if list.__basicsize__ < 40 or _word_of(probe, _SIZE_OFFSET).value != 2:
        return False
    at = _word_of(probe, _ITEMS_OFFSET).value
    return [ctypes.c_uint64.from_address(at + 8 * index).value for index in (0, 1)] == [id(item) for item in probe]


_HAS_ITEMS = _has_items()
