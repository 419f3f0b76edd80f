# SPDX-License-Identifier: Apache-2.0
"""Where results come from that outlived the process that made them: the protocol that a cache view consults on a miss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from smelt.caching.code import CodeInstance
    from smelt.caching.methods import MethodInstance
    from smelt.caching.views import CacheView


@runtime_checkable
class ResultStore(Protocol):
    """A store of portable results.

    It is called without any lock held, once for each job however many threads ask for it. What it raises (an `Exception`) is
    shown as one `StoreWarning` and otherwise costs no more than a miss.
    """

    def load(self, view: CacheView[Any], instance: MethodInstance) -> CodeInstance | None:
        """Code for `instance`, made with `view.code_instance`, with its results restored; None for a miss.

        The store vouches for what the code is: it has compared every edge with what the process has now, and hands those
        edges over, as it has just read them.
        """
        ...

    def save(self, view: CacheView[Any], code: CodeInstance) -> None:
        """Keep the portable results of `code`. Called when it comes into the cache and when `view.save(code)` says so."""
        ...
