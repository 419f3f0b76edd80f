# SPDX-License-Identifier: Apache-2.0
"""The functions of AIR, defined for the processor in LLVM IR; those for which threads wait are in `cooperation`."""

from __future__ import annotations

import re

from smelt.targets.metal.devices.software.air_functions.float_functions import FLOAT_FAMILIES
from smelt.targets.metal.devices.software.air_functions.function_bodies import Body, Declaration, Families
from smelt.targets.metal.devices.software.air_functions.integer_functions import INTEGER_FAMILIES
from smelt.targets.metal.devices.software.air_functions.memory_functions import MEMORY_FAMILIES
from smelt.targets.metal.devices.software.air_functions.packing import PACKING_FAMILIES

# Compiled when they are tried: a kernel calls few of them, if any.
_FAMILIES: Families = (*FLOAT_FAMILIES, *INTEGER_FAMILIES, *MEMORY_FAMILIES, *PACKING_FAMILIES)


def definition_of(declared: Declaration) -> tuple[str, tuple[str, ...]] | None:
    """LLVM IR that defines a function, and the declarations that it needs; None for a function that is not known."""
    body = Body(declared)
    family = declared.name.removeprefix("air.")
    for pattern, write in _FAMILIES:
        if re.fullmatch(pattern, family):
            result = write(body, family)
            break
    else:
        return None
    parameters = ", ".join(f"{kind} %p{number}" for number, kind in enumerate(declared.parameters))
    returned = "ret void" if declared.result == "void" else f"ret {declared.result} {result}"
    lines = "\n".join(f"  {line}" for line in (*body.lines, returned))
    text = f"define internal {declared.result} @{declared.name}({parameters}) alwaysinline {{\n{lines}\n}}\n"
    return text, tuple(body.needed)
