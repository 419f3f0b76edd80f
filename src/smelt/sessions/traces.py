# SPDX-License-Identifier: Apache-2.0
"""Traces: what a run launched, one line of JSON for each kernel and tuple of argument types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smelt.caching import MethodInstance, StoreError
from smelt.sessions.entries import VOCABULARY, method_name, types_of
from smelt.sessions.objects import Objects
from smelt.sessions.signatures import resolved_types


def trace_line(instance: MethodInstance) -> str | None:
    """The line for a method instance; None if its argument types can't be written down."""
    module, name = method_name(instance)
    types = types_of(instance)
    if types is None:
        return None
    encoded = VOCABULARY.encode(types).hex()
    return json.dumps({"module": module, "kernel": name, "text": str(instance), "types": encoded}) + "\n"


def read_trace(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """The module, the qualified name and the encoded argument types of each launch. Raises `StoreError` for what is no trace."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            yield str(row["module"]), str(row["kernel"]), bytes.fromhex(row["types"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}:{number}: it is no line of a trace: {error!r}") from error


def types_in_trace(encoded: bytes, function: Any) -> tuple[Any, ...]:
    """The argument types in a line. Raises `EncodingError`, `UnnamedError`."""
    types: tuple[Any, ...] = resolved_types(VOCABULARY.decode(encoded), Objects(function, ()))
    return types
