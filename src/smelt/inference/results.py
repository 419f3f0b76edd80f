# SPDX-License-Identifier: Apache-2.0
"""What inference hangs on a code instance."""

from __future__ import annotations

from typing import Any

from smelt.caching import Results, portable, session_local
from smelt.ir.typed import Function
from smelt.types import Type


class InferenceResults(Results):
    """The typed program of a method instance.

    `signature` is the text of its result type. The function itself refers to other code instances and to Python objects, so it stays
    in the session, as do the arrays that it captured: those are passed as its last parameters. `written` has the positions of the
    parameters with arrays that it may write to.
    """

    signature: str = portable(default="")
    function: Function | None = session_local()
    result: Type | None = session_local()
    captured: tuple[Any, ...] = session_local(factory=tuple)
    written: frozenset[int] = session_local(factory=frozenset)
