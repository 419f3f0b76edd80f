# SPDX-License-Identifier: Apache-2.0
"""What lowering a kernel gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smelt.compiler.sites import ErrorSite, SiteTuple
from smelt.compiler.texts import Template
from smelt.compiler.threadgroups import Sizes
from smelt.lowering.debugging import DebugInformation


@dataclass(frozen=True, slots=True)
class Threadgroups:
    """What a kernel needs whose threads work together.

    Attributes
    ----------
    memory_bytes
        The memory that the threads of a group share, without what is given at launch.
    is_sized_at_launch
        Whether there is an array whose size is given at launch.
    exhausted
        The error site for when there is no memory to run a group.
    slot_bytes
        What is kept for each thread, where the kernel's function is that of a group (see `cutting.groups`); None where it is that of a thread.
    edge
        The LLVM name of the function for groups that are smaller than all others, where the size of those is known when compiling and
        the kernel's function is for them; None if one function is for all.
    written_first_by
        The size of groups whose threads write all that they share before any of it is read; None if there is none.
    """

    memory_bytes: int
    is_sized_at_launch: bool
    exhausted: int
    slot_bytes: int | None = None
    edge: str | None = None
    written_first_by: Sizes | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """A function that runs some threads of a row that follow each other in step, see `cutting.strips`.

    Attributes
    ----------
    name
        Its LLVM name. It takes what the kernel's function does, and the position of the first thread on the x axis.
    threads
        How many it runs.
    """

    name: str
    threads: int


@dataclass(frozen=True, slots=True)
class LinkedFunction:
    """A function that was compiled before, by itself, and is linked into the modules that call it.

    Attributes
    ----------
    name
        Its LLVM name.
    bitcode
        Its LLVM bitcode, and that of what it calls of the same kind, by their names.
    errors, sources, symbols
        As in the `LoweredModule` that it was made of, but for the error sites, which are tuples.
    """

    name: str
    bitcode: tuple[tuple[str, bytes], ...]
    errors: tuple[SiteTuple, ...]
    sources: tuple[Any, ...]
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoweredModule:
    """The LLVM IR of a kernel.

    Attributes
    ----------
    text
        The definitions, without a target and without an entry point.
    name
        The LLVM name of the kernel's function.
    result_type
        What that function returns.
    functions
        The code instances in it, the kernel's first.
    sources
        The Python functions that the places of error sites number, and those of which debuggers are told.
    errors
        The error sites: a status of n is `errors[n - 1]`.
    prints
        The templates of what it prints, see `compiler.texts`: text n is `prints[n]`.
    symbols
        The functions of the C library that it calls.
    linked
        The bitcode that is linked into it, by the names of the functions.
    threadgroups
        What its threads need to work together; None if each runs alone.
    main
        The LLVM name of the function that runs in place of the kernel's for most threads of a row, see `knowledge.assumptions`; None if
        there is no such function.
    limits
        The LLVM name of the function that tells for which of them; None if for all.
    has_same_limits
        Whether what it tells is the same for all rows.
    strips
        What runs several of the threads at once that `main` may run, that which runs most first.
    is_recursive
        Whether there is a function in it that calls itself.
    has_loops
        Whether there is a loop in it, those of linked functions aside.
    has_rows
        Whether a thread asks in it for its position on another axis than x, linked functions aside.
    debug
        What debuggers are told of it, which the text refers to; None if nothing.
    """

    text: str
    name: str
    result_type: str
    functions: tuple[Any, ...]
    sources: tuple[Any, ...]
    errors: tuple[ErrorSite, ...]
    prints: tuple[Template, ...]
    symbols: tuple[str, ...]
    linked: tuple[tuple[str, bytes], ...] = ()
    threadgroups: Threadgroups | None = None
    main: str | None = None
    limits: str | None = None
    has_same_limits: bool = False
    strips: tuple[Strip, ...] = ()
    is_recursive: bool = False
    has_loops: bool = False
    has_rows: bool = False
    debug: DebugInformation | None = None
