# SPDX-License-Identifier: Apache-2.0
"""Kernels run by Python: what the tests compare with.

Each thread is a generator of the kernel's own source, in which everything that waits is a `yield`. The threads of a group take turns from
one wait to the next, and the last of them first, which is not the order of the native target.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import operator
import textwrap
import types
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.kernel_language
import smelt.types
from smelt.kernel_language import Index

WIDTH = 32
WAITING = (
    "threadgroup_barrier",
    "simdgroup_barrier",
    *(name for name in vars(smelt.kernel_language) if name[:5] == "simd_"),
)
REDUCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "simd_sum": sum,
    "simd_product": lambda values: reduce(operator.mul, values),
    "simd_min": min,
    "simd_max": max,
    "simd_and": lambda values: reduce(operator.and_, values),
    "simd_or": lambda values: reduce(operator.or_, values),
    "simd_xor": lambda values: reduce(operator.xor, values),
    "simd_all": all,
    "simd_any": any,
}


def run(kernel: Any, threads: tuple[int, ...], group: tuple[int, ...], *arguments: Any, nbytes: int = 0) -> None:
    """Run a kernel over a grid of so many threads in groups of that size, each group after those behind it."""
    sizes, group = ((*given, 1, 1)[:3] for given in (threads, group))
    corners = itertools.product(*(range(0, size, step) for size, step in zip(sizes[::-1], group[::-1], strict=True)))
    for corner in reversed(list(corners)):
        Group(corner[::-1], sizes, group, nbytes).run(kernel.function, arguments)


class Group:
    def __init__(self, corner: Any, sizes: Any, group: Any, nbytes: int) -> None:
        self.sizes, self.group, self.nbytes = sizes, group, nbytes
        extents = [min(step, size - begin) for begin, size, step in zip(corner, sizes, group, strict=True)]
        offsets = itertools.product(*map(range, extents[::-1]))
        self.positions = [Index(*map(operator.add, corner, offset[::-1])) for offset in offsets]
        self.arrays: dict[str, Any] = {}

    def run(self, function: types.FunctionType, arguments: tuple[Any, ...]) -> None:
        threads = [
            _generator_function(function, Language(self, number))(*arguments) for number in range(len(self.positions))
        ]
        answers: dict[int, Any] = dict.fromkeys(range(len(threads)))
        while answers:
            waits: dict[int, Any] = {}
            for first in range(0, len(threads), WIDTH):
                waits |= self._turns(threads, {n: a for n, a in answers.items() if first <= n < first + WIDTH})
            answers = dict.fromkeys(waits)

    def _turns(self, threads: list[Any], answers: dict[int, Any]) -> dict[int, Any]:
        """Let a simdgroup run until its threads wait for the threadgroup or have ended."""
        while True:
            waits: dict[int, Any] = {}
            for number in reversed(list(answers)):
                try:
                    waits[number] = threads[number].send(answers[number])
                except StopIteration:
                    continue
            scopes = {wait[0] == "threadgroup_barrier" for wait in waits.values()}
            assert len(scopes) < 2, "a simdgroup that waits for itself and for its group"
            if scopes != {False}:
                return waits
            answers = {number: _answer(number, waits) for number in sorted(waits)}


def _answer(number: int, waits: dict[int, Any]) -> Any:
    name, *given = waits[number]
    if name == "simdgroup_barrier":
        return None
    if name in REDUCTIONS:
        return REDUCTIONS[name]([waits[other][1] for other in sorted(waits)])
    if name == "simd_ballot":
        return sum(1 << (other % WIDTH) for other in waits if waits[other][1])
    lane = number % WIDTH
    value, by = given
    wanted = {
        "simd_shuffle": by,
        "simd_shuffle_xor": lane ^ by,
        "simd_shuffle_up": lane - by,
        "simd_shuffle_down": lane + by,
    }[name]
    other = number - lane + wanted
    return waits[other][1] if 0 <= wanted < WIDTH and other in waits else value


class Language:
    """What `smelt` is to one thread."""

    def __init__(self, group: Group, number: int) -> None:
        self._group, self._number = group, number
        self._position = group.positions[number]

    def __getattr__(self, name: str) -> Any:
        return getattr(smelt, name)

    def grid(self, dimensions: int) -> Any:
        return self._position[0] if dimensions == 1 else self._position[:dimensions]

    def thread_index_in_threadgroup(self) -> int:
        return self._number

    def thread_index_in_simdgroup(self) -> int:
        return self._number % WIDTH

    def simdgroup_index_in_threadgroup(self) -> int:
        return self._number // WIDTH

    def thread_position_in_threadgroup(self) -> Index:
        return Index(*map(operator.mod, self._position, self._group.group))

    def threadgroup_position_in_grid(self) -> Index:
        return Index(*map(operator.floordiv, self._position, self._group.group))

    def threadgroup_array(self, shape: Any, dtype: Any, place: str) -> Any:
        dtype = _dtype(dtype)
        shape = self._group.nbytes // dtype.itemsize if shape is None else shape
        return self._group.arrays.setdefault(place, np.zeros(shape, dtype))

    def thread_array(self, shape: Any, dtype: Any, place: str) -> Any:  # noqa: ARG002
        return np.zeros(shape, _dtype(dtype))

    def atomic_add(self, array: Any, index: Any, value: Any) -> Any:
        old = array[index].copy()
        array[index] += value
        return old


def _dtype(given: Any) -> np.dtype[Any]:
    return smelt.types.dtype_of(given) if isinstance(given, smelt.types.Type) else np.dtype(given)


class _Waits(ast.NodeTransformer):
    """Makes generator functions of functions, and `yield` of what waits."""

    def __init__(self, functions: set[str]) -> None:
        self.functions = functions
        self.name = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.functions.add(node.name)
        self.name = node.name
        node.decorator_list = []
        self.generic_visit(node)
        # A function that doesn't wait is a generator function too.
        node.body.append(ast.parse("if False: yield").body[0])
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name.removeprefix("smelt.") in WAITING:
            values = [ast.Constant(name.removeprefix("smelt.")), *node.args]
            return ast.Yield(ast.Tuple(values, ast.Load()))
        if name in ("smelt.threadgroup_array", "smelt.thread_array"):
            node.args.append(ast.Constant(f"{self.name}:{node.lineno}:{node.col_offset}"))
        if name in self.functions:
            return ast.YieldFrom(node)
        return node


@functools.cache
def _codes(function: types.FunctionType) -> list[types.CodeType]:
    """The functions of a kernel's module that it may call, and last the kernel, as generator functions to be executed."""
    called = [
        value
        for value in function.__globals__.values()
        if isinstance(value, types.FunctionType) and value.__module__ == function.__module__
    ]
    codes = []
    for value in (*called, function):
        tree = _Waits({one.__name__ for one in called}).visit(ast.parse(textwrap.dedent(inspect.getsource(value))))
        codes.append(compile(ast.fix_missing_locations(tree), f"<{value.__name__}>", "exec"))
    return codes


def _generator_function(function: types.FunctionType, language: Language) -> Callable[..., Iterator[Any]]:
    namespace = {**function.__globals__, "smelt": language}
    for code in _codes(function):
        exec(code, namespace)
    made: Callable[..., Iterator[Any]] = namespace[function.__name__]
    return made


@pytest.fixture(scope="session")
def run_by_python() -> Callable[..., None]:
    return run
