# SPDX-License-Identifier: Apache-2.0
"""The functions that all kernels of AIR call and that are the same for all: compiled once, kept as kernels are, and found when one is loaded.

They are loops over the grid, which call the kernel, and what tells of accesses that are wrong. Their text is in `shared_functions`.
"""

from __future__ import annotations

from collections.abc import Callable

from smelt.caching import ResultStore
from smelt.targets.native.loader.helper_code import Compile, HelperCode
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve
from smelt.targets.native.target import host_target

ROWS, GROUPS, REPORTS = "rows", "groups", "reports"
"""The parts. A part is compiled when it is needed first."""

RUN_ROWS, RUN_GROUPS = "smelt.run_rows", "smelt.run_groups"

_PARTS = {
    RUN_ROWS: ROWS,
    RUN_GROUPS: GROUPS,
    "smelt.outside": REPORTS,
    "smelt.report": REPORTS,
    "smelt.row": REPORTS,
}

_OPT_LEVEL = 1


class SharedCode:
    """These functions in this process.

    Parameters
    ----------
    text_of
        Gives the LLVM IR of a part.
    compile_text
        The compiler, which is called for what is found neither here nor in the store.
    store
        Where an earlier process kept what it compiled; None if nowhere.
    """

    def __init__(self, text_of: Callable[[str], str], compile_text: Compile, store: ResultStore | None = None) -> None:
        self._text_of = text_of
        target = host_target()
        owner = ("functions of all kernels of AIR", target.cpu, target.abi)
        self._code = HelperCode(owner, compile_text, store)
        # LIFETIME: what was mapped stays for as long as this, and whoever holds code that calls it holds on to this.
        self._mapped: dict[str, MappedCode] = {}

    def resolve(self, name: str) -> int:
        """The address of what a kernel calls: of one of these functions, or of another of this process's. Raises `LinkError`."""
        part = _PARTS.get(name)
        if part is None:
            return resolve(name)
        mapped = self._mapped.get(part)
        if mapped is None:
            made = self._code.mapped(self._text_of, _OPT_LEVEL, part)
            assert made is not None
            # Of several threads that come here at once the first one's is kept, whose addresses all get.
            mapped = self._mapped.setdefault(part, made)
        return mapped.address(name)
