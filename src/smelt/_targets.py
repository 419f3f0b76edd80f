# SPDX-License-Identifier: Apache-2.0
"""What each target brings, imported when the target is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from smelt.launch import requests

T = TypeVar("T")


class OnDemand(Mapping[str, T], Generic[T]):
    """A mapping whose values are made when they are first asked for. `makers` make them."""

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers = makers
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        found = self._made.get(name)
        # Threads that ask at once get the same one.
        return found if found is not None else self._made.setdefault(name, self._makers[name]())

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def metal_linker() -> Any:
    """What links metallibs. While modules are precompiled nothing is kept of what it links."""
    linker = importlib.import_module("smelt.targets.metal.pipelines").MetalLinker
    return linker(keeps=lambda: not requests.is_collecting())


def metal_results() -> Any:
    """The class of the results of compiling for Metal."""
    return importlib.import_module("smelt.targets.metal.results").MetalResults
