# SPDX-License-Identifier: Apache-2.0
"""What a code cache tells those who listen: `cache.subscribe(listener)`. One event for each thing that the cold paths do.

A hit tells nothing: it would cost as much as the lookup. Events are built only where somebody listens, and handed over after the
cache's lock was released. An invalidation is an event itself.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias

from smelt.records import Record

if TYPE_CHECKING:
    from smelt.caching.code import CodeInstance
    from smelt.caching.invalidation import Cause, Invalidation
    from smelt.caching.methods import MethodInstance


class MissReason(enum.Enum):
    """Why a view had no code."""

    NEVER_MADE = "nothing was made for this instance and owner yet"
    INVALIDATED = "what was made depends on something that has changed"
    OTHER_WORLD = "what was made is valid in other worlds only"


class Miss(Record):
    """A view had no code for an instance, and its maker, or the store, is going to be asked.

    `cause` says which change invalidated what was there, for the reason `INVALIDATED`.
    """

    instance: MethodInstance
    owner: object
    reason: MissReason
    cause: Cause | None


class Made(Record):
    """A maker's code came into the cache."""

    code: CodeInstance


class Loaded(Record):
    """Code from a result store came into the cache."""

    code: CodeInstance


class Failed(Record):
    """A maker raised an error; nothing is left of it."""

    instance: MethodInstance
    owner: object
    error: BaseException


Event: TypeAlias = "Miss | Made | Loaded | Failed | Invalidation"


class Counts(Record):
    """How often the cold paths were taken since the cache was made."""

    made: int = 0
    loaded: int = 0
    failed: int = 0
    invalidated: int = 0
