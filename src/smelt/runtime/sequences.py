# SPDX-License-Identifier: Apache-2.0
"""Python's functions of sequences where they are called with keywords, or with items that are no numbers."""

from __future__ import annotations

from typing import Any


def least(*items: Any, key: Any = None, default: Any = None) -> Any:
    """`min`, of its arguments or of the items of one."""
    group = items[0] if len(items) == 1 else items
    if default is None:
        return min(item for item in group) if key is None else min((item for item in group), key=key)
    if key is None:
        return min((item for item in group), default=default)
    return min((item for item in group), key=key, default=default)


def greatest(*items: Any, key: Any = None, default: Any = None) -> Any:
    """`max`, of its arguments or of the items of one."""
    group = items[0] if len(items) == 1 else items
    if default is None:
        return max(item for item in group) if key is None else max((item for item in group), key=key)
    if key is None:
        return max((item for item in group), default=default)
    return max((item for item in group), key=key, default=default)


def strictly_zipped(*iterables: Any) -> Any:
    """`zip` with `strict=True`; in kernels this is a primitive."""
    return zip(*iterables, strict=True)
