# SPDX-License-Identifier: Apache-2.0
"""What is compiled, and how: targets, configurations and jobs.

A configuration has two keys. What affects inference is the *owner*: configurations that share it share inferred code. The whole
configuration is the key of the artifacts. Each field says in its metadata which of the two it enters, or why neither; the declaration
is the only list of them.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from smelt.caching import MethodInstance
from smelt.compiler.threadgroups import Sizes, group_size
from smelt.records import Record, field, fields, is_dataclass


class Enters(Enum):
    """Which key a field of a configuration enters."""

    OWNER = "the owner, and so the key of artifacts too: it affects inference"
    KEY = "the key of artifacts"
    NEITHER = "neither: it changes nothing that is compiled"


def _field(default: Any, enters: Enters) -> Any:
    return field(default=default, metadata={"enters": enters})


class Target(Record):
    """What code is generated for.

    Attributes
    ----------
    name
        `native` or `metal`.
    has_doubles
        Whether it has float64. Without, float32 takes its place.
    has_recursion
        Whether functions can call themselves.
    has_printing
        Whether kernels can print.
    cpu
        The processor, as the target names it. It is always a certain one: what is compiled for the host names the host's.
    abi
        How functions are called, as the target names it.
    """

    name: str = _field("native", Enters.OWNER)
    has_doubles: bool = _field(True, Enters.OWNER)
    has_recursion: bool = _field(True, Enters.OWNER)
    has_printing: bool = _field(True, Enters.OWNER)
    cpu: str = _field("x86-64", Enters.KEY)
    abi: str = _field("sysv", Enters.KEY)


NATIVE = Target()


class CompilerConfig(Record):
    """All settings of a compilation.

    Attributes
    ----------
    target
        What code is generated for.
    boundscheck
        Whether an index that is out of bounds is an error; without, it is undefined behaviour.
    fastmath
        Whether floating arithmetic may be reordered, and NaN and infinity taken for impossible.
    opt_level
        How much LLVM optimises, 0 to 3.
    debug_level
        What debuggers and profilers see: 0 for nothing, 1 for functions and lines, 2 for variables too.
    name
        The name of the kernel in the artifact; None for that of the function.
    threads_per_threadgroup
        The size that the groups of every launch have, on three axes; None if launches choose it. It can be given as for a launch.
    """

    target: Target = _field(NATIVE, Enters.OWNER)
    boundscheck: bool = _field(True, Enters.KEY)
    fastmath: bool = _field(False, Enters.KEY)
    opt_level: int = _field(3, Enters.KEY)
    debug_level: int = _field(0, Enters.KEY)
    name: str | None = _field(None, Enters.KEY)
    threads_per_threadgroup: Sizes | None = _field(None, Enters.KEY)

    def __post_init__(self) -> None:
        for name in ("boundscheck", "fastmath"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is True or False, not {getattr(self, name)!r}")  # noqa: TRY004 - as for the others
        if self.opt_level not in (0, 1, 2, 3):
            raise ValueError(f"opt_level is 0, 1, 2 or 3, not {self.opt_level!r}")
        if self.debug_level not in (0, 1, 2):
            raise ValueError(f"debug_level is 0, 1 or 2, not {self.debug_level!r}")
        if self.threads_per_threadgroup is not None:
            # One size has one key, however it is given.
            object.__setattr__(self, "threads_per_threadgroup", group_size(self.threads_per_threadgroup))

    def owner(self) -> tuple[object, ...]:
        """The owner of code that is inferred with this configuration."""
        return ("smelt", *_entering(self, Enters.OWNER))


class CompilerJob(Record):
    """One thing to compile: a method instance, with a configuration."""

    instance: MethodInstance
    config: CompilerConfig


def _entering(settings: Any, enters: Enters) -> tuple[object, ...]:
    values: list[object] = []
    for declared in fields(type(settings)):
        value = getattr(settings, declared.name)
        if declared.metadata["enters"] is not enters:
            continue
        # What is made of parts enters with those of its parts that do.
        values.append(_entering(value, enters) if is_dataclass(type(value)) else value)
    return tuple(values)
