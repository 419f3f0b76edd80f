# SPDX-License-Identifier: Apache-2.0
"""Kernels compiled for the processor, as artifacts: kept by the code cache as anything that is compiled.

Their key is the digest of the module of AIR, the kernel's name, its function constants, the checks, and whether it is to run for long; their
owner is the processor. With a store a later process finds them there, and needs no LLVM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    FunctionTable,
    MethodInstance,
    ResultStore,
    portable,
)
from smelt.targets.metal.air.kernels import ConstantOfFunction, Kernel
from smelt.targets.metal.devices.software.checking.checks import Checks
from smelt.targets.native.results import FlatResults
from smelt.targets.native.target import host_target


@dataclass(frozen=True)
class KernelSource:
    """What a kernel is compiled from.

    Attributes
    ----------
    bitcode
        Its module.
    kernel
        What the module says of it.
    constants
        The function constants of the module.
    values
        What they are, by the names of their variables, as numbers of LLVM IR.
    shared
        How many bytes the variables have that a threadgroup shares, by their names.
    runs_long
        Whether it is to run for long: then it is compiled to faster code, in more time.
    """

    bitcode: bytes = field(repr=False)
    kernel: Kernel
    constants: tuple[ConstantOfFunction, ...]
    values: Mapping[str, str]
    shared: Mapping[str, int]
    runs_long: bool = False


class SoftwareResults(FlatResults):
    """A kernel for the processor.

    Portable: its code; `works_together`, whether it runs group by group; `is_serial`, whether its groups run one after the other, since
    their order shows; `can_be_faster`, whether it is worth compiling it anew if it runs for long; `phases`, into how many parts it is cut
    where it waits, 0 if it isn't; `has_loops`, whether one of its threads may run for long; `sites`, how many places there are where threads
    wait for each other; `shared_bytes`, the memory that its variables take that a threadgroup shares.

    The status of a launch is 0, the number of the place where a thread waited while others of its group didn't, or one of those below,
    added to `sites`.
    """

    works_together: bool = portable(default=False)
    is_serial: bool = portable(default=False)
    can_be_faster: bool = portable(default=False)
    phases: int = portable(default=0)
    has_loops: bool = portable(default=False)
    sites: int = portable(default=0)
    shared_bytes: int = portable(default=0)


NO_MEMORY = 1
"""There was no memory to run a group."""
STOPPED = 2
"""The launch was told to stop."""

CompileKernel = Callable[[KernelSource, Checks, SoftwareResults], None]
"""Compiles a kernel, and keeps it in the results. Raises `DeviceError`."""


def _kernel_of_air() -> None:
    """What the compiled kernels are the code of: to the cache they are one function, called with different keys."""


class KernelCode:
    """The compiled kernels of this process.

    Parameters
    ----------
    compile_kernel
        The compiler, which is called for what is found neither here nor in the store.
    store
        Where an earlier process kept what it compiled; None if nowhere.
    """

    def __init__(self, compile_kernel: CompileKernel, store: ResultStore | None = None) -> None:
        self._compile = compile_kernel
        self._table = FunctionTable("kernels of AIR", cache=CodeCache())
        target = host_target()
        owner = ("kernels of AIR", target.cpu, target.abi)
        self._view: CacheView[SoftwareResults] = CacheView(owner, SoftwareResults, cache=self._table.cache, store=store)

    def compiled(self, source: KernelSource, checks: Checks) -> SoftwareResults:
        """The code of a kernel. Raises `DeviceError` for what can't be compiled."""

        def make(view: CacheView[SoftwareResults], instance: MethodInstance) -> CodeInstance:
            code = view.code_instance(instance)
            self._compile(source, checks, view.results(code))
            return code

        key = (
            hashlib.sha256(source.bitcode).hexdigest(),
            source.kernel.name,
            tuple(sorted(source.values.items())),
            (checks.bounds, checks.races, checks.uninitialised),
            source.runs_long,
        )
        instance = self._table.method_instance(_kernel_of_air, key)
        assert instance is not None
        return self._view.results(self._view.get_or_create(instance, make))
