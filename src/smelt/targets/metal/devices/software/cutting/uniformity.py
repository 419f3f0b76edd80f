# SPDX-License-Identifier: Apache-2.0
"""What all threads of a group have in common, as far as the code says: values, and the way that they take.

A value is uniform if all threads that compute it compute the same. What differs from thread to thread is: their positions, what is read from
memory that may be written to, and all that depends on those. Where a branch depends on them, the values chosen differ behind it, up to
where its ways come together and in that block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smelt.targets.metal.devices.software.cutting.control_flow import Blocks, defined, joins, reached, used

_OWN = re.compile(r" = (?:alloca|atomicrmw|cmpxchg|load (?:atomic|volatile))\b")
_LOAD = re.compile(r" = load .*?, (?P<pointer>ptr(?: addrspace\(\d+\))?) ")
_CONSTANT_SPACE = "ptr addrspace(2)"


class Uniformity:
    """What differs in a function.

    Parameters
    ----------
    differing
        The names of the parameters that differ from thread to thread.
    """

    def __init__(self, blocks: Blocks, differing: Iterable[str]) -> None:
        self._blocks = blocks
        self._joins = joins(blocks)
        self._differing = set(differing)
        self._choosing: set[str] = set()
        self.branching: set[str] = set()
        """The blocks from where threads may go different ways."""
        size = -1
        while size != len(self._differing) + len(self._choosing):
            size = len(self._differing) + len(self._choosing)
            for label, block in blocks.items():
                for phi in block.phis:
                    self._look_at(phi, differs=label in self._choosing)
                for line in block.lines:
                    self._look_at(line, differs=_is_own(line))
                if len(block.successors) > 1 and label not in self.branching and self._depends("\n".join(block.end)):
                    self._branch(label)

    def is_uniform(self, name: str) -> bool:
        """Whether a value is the same for all threads that compute it."""
        return name not in self._differing

    def apart(self, label: str, ends: Iterable[str]) -> set[str]:
        """Where threads may be alone that go different ways from a block: up to where these come together, or to one of `ends`."""
        join = self._joins[label]
        until = (*ends, *(() if join is None else (join,)))
        return set().union(*(reached(self._blocks, way, without=until) for way in self._blocks[label].successors)) - {
            join
        }

    def _look_at(self, instruction: str, *, differs: bool) -> None:
        name = defined(instruction)
        if name is not None and name not in self._differing and (differs or self._depends(instruction)):
            self._differing.add(name)

    def _depends(self, instruction: str) -> bool:
        return not self._differing.isdisjoint(used(instruction))

    def _branch(self, label: str) -> None:
        self.branching.add(label)
        self._choosing |= self.apart(label, ()) | {join for join in (self._joins[label],) if join is not None}


def _is_own(line: str) -> bool:
    """Whether a thread finds something of its own, whatever the operands."""
    load = _LOAD.search(line)
    return _OWN.search(line) is not None or (load is not None and load["pointer"] != _CONSTANT_SPACE)
