# SPDX-License-Identifier: Apache-2.0
"""Targets by name: `native`, which is `native:host`, and `native:LEVEL`, say `native:x86-64-v3`."""

from __future__ import annotations

from smelt.compiler.config import Target
from smelt.targets.native.processors.host import host_abi, host_machine, host_processor
from smelt.targets.native.processors.processor import LEVELS, parse_processor


def host_target() -> Target:
    """The processor that this process runs on, with its system's calling convention."""
    return _target(str(host_processor()), "")


def least_target() -> Target:
    """What every processor of this one's machine can run, with this system's calling convention."""
    # The least level of a machine has its name.
    return _target(host_machine(), "")


def target_named(text: str) -> Target:
    """The target of that name: `native:host`, or a processor as in `processors`, with `:windows` for Windows on x86-64.

    Without, it is for systems of the host's kind. Raises `ValueError` if there is no such target.
    """
    name, _, rest = text.partition(":")
    processor, _, system = rest.partition(":")
    if name != "native" or system not in ("", "windows"):
        raise ValueError(f"there is no target {text!r}; write native:host, or native: and one of {', '.join(LEVELS)}")
    if processor in ("", "host"):
        processor = str(host_processor())
    return _target(str(parse_processor(processor)), system)


def _target(processor: str, system: str) -> Target:
    machine = parse_processor(processor).machine
    is_windows_abi = system == "windows" and machine == "x86-64"
    return Target(cpu=processor, abi="windows" if is_windows_abi else host_abi(machine))
