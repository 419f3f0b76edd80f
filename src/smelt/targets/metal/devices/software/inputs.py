# SPDX-License-Identifier: Apache-2.0
"""The arguments of a kernel of AIR as LLVM IR: buffers, and what the device knows of the thread and of its place."""

from __future__ import annotations

import re

from smelt.lowering.threadgroups import LAUNCH_MEMORY
from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Kernel
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.native.words import SIZES

AXES = "xyz"

# What each input is, of `position`, `inner` (the position in the threadgroup), `outer` (that of the threadgroup), `grid`, `group`
# (threads per threadgroup, as asked for), `actual` (fewer at an edge of the grid), `groups`, and `origin`, which is where a grid begins.
_VECTORS = {
    "thread_position_in_grid": "position",
    "thread_position_in_threadgroup": "inner",
    "threadgroup_position_in_grid": "outer",
    "threads_per_grid": "grid",
    "grid_size": "grid",
    "grid_origin": "origin",
    "threads_per_threadgroup": "actual",
    "dispatch_threads_per_threadgroup": "group",
    "threadgroups_per_grid": "groups",
}
_NUMBERS = {
    "thread_index_in_threadgroup": "index",
    "thread_index_in_simdgroup": "lane",
    "simdgroup_index_in_threadgroup": "simdgroup",
    "simdgroups_per_threadgroup": "simdgroups",
    "dispatch_simdgroups_per_threadgroup": "dispatched_simdgroups",
    "thread_index_in_quadgroup": "quad_lane",
    "quadgroup_index_in_threadgroup": "quadgroup",
    "quadgroups_per_threadgroup": "quadgroups",
    "dispatch_quadgroups_per_threadgroup": "dispatched_quadgroups",
    "threads_per_simdgroup": "simd_width",
    "thread_execution_width": "simd_width",
}


_OF_THREADS = ("position", "inner", "index", "lane", "simdgroup", "quad_lane", "quadgroup")
"""What differs between the threads of a group."""


def unknown_inputs(kernel: Kernel) -> list[str]:
    """What a kernel takes of its device that is not known here."""
    return [one.quantity for one in kernel.inputs if one.quantity not in _VECTORS and one.quantity not in _NUMBERS]


def differing_parameters(kernel: Kernel) -> frozenset[int]:
    """The numbers of the parameters that differ between the threads of a group."""
    differing = {one for one, source in (_VECTORS | _NUMBERS).items() if source in _OF_THREADS}
    return frozenset(one.parameter for one in kernel.inputs if one.quantity in differing)


def arguments_of(kernel: Kernel, parameters: tuple[tuple[str, str], ...], words: str) -> tuple[str, str, str]:
    """LLVM IR that loads the buffers, LLVM IR that computes the inputs, and the arguments, each after a comma."""
    buffers = {buffer.parameter: buffer for buffer in kernel.buffers}
    inputs = {one.parameter: one for one in kernel.inputs}
    loads: list[str] = []
    computed: list[str] = []
    for number, (kind, _) in enumerate(parameters):
        if number in buffers:
            loads.append(f"  %place{number} = getelementptr i64, ptr %{words}, i64 {number}")
            if buffers[number].space == THREADGROUP_SPACE:
                loads.append(f"  %offset{number} = load i64, ptr %place{number}")
                loads.append(f"  %room{number} = getelementptr i8, ptr %launch_memory, i64 %offset{number}")
                loads.append(f"  %a{number} = addrspacecast ptr %room{number} to {kind}")
            else:
                loads.append(f"  %a{number} = load {kind}, ptr %place{number}")
        elif number in inputs:
            computed += _input_of(inputs[number].quantity, kind, number)
        else:
            raise DeviceError(f"nothing is said of parameter {number} of the kernel {kernel.name}")
    arguments = "".join(f", {kind} %a{number}" for number, (kind, _) in enumerate(parameters))
    return "\n".join(loads), "\n".join(computed), arguments


def _input_of(quantity: str, kind: str, number: int) -> list[str]:
    """LLVM IR that computes the argument of that number."""
    if quantity in _NUMBERS:
        return [f"  %a{number} = {_narrowed('%' + _NUMBERS[quantity], kind)}"]
    source = _VECTORS[quantity]
    vector = re.fullmatch(r"<(\d) x (i\d+)>", kind)
    if vector is None:
        return [f"  %a{number} = {_narrowed(f'%{source}_x', kind)}"]
    lines, result = [], "poison"
    for place, axis in enumerate(AXES[: int(vector[1])]):
        name = f"%a{number}" if place + 1 == int(vector[1]) else f"%a{number}_{axis}"
        lines.append(f"  %part{number}_{axis} = {_narrowed(f'%{source}_{axis}', vector[2])}")
        lines.append(f"  {name} = insertelement {kind} {result}, {vector[2]} %part{number}_{axis}, i32 {place}")
        result = name
    return lines


def _narrowed(value: str, kind: str) -> str:
    return f"add i64 {value}, 0" if kind == "i64" else f"trunc i64 {value} to {kind}"


SIZES_LOADED = "\n".join(
    f"  %{name}_word = getelementptr i64, ptr %state, i64 {number}\n  %{name} = load i64, ptr %{name}_word"
    for number, name in enumerate(SIZES, 3)
)
"""The sizes of the grid and of its groups, from the state of a thread."""

LAUNCH_MEMORY_LOADED = f"""\
  %launch_memory_word = getelementptr i64, ptr %state, i64 {LAUNCH_MEMORY}
  %launch_memory = load ptr, ptr %launch_memory_word"""
"""The threadgroup memory that the launch gives, from the state of a thread."""

GROUPS = "\n".join(
    f"  %padded_{axis} = add i64 %grid_{axis}, %group_{axis}\n  %last_{axis} = sub i64 %padded_{axis}, 1\n"
    f"  %groups_{axis} = udiv i64 %last_{axis}, %group_{axis}\n  %origin_{axis} = add i64 0, 0"
    for axis in AXES
)
"""How many groups the grid has."""

_POSITION = """\
  %outer_{axis} = udiv i64 %position_{axis}, %group_{axis}
  %first_{axis} = mul i64 %outer_{axis}, %group_{axis}
  %inner_{axis} = sub i64 %position_{axis}, %first_{axis}
  %rest_{axis} = sub i64 %grid_{axis}, %first_{axis}
  %is_edge_{axis} = icmp ult i64 %rest_{axis}, %group_{axis}
  %actual_{axis} = select i1 %is_edge_{axis}, i64 %rest_{axis}, i64 %group_{axis}
"""

_INDEX = """\
  %row_before = mul i64 %inner_z, %actual_y
  %in_plane = add i64 %row_before, %inner_y
  %in_rows = mul i64 %in_plane, %actual_x
  %index = add i64 %in_rows, %inner_x
"""

QUANTITIES_IN_GROUP = """\
  %lane = and i64 %index, 31
  %simdgroup = lshr i64 %index, 5
  %quad_lane = and i64 %index, 3
  %quadgroup = lshr i64 %index, 2
  %simd_width = add i64 0, 32
  %threads_of_plane = mul i64 %actual_x, %actual_y
  %threads_of_group = mul i64 %threads_of_plane, %actual_z
  %threads_padded = add i64 %threads_of_group, 31
  %simdgroups = lshr i64 %threads_padded, 5
  %threads_in_quads = add i64 %threads_of_group, 3
  %quadgroups = lshr i64 %threads_in_quads, 2
  %dispatched_plane = mul i64 %group_x, %group_y
  %dispatched = mul i64 %dispatched_plane, %group_z
  %dispatched_padded = add i64 %dispatched, 31
  %dispatched_simdgroups = lshr i64 %dispatched_padded, 5
  %dispatched_in_quads = add i64 %dispatched, 3
  %dispatched_quadgroups = lshr i64 %dispatched_in_quads, 2"""
"""What else there is to know of a thread whose group is known, `outer` and `actual` on each axis, and its `index` there."""

QUANTITIES = "".join(_POSITION.format(axis=axis) for axis in AXES) + _INDEX + QUANTITIES_IN_GROUP
"""What there is to know of a thread whose position is known."""
