# SPDX-License-Identifier: Apache-2.0
"""Functions that call themselves, directly or through others.

What such a call returns is not known where it is met, for it is being inferred. So it is found out beforehand, by itself: every function
of the circle is inferred again and again, and what is built is thrown away, until what each returns no longer changes. The first time
a recursive call is taken to return nothing, ever: then the returns that need no recursion tell a first type.

The typed function of a recursive call names a method instance where other calls have code. Once the code of all of them is there it takes
its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from smelt.caching import CodeInstance, Edge, MethodInstance, OutdatedError
from smelt.compiler.results import InferenceResults
from smelt.ir.typed import Function, Instruction, Value

_MOST_ROUNDS = 32
_MOST_INSTANCES = 16
"""Of one function that are inferred one inside of the other: each was called with other types than the one before."""

Inferred = tuple[InferenceResults, list[Edge]]


class UnstableError(Exception):
    """What a recursive function returns changes each time that it is inferred."""


@dataclass(frozen=True, eq=False)
class RecursiveCall:
    """A call whose code was not there yet, and what it was taken to be. `operands` are those of the instruction as it was made."""

    instruction: Instruction
    operands: tuple[Value, ...]
    instance: MethodInstance
    results: InferenceResults

    def is_in(self, function: Function | None) -> bool:
        """Whether the call stands in `function`, and not in what that calls."""
        return function is not None and any(self.instruction in block.instructions for block in function.blocks)


class Assumptions:
    """What functions are taken to return that are being inferred.

    Attributes
    ----------
    edges
        What that depends on.
    """

    def __init__(self, infer: Callable[[MethodInstance, Assumptions], Inferred]) -> None:
        self.edges: list[Edge] = []
        self._infer = infer
        self._known: dict[MethodInstance, InferenceResults] = {}
        self._is_solving = False

    def of(self, instance: MethodInstance) -> InferenceResults:
        """What `instance` is taken to be. Raises what inferring it raises, and `UnstableError`."""
        if instance not in self._known:
            self._known[instance] = _never_returning()
            if not self._is_solving:
                self._solve(instance)
        return self._known[instance]

    @property
    def are_final(self) -> bool:
        """Whether what is assumed is known to be right."""
        return not self._is_solving

    def _solve(self, instance: MethodInstance) -> None:
        earlier = set(self._known) - {instance}
        self._is_solving = True
        try:
            for _ in range(_MOST_ROUNDS):
                is_stable, edges = True, list[Edge]()
                # What is met for the first time is inferred in the same round.
                for member in self._members(earlier):
                    results, read = self._infer(member, self)
                    edges += read
                    is_stable = is_stable and _summary(results) == _summary(self._known[member])
                    self._known[member] = results
                if is_stable:
                    self.edges += edges
                    return
        finally:
            self._is_solving = False
        raise UnstableError

    def _members(self, earlier: set[MethodInstance]) -> Iterator[MethodInstance]:
        done = set(earlier)
        while todo := [member for member in self._known if member not in done]:
            yield todo[0]
            done.add(todo[0])


_begun = threading.local()


@contextmanager
def beginning(instance: MethodInstance) -> Iterator[None]:
    """While this lasts `instance` is being inferred by this thread."""
    stack = _stack()
    stack.append(instance)
    try:
        yield
    finally:
        stack.pop()


def is_begun(instance: MethodInstance) -> bool:
    """Whether this thread is inferring `instance`."""
    return instance in _stack()


def grows(instance: MethodInstance) -> bool:
    """Whether a function is called, by itself, with ever new types."""
    return len({other for other in _stack() if other.source is instance.source}) >= _MOST_INSTANCES


def close(calls: Iterable[RecursiveCall], code_of: Callable[[MethodInstance], CodeInstance]) -> None:
    """Let recursive calls, and those in what they call, call the code that is there by now.

    Raises `OutdatedError` if that was made from something else than they were.
    """
    todo, done = list(calls), set[RecursiveCall]()
    while todo:
        call = todo.pop()
        if call in done:
            continue
        done.add(call)
        code = code_of(call.instance)
        results = code.results(InferenceResults)
        if _summary(results) != _summary(call.results):
            raise OutdatedError(f"{call.instance} has changed while what calls it was compiled")
        _call(call, code, results.captured)
        todo += results.recursive_calls


def _call(call: RecursiveCall, code: CodeInstance, captured: tuple[Any, ...]) -> None:
    count = len(call.operands) - len(captured)
    # The arrays that a function captured are passed to it in the order in which it met them.
    passed = dict(zip(map(id, call.results.captured), call.operands[count:], strict=True))
    # Several threads may come here at once: all write the same.
    call.instruction.operands = (*call.operands[:count], *(passed[id(array)] for array in captured))
    call.instruction.attributes["callee"] = code


def _stack() -> list[MethodInstance]:
    stack: list[MethodInstance] = _begun.__dict__.setdefault("stack", [])
    return stack


def _never_returning() -> InferenceResults:
    return InferenceResults(function=None, result=None, returns=False)


def _summary(results: InferenceResults) -> tuple[Any, ...]:
    """What a caller sees of a function, whatever the order in which it met the arrays that it captured."""
    captured = list(map(id, results.captured))
    parameters = [] if results.function is None else results.function.parameters
    names = [*range(len(parameters) - len(captured)), *captured]
    written = frozenset(names[position] for position in results.written)
    return results.returns, results.result, frozenset(captured), written, results.waits
