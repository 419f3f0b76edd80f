# SPDX-License-Identifier: Apache-2.0
"""The runtime library: functions that compiled code may call, each compiled by itself, once.

They are written in the kernel language, in `smelt.runtime`. The bitcode of each is a result of its own code instance: kernels that
call it link it. Since they are part of smelt, it is kept for later processes as all is that depends on the compiler alone.
"""

from __future__ import annotations

from typing import Any, Protocol

from smelt.caching import CodeInstance, LookupTable, MethodInstance, Results, portable, session_local
from smelt.compiler.sites import SiteTuple
from smelt.lowering import LinkedFunction, LoweredModule

_PACKAGE = "smelt.runtime."


class RuntimeFunctionResults(Results):
    """A function of the runtime library. `bitcode` is empty as long as it was not compiled.

    Portable: `name`, its LLVM name; `bitcode`, its LLVM bitcode and that of the functions of the library that it calls, with their
    names, its own first; `error_sites`, where it can fail, as in the results of a kernel; `relocations`, the functions outside that it
    refers to.

    Session-local: `sources`, the Python functions that `error_sites` number.
    """

    name: str = portable(default="")
    bitcode: tuple[tuple[str, bytes], ...] = portable(default=())
    error_sites: tuple[SiteTuple, ...] = portable(default=())
    relocations: tuple[str, ...] = portable(default=())
    sources: tuple[Any, ...] = session_local(factory=tuple, is_named=True)

    def keep(self, lowered: LoweredModule, name: str, bitcode: bytes) -> None:
        """Keep what the function of that name was lowered and compiled to."""
        self.name = name
        self.error_sites = tuple(site.as_tuple() for site in lowered.errors)
        self.relocations = lowered.symbols
        self.sources = lowered.sources
        # Last, for it says that everything was compiled.
        self.bitcode = ((name, bitcode), *lowered.linked)

    def take_over(self, kept: RuntimeFunctionResults) -> None:
        """Have what an earlier process kept."""
        self.name, self.error_sites, self.relocations, self.sources = (
            kept.name,
            kept.error_sites,
            kept.relocations,
            kept.sources,
        )
        self.bitcode = kept.bitcode

    def linked_function(self) -> LinkedFunction:
        """What a module that calls the function needs of it."""
        return LinkedFunction(self.name, self.bitcode, self.error_sites, self.sources, self.relocations)


class LibraryStore(Protocol):
    """Where results are that depend on nothing but the compiler, the owner and the method instance."""

    def load_results(
        self, results_class: type[RuntimeFunctionResults], instance: MethodInstance, owner: object
    ) -> RuntimeFunctionResults | None: ...
    def save_results(self, results: Results, instance: MethodInstance, owner: object) -> None: ...


def depends_on_smelt_alone(code: CodeInstance, overlays: LookupTable) -> bool:
    """Whether no overlay that a user defines is a part of a function of the library, or of what that calls."""
    todo, seen = [code], set[CodeInstance]()
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        if one.instance.method.table is overlays:
            return False
        for edge in one.edges:
            if isinstance(edge, CodeInstance):
                todo.append(edge)
            elif isinstance(edge, MethodInstance):
                # A function that calls itself: it is part of kernels, and not linked.
                return False
    return True


def is_in_library(instance: MethodInstance) -> bool:
    """Whether a method instance belongs to a function of the runtime library."""
    module = getattr(instance.source, "__module__", None)
    return isinstance(module, str) and module.startswith(_PACKAGE)


def is_separate(lowered: LoweredModule) -> bool:
    """Whether a function needs nothing of the kernel that calls it: neither the other threads of a group, nor its texts or stack."""
    return lowered.threadgroups is None and not lowered.prints and not lowered.is_recursive


def symbol_of(code: CodeInstance) -> str:
    """The LLVM name of a function of the library: the text of its method instance, in characters that need no escapes."""
    text = repr(code.instance).encode("ascii", "backslashreplace").decode()
    return "".join(c if c not in '"\\' else f"${ord(c):02x}" for c in text)
