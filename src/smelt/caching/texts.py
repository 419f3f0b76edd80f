# SPDX-License-Identifier: Apache-2.0
"""Texts of objects that are not ours, for messages and records."""

from __future__ import annotations


def shown(value: object) -> str:
    """`repr(value)`, or what class it is of if that raises.

    Records are written while the cache is being changed: an object that can't show itself must not leave that half-done.
    """
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - whatever a class does there
        return f"<a {type(value).__qualname__} that can't be shown>"
