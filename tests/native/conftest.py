# SPDX-License-Identifier: Apache-2.0
"""Object files as LLVM emits them, and flat code made of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smelt.lowering.llvm import emit_object, optimise, parsed
from smelt.targets.native.machine_code.code_generation import machine_for, with_attributes
from smelt.targets.native.target import target_named

ObjectOf = Callable[..., bytes]


def object_of(text: str, target: str = "native:host", opt_level: int = 2) -> bytes:
    """The object file of LLVM IR."""
    machine = machine_for(target_named(target), opt_level=opt_level)
    module = parsed(with_attributes(text, target_named(target)), machine)
    optimise(module, machine, opt_level)
    return emit_object(module, machine)


@pytest.fixture(name="object_of", scope="session")
def object_of_fixture() -> ObjectOf:
    return object_of
