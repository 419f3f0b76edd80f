# SPDX-License-Identifier: Apache-2.0
"""What was compiled once is there in the next process."""

from smelt.sessions.store import Session, StoreMiss

__all__ = ["Session", "StoreMiss"]
