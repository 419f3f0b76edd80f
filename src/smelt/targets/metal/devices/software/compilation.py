# SPDX-License-Identifier: Apache-2.0
"""From a module of AIR to code for the processor that this runs on.

A kernel becomes a function `run(launch, buffers)` that runs a box of its grid: thread by thread, x fastest, or group by group if threads wait
for each other. `launch` is an array of the words of `targets.native.words`; `buffers` one of the addresses that its parameters
point to, a word for each parameter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smelt.lowering import LoweredModule
from smelt.lowering.llvm import emit_object, module_of_bitcode, optimise, parsed
from smelt.lowering.lowered import Threadgroups
from smelt.targets.metal.air.kernels import ConstantOfFunction, Kernel
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software.cooperation import RESULT, made_cooperative
from smelt.targets.metal.devices.software.functions import ATTRIBUTES, declaration_of, definition_of
from smelt.targets.metal.devices.software.listings import split_list
from smelt.targets.native.kernels.boxes import loops_begin, loops_end
from smelt.targets.native.kernels.threadgroups import group_entry_point
from smelt.targets.native.machine_code.code_generation import machine_for, missing_conversions
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.target import host_target
from smelt.targets.native.words import BOX, SIZES, loads_of_words

ENTRY = "run"

_AXES = "xyz"

_OPT_LEVEL = 2


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel for the processor.

    Attributes
    ----------
    code
        Its code. The variables that a threadgroup shares are outside of it.
    sites
        How many places there are where threads wait for each other; 0 if none does. A thread that waits where others don't ends
        the launch with the number of its place, one group that there is no memory for with one more than all.
    """

    code: FlatCode
    sites: int


def compile_kernel(
    bitcode: bytes,
    kernel: Kernel,
    constants: tuple[ConstantOfFunction, ...],
    values: Mapping[str, str],
    shared: Sequence[str],
) -> CompiledKernel:
    """Compile a kernel of the module that `bitcode` holds.

    `values` gives its function constants, by the names of their variables, as numbers of LLVM IR; `shared` the names of the variables
    that a threadgroup shares.

    Raises `DeviceError`, naming what this device doesn't know, and `RuntimeError` for what LLVM can't compile.
    """
    text = str(module_of_bitcode(bitcode))
    text = _with_constants(text, constants, values)
    for variable in shared:
        line = re.compile(
            rf"^(@\"?{re.escape(variable)}\"? = ).*?addrspace\(3\) global (.*?) (?:undef|poison|zeroinitializer)",
            re.MULTILINE,
        )
        text = line.sub(r"\1external addrspace(3) global \2", text)
    signature = _signature(text, kernel)
    cooperative = made_cooperative(text, kernel.name)
    text = _with_definitions(text if cooperative is None else cooperative.text, kernel)
    if cooperative is None:
        text += _entry_point(kernel, signature)
    else:
        text += _group_entry_point(kernel, signature, text, cooperative.sites)
    machine = machine_for(host_target(), opt_level=_OPT_LEVEL)
    module = parsed(text + missing_conversions(text, host_target()), machine)
    optimise(module, machine, _OPT_LEVEL)
    return CompiledKernel(flatten(emit_object(module, machine)), 0 if cooperative is None else cooperative.sites)


def _signature(text: str, kernel: Kernel) -> tuple[str, ...]:
    """The LLVM types of the parameters of a kernel."""
    for line in text.splitlines():
        if line.startswith("define") and f"@{kernel.name}(" in line:
            return _parameter_types(line)
    raise DeviceError(f"the module of the kernel {kernel.name} has no function of that name")


def _with_constants(text: str, constants: tuple[ConstantOfFunction, ...], values: Mapping[str, str]) -> str:
    """The module with the values of its function constants in place of what the device would write there."""
    for constant in constants:
        line = re.compile(
            rf"^(@{re.escape(constant.variable)} = .*?)externally_initialized (constant (?:\w+|<[^>]+>)) undef", re.MULTILINE
        )
        value = values.get(constant.variable)
        if value is not None:
            text = line.sub(rf"\1\2 {value}", text)
    return text


def _with_definitions(text: str, kernel: Kernel) -> str:
    """The module with AIR's functions defined and its target left out."""
    lines, definitions, needed, unknown = [], [], {}, []
    for line in text.splitlines():
        declared = declaration_of(line)
        if declared is not None:
            defined = definition_of(declared)
            if defined is None:
                unknown.append(declared.name)
            else:
                definitions.append(defined[0])
                needed.update(dict.fromkeys(defined[1]))
            continue
        if line.startswith("declare") and "@llvm." in line:
            # Without attributes, as what is added declares them; LLVM knows its own functions.
            lines.append(re.sub(rf"({ATTRIBUTES.pattern})+(?=[,)])| #\\d+$|local_unnamed_addr ", "", line))
            continue
        if line.startswith(("target ", "@llvm.compiler.used", "@llvm.used")):
            continue
        if line.startswith("define") and not line.startswith("define internal") and f"@{kernel.name}(" in line:
            # Only what is run is left in the end.
            lines.append(re.sub(r"^define (?:weak_odr )?(?:dso_local )?", "define internal ", line))
        else:
            lines.append(_without_aliases(line))
    if unknown:
        names = ", ".join(sorted(unknown))
        raise DeviceError(f"the kernel {kernel.name} calls {names}, which this device doesn't know")
    body = "\n".join(lines)
    declarations = [line for line in needed if f"@{line.split('@')[1].split('(')[0]}(" not in body]
    return "\n".join([body, *declarations, *definitions]) + "\n"


def _without_aliases(line: str) -> str:
    """A host may bind one buffer twice, whatever the compiler thought."""
    return re.sub(r", !(?:alias\.scope|noalias) !\d+", "", line)


def _parameter_types(line: str) -> tuple[str, ...]:
    """The types of the parameters of a definition."""
    parts = split_list(line[line.index("(") + 1 :])
    found = [re.match(r"(ptr(?: addrspace\(\d+\))?|<[^>]*>|\w+)", part) for part in parts]
    return tuple(match[1] for match in found if match is not None)


# What each input is, of `position`, `inner` (the position in the threadgroup), `outer` (that of the threadgroup), `grid`, `group`
# (threads per threadgroup, as asked for), `actual` (fewer at an edge of the grid) and `groups`.
_VECTORS = {
    "thread_position_in_grid": "position",
    "thread_position_in_threadgroup": "inner",
    "threadgroup_position_in_grid": "outer",
    "threads_per_grid": "grid",
    "grid_size": "grid",
    "threads_per_threadgroup": "actual",
    "dispatch_threads_per_threadgroup": "group",
    "threadgroups_per_grid": "groups",
}
_NUMBERS = {
    "thread_index_in_threadgroup": "index",
    "thread_index_in_simdgroup": "lane",
    "simdgroup_index_in_threadgroup": "simdgroup",
    "simdgroups_per_threadgroup": "simdgroups",
    "thread_index_in_quadgroup": "quad_lane",
    "quadgroup_index_in_threadgroup": "quadgroup",
    "threads_per_simdgroup": "simd_width",
    "thread_execution_width": "simd_width",
}


def _arguments(kernel: Kernel, signature: tuple[str, ...], buffers_name: str) -> tuple[str, str, str]:
    """LLVM IR that loads the buffers, LLVM IR that computes the inputs, and the arguments."""
    buffers = {buffer.parameter for buffer in kernel.buffers}
    inputs = {one.parameter: one for one in kernel.inputs}
    loads, computed, arguments = [], [], []
    for number, kind in enumerate(signature):
        if number in buffers:
            loads.append(f"  %place{number} = getelementptr i64, ptr %{buffers_name}, i64 {number}")
            loads.append(f"  %a{number} = load {kind}, ptr %place{number}")
        elif number in inputs:
            computed += _input(inputs[number].quantity, kind, number, kernel.name)
        else:
            raise DeviceError(f"nothing is said of parameter {number} of the kernel {kernel.name}")
        arguments.append(f"{kind} %a{number}")
    return "\n".join(loads), "\n".join(computed), ", ".join(arguments)


def _entry_point(kernel: Kernel, signature: tuple[str, ...]) -> str:
    loads, computed, arguments = _arguments(kernel, signature, "buffers")
    return _TEMPLATE.format(
        entry=ENTRY,
        loops_begin=loops_begin("position_", before="entry", inside="thread"),
        loops_end=loops_end("position_", steps=("1", "1", "1")),
        words=loads_of_words(*BOX, *SIZES),
        groups=_GROUPS,
        loads=loads,
        inputs=f"{_QUANTITIES}\n{computed}",
        call=f'call void @"{kernel.name}"({arguments})',
    )


def _group_entry_point(kernel: Kernel, signature: tuple[str, ...], text: str, sites: int) -> str:
    """The entry point of a kernel whose threads wait for each other: the one that smelt's own have."""
    loads, computed, arguments = _arguments(kernel, signature, "arguments")
    words = (*(f"position_{axis}" for axis in _AXES), *SIZES)
    state = "\n".join(
        f"  %{name}_word = getelementptr i64, ptr %state, i64 {number}\n  %{name} = load i64, ptr %{name}_word"
        for number, name in enumerate(words)
    )
    lowered = LoweredModule(
        text=text,
        name=f'"{kernel.name}"',
        result_type=RESULT,
        functions=(),
        sources=(),
        errors=(),
        prints=(),
        symbols=(),
        threadgroups=Threadgroups(0, is_sized_at_launch=False, exhausted=sites + 1),
    )
    prepared = f"{state}\n{_GROUPS}\n{loads}\n{_QUANTITIES}\n{computed}"
    passed = f"ptr %state, {arguments}" if arguments else "ptr %state"
    return group_entry_point(lowered, ENTRY, prepared, passed)


def _input(quantity: str, kind: str, number: int, kernel: str) -> list[str]:
    """LLVM IR that computes the argument of that number."""
    if quantity in _NUMBERS:
        return [f"  %a{number} = {_narrowed('%' + _NUMBERS[quantity], kind)}"]
    if quantity not in _VECTORS:
        raise DeviceError(f"the kernel {kernel} takes {quantity}, which this device doesn't know")
    source = _VECTORS[quantity]
    vector = re.fullmatch(r"<(\d) x (i\d+)>", kind)
    if vector is None:
        return [f"  %a{number} = {_narrowed(f'%{source}_x', kind)}"]
    lines, result = [], "poison"
    for place, axis in enumerate(_AXES[: int(vector[1])]):
        name = f"%a{number}" if place + 1 == int(vector[1]) else f"%a{number}_{axis}"
        lines.append(f"  %part{number}_{axis} = {_narrowed(f'%{source}_{axis}', vector[2])}")
        lines.append(f"  {name} = insertelement {kind} {result}, {vector[2]} %part{number}_{axis}, i32 {place}")
        result = name
    return lines


def _narrowed(value: str, kind: str) -> str:
    return f"add i64 {value}, 0" if kind == "i64" else f"trunc i64 {value} to {kind}"


_GROUPS = "\n".join(
    f"  %padded_{axis} = add i64 %grid_{axis}, %group_{axis}\n  %last_{axis} = sub i64 %padded_{axis}, 1\n"
    f"  %groups_{axis} = udiv i64 %last_{axis}, %group_{axis}"
    for axis in _AXES
)

_POSITION = """\
  %outer_{axis} = udiv i64 %position_{axis}, %group_{axis}
  %first_{axis} = mul i64 %outer_{axis}, %group_{axis}
  %inner_{axis} = sub i64 %position_{axis}, %first_{axis}
  %rest_{axis} = sub i64 %grid_{axis}, %first_{axis}
  %is_edge_{axis} = icmp ult i64 %rest_{axis}, %group_{axis}
  %actual_{axis} = select i1 %is_edge_{axis}, i64 %rest_{axis}, i64 %group_{axis}
"""

_QUANTITIES = (
    "".join(_POSITION.format(axis=axis) for axis in _AXES)
    + """\
  %row_before = mul i64 %inner_z, %actual_y
  %in_plane = add i64 %row_before, %inner_y
  %in_rows = mul i64 %in_plane, %actual_x
  %index = add i64 %in_rows, %inner_x
  %lane = and i64 %index, 31
  %simdgroup = lshr i64 %index, 5
  %quad_lane = and i64 %index, 3
  %quadgroup = lshr i64 %index, 2
  %simd_width = add i64 0, 32
  %threads_of_plane = mul i64 %actual_x, %actual_y
  %threads_of_group = mul i64 %threads_of_plane, %actual_z
  %threads_padded = add i64 %threads_of_group, 31
  %simdgroups = lshr i64 %threads_padded, 5"""
)

_TEMPLATE = """
define void @{entry}(ptr %launch, ptr %buffers) {{
entry:
{words}
{groups}
{loads}
{loops_begin}
{inputs}
  {call}
  br label %end_of_x
{loops_end}
done:
  ret void
}}
"""
