# SPDX-License-Identifier: Apache-2.0
"""What the caching core costs: looking up, dispatching, invalidating, from one thread and from several.

    python benchmarks/caching.py [--quick]

Exits with 1 if a warm lookup together with its results takes 8 times a `dict.get` or more.

What it does not show: the cost of compiling; memory that is not in the processor's caches (each row looks up the same few
hundred instances over and over); guards checked by compiled code, which check words in memory and enter no Python.
"""

from __future__ import annotations

import argparse
import platform
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from interleaved import Body, head, interleave, row

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    FunctionTable,
    MethodInstance,
    MethodTable,
    Results,
    add_method,
    portable,
    read_global,
    session_local,
)

LIMIT = 8.0
"""In units of one `dict.get`: the most that a warm lookup with its results may cost."""

SAMPLE = 256
"""How many instances a row looks up in turn."""


class BenchmarkResults(Results):
    artifact: bytes | None = portable()
    handle: object = session_local()


View = CacheView[BenchmarkResults]


def make(view: View, instance: MethodInstance) -> CodeInstance:
    return view.code_instance(instance)


class Program:
    """A cache with functions 0 to `functions` - 1, each compiled for one argument type."""

    def __init__(self, functions: int) -> None:
        self.cache = CodeCache()
        self.table = MethodTable("benchmark", cache=self.cache)
        self.view: View = CacheView("benchmark", BenchmarkResults, cache=self.cache)
        self.instances = []
        for function in range(functions):
            instance = add_method(self.table, function, (int,), None).specialise((int,))
            self.view.get_or_create(instance, make)
            self.instances.append(instance)

    def sample(self) -> list[MethodInstance]:
        step = max(1, len(self.instances) // SAMPLE)
        return (self.instances[::step] * SAMPLE)[:SAMPLE]


def each(sample: list[Any], act: Callable[[list[Any]], object]) -> Body:
    """A body that acts on a sample again and again; `act` loops over it."""

    def body(times: int) -> None:
        for _ in range(times // len(sample)):
            act(sample)

    return body


def dict_get(sample: list[MethodInstance], size: int) -> Body:
    known: dict[object, int] = dict.fromkeys(sample, 0)
    known.update(dict.fromkeys(range(size - len(known)), 0))

    def act(instances: list[MethodInstance]) -> None:
        for instance in instances:
            known.get(instance)

    return each(sample, act)


def lookup(view: View, sample: list[MethodInstance]) -> Body:
    def act(instances: list[MethodInstance]) -> None:
        for instance in instances:
            code = view.get(instance)
            assert code is not None
            view.results(code)

    return each(sample, act)


def warm_lookup(sizes: tuple[int, ...]) -> bool:
    print(
        head("Warm lookup and its results, by the number of code instances in the cache", "one dict.get among as many")
    )
    worst = 0.0
    for size in sizes:
        program = Program(size)
        sample = program.sample()
        timings = interleave(dict_get(sample, size), {"lookup": lookup(program.view, sample)}, times=200 * SAMPLE)
        print(row(f"{size:>9,} code instances", timings["lookup"]))
        worst = max(worst, timings["lookup"].median_ratio)
        del program
    print(f"  worst median: {worst:.1f} times a dict.get; the limit is {LIMIT:.0f}")
    return worst < LIMIT


def other_lookups() -> None:
    program = Program(1000)
    view, sample = program.view, program.sample()
    frozen = view.frozen()
    namespaces = [{"__name__": f"module_{index}", "limit": index, "__builtins__": {}} for index in range(10)]
    functions: list[Any] = []
    for namespace in namespaces:
        exec("def read(): return limit", namespace)  # noqa: S102 - a function in a namespace of its own
        functions.append(namespace["read"])
    table = FunctionTable(cache=program.cache)

    def reading(count: int) -> MethodInstance:
        instance = table.method_instance(functions[count - 1], (count,))
        assert instance is not None
        edges = [edge for function in functions[:count] for edge in read_global(function, "limit").edges]
        view.get_or_create(instance, lambda view, instance: view.code_instance(instance, edges))
        return instance

    def get_in(view: View) -> Callable[[list[MethodInstance]], object]:
        def act(instances: list[MethodInstance]) -> None:
            for instance in instances:
                view.get(instance)

        return act

    def get_or_create(instances: list[MethodInstance]) -> None:
        for instance in instances:
            view.get_or_create(instance, make)

    bodies = {
        "view.get(instance)": each(sample, get_in(view)),
        "view.get_or_create(instance, make)": each(sample, get_or_create),
        "frozen.get(instance)": each(sample, get_in(frozen)),
        "view.get, code that reads a global": each([reading(1)] * SAMPLE, get_in(view)),
        "view.get, code that reads 10 modules' globals": each([reading(10)] * SAMPLE, get_in(view)),
    }
    print(head("The other ways in", "one dict.get"))
    for name, timing in interleave(dict_get(sample, 1000), bodies, times=100 * SAMPLE).items():
        print(row(name, timing))


def look_up(table: MethodTable) -> Callable[[list[Any]], object]:
    def act(calls: list[Any]) -> None:
        for function, types in calls:
            table.method_instance(function, types)

    return act


def dispatch(sizes: tuple[int, ...]) -> None:
    print(head("Looking a call up, by the number of methods in the table", "one dict.get among as many"))
    for size in sizes:
        many_functions = Program(size)
        one_function = MethodTable("one function", cache=CodeCache())
        classes = [type(f"Class{index}", (), {}) for index in range(min(size, 2_000))]
        for cls in classes:
            add_method(one_function, "f", (cls,), None)
        calls = [(instance.function, instance.types) for instance in many_functions.sample()]
        step = max(1, len(classes) // SAMPLE)
        typed = [("f", (cls,)) for cls in (classes[::step] * SAMPLE)[:SAMPLE]]

        bodies = {
            f"{size:>9,} functions": each(calls, look_up(many_functions.table)),
            f"{len(classes):>9,} methods of one function": each(typed, look_up(one_function)),
        }
        for name, timing in interleave(dict_get(many_functions.sample(), size), bodies, times=20 * SAMPLE).items():
            print(row(name, timing))


def invalidation(dependents: tuple[int, ...], others: tuple[int, ...]) -> None:
    print("\nInvalidation: one function redefined that N others depend on, among M that don't")
    print(f"  {'N dependents':>13} {'M others':>10} {'us in all, least':>17} {'ns a dependent':>15}")
    for other in others:
        program = Program(other)
        for count in dependents:
            callee = add_method(program.table, "callee", (int,), None)
            least = float("inf")
            for _ in range(5):
                instance = callee.specialise((int,))
                program.view.get_or_create(instance, make)
                for index in range(count):
                    caller = add_method(program.table, ("caller", index), (int,), None).specialise((int,))
                    program.view[caller] = program.view.code_instance(caller, [instance])
                start = time.perf_counter_ns()
                callee = add_method(program.table, "callee", (int,), None)
                least = min(least, time.perf_counter_ns() - start)
            print(f"  {count:>13,} {other:>10,} {least / 1e3:>17,.1f} {least / count:>15,.0f}")


def threads(counts: tuple[int, ...]) -> None:
    print("\nThreads that look up at once: lookups of all of them together, in units of what one thread does alone")
    program = Program(1000)
    sample = program.sample()
    body = lookup(program.view, sample)
    times = 400 * SAMPLE

    def seconds(count: int) -> float:
        ready = threading.Barrier(count + 1)

        def run() -> None:
            ready.wait()
            body(times)
            ready.wait()

        for _ in range(count):
            threading.Thread(target=run).start()
        ready.wait()
        start = time.perf_counter()
        ready.wait()
        return time.perf_counter() - start

    rounds = [{count: count * times / seconds(count) for count in counts} for _ in range(5)]
    for count in counts:
        best = max(result[count] / result[1] for result in rounds)
        print(
            f"  {count:>3} threads: {max(result[count] for result in rounds) / 1e6:6.2f} million/s, {best:5.2f} times one thread"
        )
    print("  (Lookups are Python and share the interpreter lock: about 1 is all there is, and it should not fall.)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes: seconds in place of a minute or two")
    quick = parser.parse_args().quick
    print(f"smelt.caching on {platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    is_within_limit = warm_lookup((10, 1_000, 10_000) if quick else (10, 1_000, 100_000, 1_000_000))
    other_lookups()
    dispatch((10, 1_000) if quick else (10, 1_000, 100_000))
    invalidation((1, 10, 100) if quick else (1, 10, 100, 1_000, 10_000), (0, 1_000) if quick else (0, 100_000))
    threads((1, 2) if quick else (1, 2, 4, 8))
    sys.exit(0 if is_within_limit else 1)


if __name__ == "__main__":
    main()
