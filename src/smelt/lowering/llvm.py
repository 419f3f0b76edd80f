# SPDX-License-Identifier: Apache-2.0
"""Running LLVM: passes and code generation, in several threads at once.

llvmlite holds one lock around each of its calls. LLVM itself needs none as long as threads share no context, so each module has a
context of its own, and the two calls that take long are made without the lock, through a second handle on the same library. Where
a release of llvmlite has no such handle they are made with it, one after the other.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm

_initialising = threading.Lock()
_is_initialised = False
_machines = threading.local()


def initialise() -> None:
    """Make LLVM ready to generate code for every processor that it knows. Costs nothing from the second time on."""
    global _is_initialised  # noqa: PLW0603 - LLVM has one state for the process
    with _initialising:
        if not _is_initialised:
            llvm.initialize_all_targets()
            llvm.initialize_all_asmprinters()
            _is_initialised = True


def target_machine(triple: str, cpu: str, features: str, *, opt_level: int) -> Any:
    """LLVM's description of a processor: made once for each thread, since it remembers what it generates code with."""
    initialise()
    known: dict[tuple[str, str, str, int], Any] = _machines.__dict__.setdefault("by_key", {})
    key = (triple, cpu, features, opt_level)
    if key not in known:
        target = llvm.Target.from_triple(triple)
        known[key] = target.create_target_machine(
            cpu=cpu, features=features, opt=opt_level, reloc="pic", codemodel="small"
        )
    return known[key]


class _Module(llvm.ModuleRef):  # type: ignore[misc]
    """A module that takes its context along when it goes.

    LIFETIME: a module needs its context until it is disposed of. Two objects that the garbage collector finds together go in any
    order, so the context is told to leave itself alone.
    """

    def __init__(self, module: Any) -> None:
        super().__init__(module._ptr, module._context)  # noqa: SLF001 - what llvmlite gives no other way to
        self._context._owned = True  # noqa: SLF001
        self._context_pointer = self._context._ptr  # noqa: SLF001
        module.detach()

    def _dispose(self) -> None:
        super()._dispose()
        self._capi.LLVMPY_ContextDispose(self._context_pointer)


def module_of_text(text: str) -> Any:
    """The LLVM module that `text` describes, in a context of its own. Raises `RuntimeError` for what LLVM can't parse."""
    return _Module(llvm.parse_assembly(text, llvm.create_context()))


def module_of_bitcode(bitcode: bytes) -> Any:
    """The LLVM module that `bitcode` holds, in a context of its own. Raises `RuntimeError` for what LLVM can't parse."""
    return _Module(llvm.parse_bitcode(bitcode, llvm.create_context()))


def parsed(text: str, machine: Any) -> Any:
    """The LLVM module that `text` describes, verified, for the target of `machine`."""
    module = module_of_text(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    return module


def link(module: Any, bitcode: tuple[tuple[str, bytes], ...]) -> None:
    """Add functions to a module of `parsed`, given their names and their bitcode. They are not seen from outside of it."""
    for _, code in bitcode:
        module.link_in(llvm.parse_bitcode(code, module._context))  # noqa: SLF001 - modules are linked in one context
    # After all of them, for they call each other.
    for name, _ in bitcode:
        module.get_function(name).linkage = "internal"


def optimise(
    module: Any, machine: Any, opt_level: int, *, vectorises: bool | None = None, is_compact: bool = False
) -> None:
    """Run LLVM's own pipeline of that level on a module of `parsed`, for no processor that LLVM knows if `machine` is None.

    `vectorises` says whether it makes vectors; if it is None, from level 2 on. If `is_compact`, rounds of loops that aren't vectors aren't
    written out one after the other: that saves a quarter of the time.
    """
    options = llvm.create_pipeline_tuning_options(speed_level=opt_level)
    if vectorises is None:
        vectorises = opt_level > 1
    options.loop_vectorization = vectorises
    options.slp_vectorization = vectorises and not is_compact
    options.loop_unrolling = not is_compact
    builder = llvm.create_pass_builder(machine, options)
    run = _without_lock("LLVMPY_RunNewModulePassManager")
    run(builder.getModulePassManager(), module, builder)
    if vectorises and any(variable.name == "llvm.compiler.used" for variable in module.global_variables):
        # Loops call now what stands for functions where LLVM computes with vectors, see `rare`.
        inlining = llvm.create_new_module_pass_manager()
        inlining.add_always_inliner_pass()
        run(inlining, module, builder)


def run_passes(module: Any, names: Sequence[str], machine: Any = None) -> None:
    """Run LLVM's passes of these names over a module, one after the other, for no processor that LLVM knows if `machine` is None."""
    manager = llvm.create_new_module_pass_manager()
    for name in names:
        getattr(manager, f"add_{name}_pass")()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    _without_lock("LLVMPY_RunNewModulePassManager")(manager, module, builder)


def emit_object(module: Any, machine: Any) -> bytes:
    """The object file of a module of `parsed`. Raises `RuntimeError` for what LLVM can't generate code for."""
    with llvm.ffi.OutputString() as message:
        buffer = _without_lock("LLVMPY_TargetMachineEmitToMemory")(machine, module, _OBJECT_FILE, message)
        if not buffer:
            raise RuntimeError(str(message))
    try:
        start, size = llvm.ffi.lib.LLVMPY_GetBufferStart(buffer), llvm.ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(start, size)
    finally:
        llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


_OBJECT_FILE = 1


@functools.cache
def _without_lock(name: str) -> Any:
    locked = getattr(llvm.ffi.lib, name)
    path = getattr(llvm.ffi.lib, "_name", None)
    if path is None:
        return locked
    unlocked = getattr(ctypes.CDLL(path), name)
    unlocked.argtypes, unlocked.restype = locked.argtypes, locked.restype
    return unlocked


def lock_of_calls() -> Any:
    """The lock that llvmlite holds around each of its calls, to be held over forks: whoever waits for it in a child would wait for ever.

    None if this release has none.
    """
    return getattr(llvm.ffi.lib._lock, "_lock", None)  # noqa: SLF001 - what llvmlite gives no other way to


def _after_fork_in_child() -> None:
    # Another thread may have been in `initialise`.
    _initialising._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as the standard library does with its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
