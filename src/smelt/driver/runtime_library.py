# SPDX-License-Identifier: Apache-2.0
"""The runtime library: functions that compiled code may call, each compiled by itself, once.

They are written in the kernel language, in `smelt.runtime`. The bitcode of each is a result of its own code instance: kernels that
call it link it.
"""

from __future__ import annotations

from typing import Any

from smelt.caching import CodeInstance, MethodInstance, Results, portable, session_local
from smelt.compiler.sites import SiteTuple
from smelt.lowering import LinkedFunction, LoweredModule

_PACKAGE = "smelt.runtime."


class RuntimeFunctionResults(Results):
    """A function of the runtime library. `bitcode` is empty as long as it was not compiled.

    Portable: `name`, its LLVM name; `bitcode`, its LLVM bitcode and that of the functions of the library that it calls, with their
    names, its own first; `error_sites`, where it can fail, as in the results of a kernel; `relocations`, the functions outside that it
    refers to.

    Session-local: `functions`, the code instances that it consists of, and `sources`, the Python functions that `error_sites` number.
    """

    name: str = portable(default="")
    bitcode: tuple[tuple[str, bytes], ...] = portable(default=())
    error_sites: tuple[SiteTuple, ...] = portable(default=())
    relocations: tuple[str, ...] = portable(default=())
    functions: tuple[Any, ...] = session_local(factory=tuple)
    sources: tuple[Any, ...] = session_local(factory=tuple)

    def keep(self, lowered: LoweredModule, name: str, bitcode: bytes) -> None:
        """Keep what the function of that name was lowered and compiled to."""
        self.name = name
        self.error_sites = tuple(site.as_tuple() for site in lowered.errors)
        self.relocations = lowered.symbols
        self.functions, self.sources = lowered.functions, lowered.sources
        # Last, for it says that everything was compiled.
        self.bitcode = ((name, bitcode), *lowered.linked)

    def linked_function(self) -> LinkedFunction:
        """What a module that calls the function needs of it."""
        return LinkedFunction(self.name, self.bitcode, self.error_sites, self.functions, self.sources, self.relocations)


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
