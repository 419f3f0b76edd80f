# SPDX-License-Identifier: Apache-2.0
"""Machine code of smelt's own: compiled once from LLVM IR, kept by the code cache as anything that is compiled, loaded into this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    FunctionTable,
    MethodInstance,
    ResultStore,
    session_local,
)
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.results import FlatResults

Compile = Callable[[str, int], FlatCode]
"""From LLVM IR and the level of optimisation to flat code."""


class HelperResults(FlatResults):
    """Machine code that is no kernel. Session-local: `mapped`, the code in memory."""

    mapped: Any = session_local()


class HelperCode:
    """The helpers of one owner, which names what they are and what they depend on beside the compiler.

    They have a cache of their own, so that what is counted of kernels is of kernels.
    """

    def __init__(self, owner: tuple[Any, ...], compile_text: Compile, store: ResultStore | None = None) -> None:
        self._compile = compile_text
        self._table = FunctionTable(str(owner[0]), cache=CodeCache())
        self._view: CacheView[HelperResults] = CacheView(owner, HelperResults, cache=self._table.cache, store=store)

    def mapped(self, write: Callable[..., str | None], opt_level: int, *numbers: Any) -> MappedCode | None:
        """The code whose text `write` gives for some numbers, loaded; None if it gives none."""

        def make(view: CacheView[HelperResults], instance: MethodInstance) -> CodeInstance:
            code = view.code_instance(instance)
            text = write(*numbers)
            if text is not None:
                view.results(code).keep_flat_code(self._compile(text, opt_level))
            return code

        instance = self._table.method_instance(write, numbers)
        assert instance is not None
        results = self._view.results(self._view.get_or_create(instance, make))
        if results.mapped is None and results.code is not None:
            results.mapped = MappedCode(results.flat_code(), resolve)
        mapped: MappedCode | None = results.mapped
        return mapped
