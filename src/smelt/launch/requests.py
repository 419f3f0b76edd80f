# SPDX-License-Identifier: Apache-2.0
"""What is asked of kernels: to be compiled ahead of time, and, for whoever wants to know, to run.

While modules are precompiled, every declared signature and every launch in `with precompile_workload():` is a request. In an ordinary
session the launches of a workload do nothing, so that a module can have one beside its kernels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from smelt.targets.native.launching.dispatch import suspended

if TYPE_CHECKING:
    from smelt.launch.kernel import Kernel
    from smelt.types import Type

Request: TypeAlias = "tuple[Kernel, tuple[Type, ...]]"
Observer: TypeAlias = "Callable[[Kernel, tuple[Type, ...]], None]"

_in_workload = threading.local()
_collected: list[Request] | None = None
_observers: list[Observer] = []


@contextmanager
def precompile_workload() -> Iterator[None]:
    """Launches in this block are compiled ahead of time by `smelt precompile`, and never run.

    A module ends with it, say::

        with smelt.precompile_workload():
            saxpy[1](np.empty(1, np.float32), 2.0, np.empty(1, np.float32), np.empty(1, np.float32))

    In an ordinary session nothing in it is compiled either.
    """
    before = is_workload()
    _in_workload.is_entered = True
    try:
        with suspended():
            yield
    finally:
        _in_workload.is_entered = before


def is_workload() -> bool:
    """Whether this thread is in a workload, whose launches don't run."""
    return getattr(_in_workload, "is_entered", False)


def is_collecting() -> bool:
    """Whether modules are being precompiled."""
    return _collected is not None


def request(kernel: Kernel, kinds: tuple[Type, ...]) -> None:
    """Ask for `kernel` to be compiled for arguments of these types, if modules are being precompiled."""
    if _collected is not None and (kernel, kinds) not in _collected:
        _collected.append((kernel, kinds))


@contextmanager
def collecting() -> Iterator[list[Request]]:
    """Collect what is asked for while this lasts: modules are being precompiled."""
    global _collected  # noqa: PLW0603 - a process precompiles or it doesn't
    before, _collected = _collected, []
    try:
        yield _collected
    finally:
        _collected = before


def observe(observer: Observer) -> Callable[[], None]:
    """Call `observer` with every kernel that is about to run for types that its last launch did not have. Returns what ends that."""
    _observers.append(observer)
    return lambda: _observers.remove(observer)


def tell(kernel: Kernel, kinds: tuple[Type, ...]) -> None:
    """Tell the observers that `kernel` is about to run."""
    for observer in tuple(_observers):
        observer(kernel, kinds)
