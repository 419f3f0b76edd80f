# SPDX-License-Identifier: Apache-2.0
"""What was compiled once is there in the next process."""

from smelt.sessions.compiler_code import CompilerCode
from smelt.sessions.store import Session, StoreMiss

__all__ = ["CompilerCode", "Session", "StoreMiss"]
