# SPDX-License-Identifier: Apache-2.0
"""Circles of a graph: nodes that lead to each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def circles(start: Node, following: Callable[[Node], Iterable[Node]]) -> list[list[Node]]:
    """All nodes that can be reached from `start`, those in one list that lead to each other; each list stands behind those it leads to.

    Asks once for what follows each node, in the order in which the nodes are first reached.
    Source: Tarjan, "Depth-first search and linear graph algorithms" (1972).
    """
    found: list[list[Node]] = []
    numbers: dict[Node, int] = {}
    # The least number that a node leads to, and the nodes whose circle isn't complete.
    least: dict[Node, int] = {}
    incomplete: dict[Node, None] = {}
    path: list[tuple[Node, Iterator[Node]]] = []

    def enter(node: Node) -> None:
        numbers[node] = least[node] = len(numbers)
        incomplete[node] = None
        path.append((node, iter(following(node))))

    enter(start)
    while path:
        node, ways = path[-1]
        way = next((way for way in ways if way not in numbers or way in incomplete), None)
        if way is None:
            path.pop()
            if path:
                least[path[-1][0]] = min(least[path[-1][0]], least[node])
            if least[node] == numbers[node]:
                members = [incomplete.popitem()[0]]
                while members[-1] != node:
                    members.append(incomplete.popitem()[0])
                found.append(members[::-1])
        elif way in incomplete:
            least[node] = min(least[node], numbers[way])
        else:
            enter(way)
    return found
