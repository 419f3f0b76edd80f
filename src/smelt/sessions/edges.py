# SPDX-License-Identifier: Apache-2.0
"""The edges of code as an entry keeps them: what was read and called, by references, with descriptions of what was found.

The edges of all code that a kernel calls stand in one list, in the order in which they were found, which is an order in which each
names only what is known by then. To check them is to read the same names again. Of functions of smelt only the code is an edge, and the
calls of Python's and NumPy's functions, which may have overlays: the rest is part of the compiler, which has a fingerprint of its own.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from smelt.caching import (
    MISSING,
    BindingError,
    CacheView,
    CodeInstance,
    Dispatch,
    Edge,
    LookupTable,
    MethodInstance,
    Read,
    SourceError,
    read_attribute,
)
from smelt.caching.contents import KEYS, Contents
from smelt.caching.digests import digest
from smelt.caching.edges import class_dict
from smelt.caching.encoding import frame
from smelt.caching.namespaces import Namespace
from smelt.caching.places import Bases, Cell, FunctionParts, Place, cell_contents, parameter_default
from smelt.records import Record
from smelt.sessions.objects import Objects, Reference, UnnamedError, is_of_smelt
from smelt.sessions.signatures import named_types, resolved_types

Fingerprints = Callable[[types.FunctionType], bytes]
"""The fingerprint of a function's own text."""


class ReadEdge(Record):
    """A name that was read.

    Attributes
    ----------
    place
        What was looked into: the globals, builtins, keyword defaults or one `cell NAME` of a function, a module, a class, its members or
        its bases, the keywords of a partial object, a dict or its keys, a list, or the parts of a function.
    holder
        Of which object.
    name
        The name that was read, or the key of a dict.
    label
        What the place is called in messages.
    found
        The digest of the description of what was found.
    reader
        The number of the function that read it.
    """

    place: str
    holder: Reference
    name: Any
    label: str
    found: bytes
    reader: int


class CallEdge(Record):
    """A call that was looked up among the overlays that users define.

    Attributes
    ----------
    function
        What was called.
    types
        With which argument types.
    is_overlaid
        Whether an overlay was found.
    reader
        The number of the function that called.
    """

    function: Reference
    types: tuple[Any, ...]
    is_overlaid: bool
    reader: int


class Reader(Record):
    """A function that a kernel consists of: its text, and the number of the one that called it first (-1 for the kernel)."""

    text: str
    caller: int


class Recorder:
    """Writes down the edges of code and of all that it calls. Raises `UnnamedError` where one can't be."""

    def __init__(
        self, view: CacheView[Any], code: CodeInstance, overlays: LookupTable, fingerprints: Fingerprints
    ) -> None:
        self.objects = Objects(code.instance.source, code.instance.types)
        self.edges: list[ReadEdge | CallEdge] = []
        self.readers: list[Reader] = []
        self._view = view
        self._overlays = overlays
        self._fingerprints = fingerprints
        self._seen: set[object] = set()
        self._record(code, -1)

    def _record(self, code: CodeInstance, caller: int) -> None:
        if code in self._seen:
            return
        self._seen.add(code)
        is_foreign = not is_of_smelt(code.instance.source)
        reader = len(self.readers)
        if is_foreign:
            self.readers.append(Reader(str(code.instance), caller))
        else:
            reader = caller
        for edge in code.edges:
            if isinstance(edge, CodeInstance):
                self._record(edge, reader)
            elif isinstance(edge, MethodInstance):
                callee = self._view.get(edge)
                if callee is not None:
                    self._record(callee, reader)
            elif isinstance(edge, Read) and (is_foreign or edge.name == "__code__"):
                self._read(edge, reader)
            elif isinstance(edge, Dispatch):
                self._call(edge, reader)

    def _read(self, edge: Read, reader: int) -> None:
        key = (edge.kind, id(edge.container), edge.name)
        if key in self._seen:
            return
        self._seen.add(key)
        place, holder = self._place(edge)
        found = digest(self._described(edge))
        self.objects.add(edge.value, len(self.edges))
        name = named_types(edge.name, self.objects)
        self.edges.append(ReadEdge(place, holder, name, edge.label, found, reader))

    def _place(self, edge: Read) -> tuple[str, Reference]:
        if issubclass(edge.kind, FunctionParts):
            return "function", self.objects.reference(edge.container)
        if issubclass(edge.kind, Bases):
            return "bases", self.objects.reference(edge.container)
        if edge.kind in (Contents, KEYS):
            place, holder = self.objects.container(edge.container)
            return ("keys" if place == "dict" else place), holder
        if issubclass(edge.kind, (Namespace, Cell)):
            return self.objects.container(edge.container)
        raise UnnamedError(f"{edge!r} is of a kind that is not kept")

    def _described(self, edge: Read) -> bytes:
        return described(self.objects, self._fingerprints, edge.container, edge.name, edge.value)

    def _call(self, edge: Dispatch, reader: int) -> None:
        is_overlaid = edge.method is not None and edge.method.table is self._overlays
        if is_of_smelt(edge.function) and not self.objects.knows(edge.function):
            # A function of the runtime library, which no program has read under a name and so put another in place of.
            return
        function = self.objects.importable(edge.function)
        types_ = named_types(edge.types, self.objects)
        key = (id(edge.function), edge.types)
        if key in self._seen:
            return
        self._seen.add(key)
        if edge.method is not None and is_overlaid:
            self.objects.add(edge.method.source, len(self.edges))
        self.edges.append(CallEdge(function, types_, is_overlaid, reader))


def described(objects: Objects, fingerprints: Fingerprints, container: Any, name: str, value: Any) -> bytes:
    """What stands for a value that was read under `name`."""
    if isinstance(value, types.CodeType):
        return frame("code", fingerprints(container))
    if name == "__kwdefaults__" and isinstance(container, types.FunctionType):
        # Which dict it is matters in one process only; what is in it is read by name.
        return frame("keyword defaults", b"" if value is None else b"\1")
    return objects.describe(value)


class Replay:
    """Reads the names of recorded edges again.

    Parameters
    ----------
    instance
        The method instance whose code is looked for.
    overlays
        Where the overlays of users are looked up.
    world
        The world in which they are.
    """

    def __init__(self, instance: MethodInstance, overlays: LookupTable, world: Any, fingerprints: Fingerprints) -> None:
        self.objects = Objects(instance.source, instance.types)
        self.edges: list[Edge] = []
        self._overlays = overlays
        self._world = world
        self._fingerprints = fingerprints

    def check(self, edges: tuple[ReadEdge | CallEdge, ...]) -> ReadEdge | CallEdge | None:
        """Read everything again; the first edge under which something else stands now, None if there is none."""
        for number, edge in enumerate(edges):
            try:
                holds = self._read(edge, number) if isinstance(edge, ReadEdge) else self._call(edge, number)
            except (UnnamedError, BindingError, SourceError, *_WRONG):
                holds = False
            if not holds:
                return edge
        return None

    def _read(self, edge: ReadEdge, number: int) -> bool:
        holder = self.objects.resolve(edge.holder)
        kind, container = _container(edge.place, holder)
        name = resolved_types(edge.name, self.objects)
        if edge.place == "module" and name not in container:
            # It may be bound when it is first asked for.
            read_attribute(holder, name)
        value = _value(kind, container, name)
        if digest(described(self.objects, self._fingerprints, container, name, value)) != edge.found:
            return False
        self.objects.add(value, number)
        self.edges.append(Read(kind, container, edge.label, name, value))
        return True

    def _call(self, edge: CallEdge, number: int) -> bool:
        function = self.objects.resolve(edge.function)
        outcome = self._overlays.dispatch(function, resolved_types(edge.types, self.objects), self._world)
        if (outcome.method is not None) is not edge.is_overlaid:
            return False
        if outcome.method is not None:
            self.objects.add(outcome.method.source, number)
        self.edges.append(outcome)
        return True


_WRONG = (AttributeError, KeyError, IndexError, TypeError, ValueError)
"""What looking into an object of another kind than expected raises."""


def _container(place: str, holder: Any) -> tuple[type[Place], Any]:
    """The kind of place, and the dict, cell, function or class that it is."""
    if place == "function":
        return FunctionParts, holder
    if place == "bases":
        return Bases, holder
    if place in ("list", "keys"):
        return (Contents if place == "list" else KEYS), holder
    if place.startswith("cell "):
        index = holder.__code__.co_freevars.index(place.removeprefix("cell "))
        return Cell, holder.__closure__[index]
    return Namespace, _NAMESPACES[place](holder)


_NAMESPACES: dict[str, Callable[[Any], Any]] = {
    "globals": lambda function: function.__globals__,
    "builtins": lambda function: function.__builtins__,
    "keyword defaults": lambda function: function.__kwdefaults__,
    "module": lambda module: module.__dict__,
    "class": class_dict,
    "members": lambda cls: cls._member_map_,
    "dict": lambda entries: entries,
    "keywords": lambda bound: bound.keywords,
}


def _value(kind: type[Place], container: Any, name: str) -> Any:
    if kind is Namespace:
        return container.get(name, MISSING)
    if kind is Cell:
        return cell_contents(container)
    if kind in (Contents, KEYS):
        return tuple(container)
    if kind is Bases or name in ("__code__", "__kwdefaults__"):
        return getattr(container, name)
    return parameter_default(container, name.removeprefix("default of "))
