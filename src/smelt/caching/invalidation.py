# SPDX-License-Identifier: Apache-2.0
"""Invalidation: which code a change reaches, and the record of it that answers why something was compiled again.

A change reaches the code that depends on it, the code that depends on that code, and nothing else. Each change is recorded as
a tree, from its cause to the last dependent, in texts only: the record keeps nothing alive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from smelt.caching.texts import shown
from smelt.caching.worlds import OPEN
from smelt.records import Record

if TYPE_CHECKING:
    from smelt.caching.cache import CodeCache
    from smelt.caching.code import CodeInstance
    from smelt.caching.dependencies import Dependency


# Trees are compared and shown by no method that dataclasses generate: those recurse, and a chain of callers may be longer than
# Python's stack.
class Invalidated(Record, eq=False):
    """One code instance that a change reached, and those that it reached through this one."""

    instance: str
    owner: str
    dependents: tuple[Invalidated, ...] = ()

    def paths_to(self, instance: str, owner: str | None = None) -> Iterator[tuple[str, ...]]:
        """Every chain of instances that leads from here to `instance`, for any owner or the one of that text."""
        todo: list[tuple[Invalidated, _Link]] = [(self, (self.instance, None))]
        while todo:
            node, link = todo.pop()
            if node.instance == instance and owner in (None, node.owner):
                yield _unrolled(link)
            todo.extend((dependent, (dependent.instance, link)) for dependent in reversed(node.dependents))

    def __repr__(self) -> str:
        return f"<{self.instance} for {self.owner}, invalidated with {len(self.dependents)} that depend on it>"


_Link: TypeAlias = "tuple[str, _Link | None]"


def _unrolled(link: _Link) -> tuple[str, ...]:
    path: list[str] = []
    rest: _Link | None = link
    while rest is not None:
        instance, rest = rest
        path.append(instance)
    return tuple(reversed(path))


class Invalidation(Record, eq=False):
    """One change, the world that it began, and all code that it made invalid.

    `str()` draws it as a tree.
    """

    cause: str
    world: int
    dependents: tuple[Invalidated, ...]
    size: int

    def __str__(self) -> str:
        lines = [f"{self.cause} (world {self.world})"]
        todo = _branches(self.dependents, "")
        while todo:
            node, indent, is_last = todo.pop()
            lines.append(f"{indent}{'└─' if is_last else '├─'} {node.instance} for {node.owner}")
            todo.extend(_branches(node.dependents, indent + ("   " if is_last else "│  ")))
        return "\n".join(lines)


class Cause(Record):
    """Why one instance was invalidated: the change, and the chain of calls by which it got there, the instance last."""

    cause: str
    world: int
    chain: tuple[str, ...]

    def __str__(self) -> str:
        first, *rest = self.chain
        links = "".join(f", which {link} depends on" for link in rest)
        return f"{self.cause}; {first} depends on it{links} (world {self.world})"


class InvalidationLog(Sequence[Invalidation]):
    """The latest invalidations, oldest first. Bounded by the number of instances that they name, so its size is too."""

    def __init__(self, most_instances: int = 10_000) -> None:
        self._entries: deque[Invalidation] = deque()
        self._most_instances = most_instances
        self._instances = 0

    def append(self, invalidation: Invalidation) -> None:
        self._entries.append(invalidation)
        self._instances += invalidation.size
        # The latest stays, whatever its size.
        while self._instances > self._most_instances and len(self._entries) > 1:
            self._instances -= self._entries.popleft().size

    def causes(self, instance: str, owner: str | None = None) -> Iterator[Cause]:
        """Why `instance`, as text, was invalidated, the latest time first; for any owner, or the one of that text."""
        for invalidation in reversed(tuple(self._entries)):
            for dependent in invalidation.dependents:
                for chain in dependent.paths_to(instance, owner):
                    yield Cause(invalidation.cause, invalidation.world, chain)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204 - as a tuple's
        return tuple(self._entries)[index]


def invalidate_dependents(cause: str, dependencies: Sequence[Dependency]) -> None:
    """Begin a world in each cache that has code which depends on `dependencies`, and invalidate that. Under the lock."""
    caches: dict[CodeCache, None] = {}
    for dependency in dependencies:
        for code in dependency.living_dependents():
            caches[code.instance.method.cache] = None
    for cache in caches:
        cache.begin_world()
        cache.invalidate(cause, dependencies)


def reach(cache: CodeCache, dependencies: Iterable[Dependency]) -> tuple[list[CodeInstance], tuple[Invalidated, ...]]:
    """All current code of `cache` that depends on `dependencies`, directly or not, and the tree that shows how.

    Each code instance is in the tree once: below other code that it depends on where there is such, else below the cause.
    """
    reached: dict[CodeInstance, None] = {}
    level: list[Dependency] = list(dependencies)
    while level:
        found = [code for dependency in level for code in _current_dependents(cache, dependency) if code not in reached]
        reached.update(dict.fromkeys(found))
        level = list(dict.fromkeys(found))
    directly = [code for code in reached if not any(callee in reached for callee in code.dependencies)]
    placed: dict[CodeInstance, list[CodeInstance]] = {}
    roots: list[CodeInstance] = []
    # Code that depends on itself in a circle is in `reached` but not below `directly`.
    for root in (*directly, *reached):
        if root not in placed:
            roots.append(root)
            _place_below(cache, root, placed)
    trees: dict[CodeInstance, Invalidated] = {}
    # Dependents were placed after what they depend on, so from the end every child's tree is made before its parent's.
    for code, children in reversed(placed.items()):
        trees[code] = Invalidated(str(code.instance), shown(code.owner), tuple(trees[child] for child in children))
    return list(reached), tuple(trees[code] for code in roots)


def _place_below(cache: CodeCache, root: CodeInstance, placed: dict[CodeInstance, list[CodeInstance]]) -> None:
    placed[root] = []
    todo = deque([root])
    while todo:
        code = todo.popleft()
        for dependent in _current_dependents(cache, code):
            if dependent not in placed:
                placed[dependent] = []
                placed[code].append(dependent)
                todo.append(dependent)


def _current_dependents(cache: CodeCache, dependency: Dependency) -> list[CodeInstance]:
    found = [
        code
        for code in dependency.living_dependents()
        if code.max_world == OPEN and code.instance.method.cache is cache
    ]
    # A set of backedges has no order of its own; a record that is to be read and compared needs one.
    found.sort(key=_publication)
    return found


def _publication(code: CodeInstance) -> int:
    return code.serial


def _branches(nodes: tuple[Invalidated, ...], indent: str) -> list[tuple[Invalidated, str, bool]]:
    return [(node, indent, node is nodes[-1]) for node in reversed(nodes)]
