# SPDX-License-Identifier: Apache-2.0
"""What an examination of `smelt doctor` comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes
    ----------
    state
        `works`; `limited`, if smelt does without, more slowly or less comfortably; `absent`, for what this machine has not, or smelt not
        yet; `broken`, for what should work.
    detail
        What was looked at, and what is wrong with it.
    remedy
        The command that mends it, or else what to do; empty where there is nothing to mend.
    """

    subject: str
    state: Literal["works", "limited", "absent", "broken"]
    detail: str
    remedy: str = ""
