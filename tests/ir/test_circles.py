# SPDX-License-Identifier: Apache-2.0
"""Circles of a graph, each behind those that it leads to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from smelt.ir.circles import circles

pytestmark = pytest.mark.once

GRAPHS = st.integers(1, 8).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=4), min_size=count, max_size=count)
)


def reached(graph, start):
    """All nodes that one or more edges lead to from a node."""
    found, waiting = set(), [start]
    while waiting:
        for way in graph[waiting.pop()]:
            if way not in found:
                found.add(way)
                waiting.append(way)
    return found


@given(GRAPHS)
@settings(derandomize=True, max_examples=200, deadline=None)
def test_nodes_are_in_one_circle_exactly_if_they_lead_to_each_other(graph):
    found = circles(0, graph.__getitem__)
    nodes = [node for circle in found for node in circle]
    assert sorted(nodes) == sorted(reached(graph, 0) | {0})
    for place, circle in enumerate(found):
        behind = {node for later in found[place + 1 :] for node in later}
        for node in circle:
            assert {other for other in nodes if other in reached(graph, node) and node in reached(graph, other)} | {
                node
            } == set(circle)
            assert not reached(graph, node) & behind


def test_a_node_is_asked_once_for_what_follows_and_in_the_order_in_which_nodes_are_reached():
    asked = []

    def following(node):
        asked.append(node)
        return {"a": "bc", "b": "d", "c": "bd", "d": ""}[node]

    assert circles("a", following) == [["d"], ["b"], ["c"], ["a"]]
    assert asked == ["a", "b", "d", "c"]


def test_a_long_chain_needs_no_deep_stack():
    assert len(circles(0, lambda node: [node + 1] if node < 20_000 else [])) == 20_001
