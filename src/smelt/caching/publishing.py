# SPDX-License-Identifier: Apache-2.0
"""How code comes into the cache: its edges are held against what stands now, and only then is anything changed.

Code is valid where all that it depends on is. What was read under a name is known to stand from the world on in which it was read,
so that is where its range begins; it is open unless something has ended meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smelt.caching.code import CodeInstance
from smelt.caching.constants import same_constant
from smelt.caching.dependencies import Dependency, Dependent
from smelt.caching.dispatch import Dispatch
from smelt.caching.edges import Edge, Read
from smelt.caching.errors import EdgeError, OutdatedError
from smelt.caching.guards import Guard, Pending, merge_guards
from smelt.caching.locking import exclusively
from smelt.caching.methods import AwaitedCode, Method, MethodInstance
from smelt.caching.namespaces import Namespace, best_namespace
from smelt.caching.places import Binding, Place, place_of
from smelt.caching.worlds import OPEN, WorldRange

if TYPE_CHECKING:
    from smelt.caching.cache import CodeCache


def publish(code: CodeInstance, world: int, further_edges: tuple[Edge, ...] = ()) -> None:
    """Put `code`, which was compiled in `world`, into the cache. Does nothing if it is in it already.

    Raises
    ------
    EdgeError
        If an edge is none, or is to something of another cache, owner or world.
    OutdatedError
        If a name that was read is bound to another constant now.
    """
    with exclusively():
        if code._dependent is not None:
            return
        terms = _Terms(code, world)
        try:
            terms.method(code.instance.method)
            for edge in (*further_edges, *code.edges):
                terms.edge(edge)
            if world not in terms.valid:
                raise EdgeError(
                    f"{code.instance}: what it depends on is valid in the worlds {terms.valid} and not in {world}"
                )
            _insert(code, terms)
            terms.check_again()
        finally:
            terms.release()


class _Terms:
    """What the edges of one code instance come down to."""

    def __init__(self, code: CodeInstance, world: int) -> None:
        self.code = code
        self.world = world
        self.cache: CodeCache = code.instance.method.cache
        self.valid = WorldRange(1)
        self.dependencies: list[Dependency] = []
        self.bindings: list[tuple[Binding, object]] = []
        self.guards: list[Guard | None] = []
        self.places: list[Place] = []

    def edge(self, edge: Edge) -> None:
        if isinstance(edge, Read):
            self._read(edge)
        elif isinstance(edge, CodeInstance):
            self._code(edge)
        elif isinstance(edge, MethodInstance):
            self._instance(edge)
        elif isinstance(edge, Dispatch):
            self._dispatch(edge)
        else:
            raise EdgeError(
                f"{self.code.instance}: {edge!r} is no edge; an edge is a code instance, a method instance, an outcome of "
                "dispatch, or what one of the read_ functions returned as edges"
            )

    def method(self, method: Method) -> None:
        if method.cache is not self.cache:
            raise EdgeError(f"{self.code.instance}: {method!r} belongs to another code cache")
        if self.world not in method.world_range:
            raise EdgeError(
                f"{self.code.instance}: {method!r} stands in the worlds {method.world_range} and not in {self.world}, for which "
                "this is compiled"
            )
        self.valid = self.valid.intersection(method.world_range)
        self.dependencies.append(method)

    def check_again(self) -> None:
        """Take the code out again if what it depends on has changed before it was known to depend on it.

        The lock keeps other threads out, but not a finalizer or a signal handler, which Python runs in this very thread, in the
        middle of this section; what they change finds the dependents of that moment. From `_insert` on the code is one of them.
        """
        if not self.code.is_current:
            return
        changed: list[Dependency] = [
            binding
            for binding, value in self.bindings
            if not (same_constant(binding.value, value) and same_constant(binding.place.read(binding.name), value))
        ]
        changed += [dependency for dependency in self.dependencies if _has_ended(dependency)]
        if changed:
            self.cache.replace_code(self.code)
            raise OutdatedError(f"{self.code.instance}: {changed[0]!r} has changed while this came into the cache")

    def release(self) -> None:
        """Let go of what was looked at for nothing, since the code did not come into the cache or has ended already."""
        for dependency in self.dependencies:
            if not dependency.dependents:
                dependency.abandoned()

    def _code(self, callee: CodeInstance) -> None:
        if callee._owner is not self.code._owner:
            raise EdgeError(f"{self.code.instance}: {callee!r} is of another owner than {self.code.owner!r}")
        if callee._dependent is None:
            raise EdgeError(
                f"{self.code.instance}: {callee!r} has to be in the cache before other code can depend on it"
            )
        if self.world not in callee.world_range:
            raise EdgeError(f"{self.code.instance}: {callee!r} is not valid in world {self.world}")
        self.valid = self.valid.intersection(callee.world_range)
        self.dependencies.append(callee)
        self.guards.append(callee.guard)

    def _instance(self, instance: MethodInstance) -> None:
        self.method(instance.method)
        if instance is self.code.instance:
            return
        callee = instance._code.get(self.code._owner)
        while callee is not None and self.world not in callee.world_range:
            callee = callee._older
        if callee is not None:
            self._code(callee)
        else:
            awaited = instance._awaited.get(self.code._owner)
            if awaited is None:
                awaited = instance._awaited[self.code._owner] = AwaitedCode(instance, self.code._owner)
            self.dependencies.append(awaited)
            flight = self.cache.flights.find((instance, self.code._owner))
            if flight is not None:
                self.guards.append(Pending((), (), (flight,), self.world))

    def _dispatch(self, outcome: Dispatch) -> None:
        table = outcome.table
        if table.cache is not self.cache:
            raise EdgeError(f"{self.code.instance}: {outcome!r} belongs to another code cache")
        if table.find(outcome.function, outcome.types, self.world) is not outcome.method:
            raise EdgeError(f"{self.code.instance}: {outcome!r} is not what is found in world {self.world}")
        # Not earlier, since another method may have been found then; and no longer, if another one is found now.
        self.valid = self.valid.intersection(WorldRange(self.world, self.world if outcome.is_outdated() else OPEN))
        self.dependencies.append(outcome)
        table._outcomes.add(outcome)
        if table.outcome_depends_on_registration(outcome.function):
            self.places.append(self.cache.watch_registrations(outcome))

    def _read(self, read: Read) -> None:
        kind = best_namespace() if read.kind is Namespace else read.kind
        place = place_of(kind, read.container, read.label)
        if place.has_moved():
            place.settle()
        binding = place.binding(read.name)
        self.dependencies.append(binding)
        self.bindings.append((binding, read.value))
        if not same_constant(binding.value, read.value):
            raise OutdatedError(
                f"{self.code.instance}: {place.describe(read.name)} has changed since it was read for world {self.world}"
            )
        # What it was bound to before is not known.
        self.valid = self.valid.intersection(WorldRange(self.world))
        self.places.append(place)


def _has_ended(dependency: Dependency) -> bool:
    if isinstance(dependency, (CodeInstance, Method)):
        return dependency.max_world != OPEN
    return isinstance(dependency, Dispatch) and dependency.is_outdated()


def _insert(code: CodeInstance, terms: _Terms) -> None:
    instance, owner, cache = code.instance, code._owner, terms.cache
    present = instance._code.get(owner)
    is_current = terms.valid.last == OPEN
    if is_current and present is not None and present.is_current:
        if terms.world < present.min_world:
            # Made for a view from before: for the worlds that the code which stands does not cover, and no others.
            terms.valid = WorldRange(terms.valid.first, present.min_world - 1)
            is_current = False
        else:
            cache.replace_code(present)
            # Whoever looks from before goes on seeing what it replaces.
            terms.valid = WorldRange(max(terms.valid.first, present.max_world + 1))
            present = instance._code.get(owner)
    code.min_world, code.max_world = terms.valid
    code.serial = cache.next_serial()
    code.guard = merge_guards(terms.guards, terms.places, (binding for binding, _ in terms.bindings))
    if isinstance(code.guard, Pending):
        code.guard.world = terms.world
    code._dependent = Dependent(code, terms.dependencies if is_current else ())
    if is_current or present is None or not present.is_current:
        code._older = present
        instance._code[owner] = code
    else:
        code._older, present._older = present._older, code
    if is_current:
        _announce(code)
    else:
        cache.end_code(code, code.max_world)


def _announce(code: CodeInstance) -> None:
    """Let what has been waiting for this code depend on it."""
    awaited = code.instance._awaited.pop(code._owner, None)
    if awaited is None:
        return
    for dependent in tuple(awaited.dependents):
        dependent.replace(awaited, code)
    if code.guard is not None:
        code.instance.method.cache.extend_guards(code.living_dependents(), code.guard)
