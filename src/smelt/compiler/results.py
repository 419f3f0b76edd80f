# SPDX-License-Identifier: Apache-2.0
"""What hangs on the code instance of a kernel or a function: what inference found out, and the artifacts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from smelt.caching import Results, portable, session_local

if TYPE_CHECKING:
    from smelt.compiler.config import CompilerConfig
    from smelt.ir.typed import Function
    from smelt.types import Type


class InferenceResults(Results):
    """What was inferred of a method instance.

    Portable: `signature`, the text of its result type; `captured_names`, what the arrays are called that it captured and that are passed
    as its last parameters; `written`, the positions of the parameters with arrays that it may write to, and `written_names`, their names.

    Session-local: `captured`, those arrays; `function`, the typed program, which refers to other code instances; `result`, its result
    type, and `returns`, whether it ever returns: a function may raise always; `waits`, whether it waits for other threads, itself or in
    what it calls; `recursive_calls`, those calls in all these functions whose code was not there yet. Code that an earlier process
    inferred has no function until one is asked for.
    """

    signature: str = portable(default="")
    captured_names: tuple[str, ...] = portable(default=())
    written: tuple[int, ...] = portable(default=())
    written_names: tuple[str, ...] = portable(default=())
    captured: tuple[Any, ...] = session_local(factory=tuple, is_named=True)
    function: Function | None = session_local()
    result: Type | None = session_local()
    returns: bool = session_local(factory=lambda: True)
    waits: bool = session_local(factory=bool)
    recursive_calls: tuple[Any, ...] = session_local(factory=tuple)


class ArtifactResults(Results):
    """The artifacts of one code instance, by the whole configuration that they were compiled with.

    Each has a lock under which it is made: different ones are made side by side. `configs` has the configurations themselves, by the
    keys that stand for them.
    """

    by_config: dict[tuple[type[Results], object], Results] = session_local(factory=dict)
    configs: dict[object, CompilerConfig] = session_local(factory=dict)
    making: dict[Results, threading.RLock] = session_local(factory=dict)
