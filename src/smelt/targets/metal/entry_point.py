# SPDX-License-Identifier: Apache-2.0
"""The kernel that Metal runs: it takes the arguments out of their buffers, makes the state of its thread, and calls the lowered function.

Which buffers there are says `artifact`. The state of a thread has the words that the lowering knows (see `lowering.thread_state`); once
everything is inlined nothing is left of it.

The descriptions of arguments and of the module are those that Apple's compiler writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smelt.lowering import LoweredModule
from smelt.lowering.layout import row_types
from smelt.lowering.threadgroups import LANE, LAUNCH_MEMORY, LAUNCH_MEMORY_BYTES, PRINTER, STATE_WORDS
from smelt.targets.metal.artifact import ERROR_RECORD_BYTES, PRINT_BUFFER, WORD_BYTES, arguments_index, state_index
from smelt.targets.metal.limits import MOST_BUFFERS
from smelt.targets.metal.lowering import CONSTANT, DEVICE, THREADGROUP, THREADGROUP_VARIABLE, MetalLowering
from smelt.targets.metal.target import MetalCompilerTarget
from smelt.types import Array, Iteration, Kind, Layout, Scalar, Struct, Tuple, Type

ENTRY = "smelt.kernel"
"""The name of the entry point as long as there are functions of other names."""

_AXES = "xyz"
_THREADGROUP_ALIGNMENT = 64

# What a thread is told of itself, in the order of the words of its state.
_QUANTITIES = ("thread_position_in_grid", "threads_per_grid", "dispatch_threads_per_threadgroup")

_TYPE_NAMES = {
    (Kind.BOOLEAN, 8): "bool",
    **{(Kind.SIGNED, bits): name for bits, name in ((8, "char"), (16, "short"), (32, "int"), (64, "long"))},
    **{(Kind.UNSIGNED, bits): name for bits, name in ((8, "uchar"), (16, "ushort"), (32, "uint"), (64, "ulong"))},
    (Kind.FLOATING, 16): "half",
    (Kind.FLOATING, 32): "float",
    (Kind.BRAIN_FLOATING, 16): "bfloat",
}


@dataclass(frozen=True)
class ArrayArgument:
    """An array in the row of arguments: the word of its address, its type, the name of the argument, whether it may be written to."""

    word: int
    type: Array
    name: str
    is_written: bool


@dataclass(frozen=True)
class EntryPoint:
    """A kernel's entry point.

    Attributes
    ----------
    text
        Its definition and its metadata in LLVM IR.
    arrays
        The arrays that it takes.
    argument_words
        How many words the row of arguments has, the one for the size of threadgroup memory included.
    """

    text: str
    arrays: tuple[ArrayArgument, ...]
    argument_words: int


def entry_point(
    lowered: LoweredModule,
    parameters: Sequence[Type],
    names: Sequence[str],
    written: Sequence[int],
    target: MetalCompilerTarget,
    most_threads: int | None = None,
) -> EntryPoint:
    """The entry point of a kernel with parameters of these types and names, of which those at `written` may be written to.

    `most_threads` is how many threads a group of it can have, None if that is the device's choice.
    """
    kinds: list[str] = []
    arrays: list[ArrayArgument] = []
    for number, (parameter, argument) in enumerate(zip(parameters, names, strict=True)):
        for array, word in arrays_in(parameter):
            arrays.append(ArrayArgument(len(kinds) + word, array, argument, number in written and array.writeable))
        kinds += _row(parameter)
    threadgroups = lowered.threadgroups
    is_sized_at_launch = threadgroups is not None and threadgroups.is_sized_at_launch
    words = len(kinds) + is_sized_at_launch
    relocations = relocations_of(lowered)
    bound = [(array.word, array.is_written) for array in arrays]
    arguments = arguments_index(bound, words)
    state = state_index(bound, words, [site.as_tuple() for site in lowered.errors], relocations)
    described = [_described_array(number, array) for number, array in enumerate(arrays)]
    passed = [f"{DEVICE} noundef %array{number}" for number in range(len(arrays))]
    if arguments is not None:
        passed.append(f"{CONSTANT} noundef align {WORD_BYTES} dereferenceable({words * WORD_BYTES}) %arguments")
        described.append(
            _described_buffer(
                arguments, arguments, "ulong", "arguments", WORD_BYTES, space=2, nbytes=words * WORD_BYTES
            )
        )
    if state is not None:
        passed.append(f"{DEVICE} noundef %kernel_state")
        described.append(_described_buffer(state, state, "uint", "kernel_state", 4, space=1, is_written=True))
    if is_sized_at_launch:
        described.append(_described_buffer(len(passed), 0, "uchar", "launch_memory", 1, space=3, is_written=True))
        passed.append(f"{THREADGROUP} noundef %launch_memory")
    for quantity in _QUANTITIES:
        described.append(_described_input(len(passed), quantity, "uint3"))
        passed.append(f"<3 x i32> noundef %{quantity}")
    described.append(_described_input(len(passed), "thread_index_in_simdgroup", "uint"))
    passed.append("i32 noundef %thread_index_in_simdgroup")
    text = _DEFINITION.format(
        shared=_shared(lowered),
        # What the kernel declares too is declared once.
        declared="" if _EXCHANGE in lowered.text else f"{_EXCHANGE}\n",
        name=ENTRY,
        passed=", ".join(passed),
        state=_thread_state(words, relocations, is_sized_at_launch=is_sized_at_launch),
        loads="\n".join(
            _loads(kinds, {array.word: (number, array.type.layout) for number, array in enumerate(arrays)})
        ),
        function=lowered.name,
        given=", ".join(["ptr %state", *(f"{kind} %argument{number}" for number, kind in enumerate(kinds))]),
        record=_RECORD if state is not None else "  br label %ends\nends:",
    )
    return EntryPoint(text + _metadata(described, target, most_threads), tuple(arrays), words)


def relocations_of(lowered: LoweredModule) -> tuple[str, ...]:
    """What a kernel needs the addresses of, in the order in which they stand behind its error record."""
    return (PRINT_BUFFER,) if lowered.prints else ()


def _row(parameter: Type) -> list[str]:
    return row_types(parameter, has_doubles=False, pointers=MetalLowering.pointers)


def arrays_in(kind: Type) -> list[tuple[Array, int]]:
    """The arrays in a value, and where in its row their addresses stand."""
    if isinstance(kind, Array):
        return [(kind, 0)]
    items: Sequence[Type] = ()
    if isinstance(kind, (Tuple, Iteration)):
        items = kind.items
    elif isinstance(kind, Struct):
        items = [field for _, field in kind.fields]
    found, before = [], 0
    for item in items:
        found += [(array, before + word) for array, word in arrays_in(item)]
        before += len(_row(item))
    return found


def _shared(lowered: LoweredModule) -> str:
    if lowered.threadgroups is None or not lowered.threadgroups.memory_bytes:
        return ""
    # Of bytes: elements that are narrower than four were read wrong on macOS 12 (Metal.jl).
    nbytes = lowered.threadgroups.memory_bytes
    return (
        f"{THREADGROUP_VARIABLE} = internal addrspace(3) global [{nbytes} x i8] undef, align {_THREADGROUP_ALIGNMENT}\n"
    )


def _thread_state(words: int, relocations: Sequence[str], *, is_sized_at_launch: bool) -> str:
    lines = [f"  %state = alloca [{STATE_WORDS} x i64], align 8"]

    def keep(word: int, kind: str, value: str) -> None:
        lines.append(f"  %state_word{word} = getelementptr i64, ptr %state, i64 {word}")
        lines.append(f"  store {kind} {value}, ptr %state_word{word}, align 8")

    for number, quantity in enumerate(_QUANTITIES):
        for place, axis in enumerate(_AXES):
            name = f"%{quantity}_{axis}"
            lines.append(f"  {name} = extractelement <3 x i32> %{quantity}, i32 {place}")
            lines.append(f"  {name}_wide = zext i32 {name} to i64")
            keep(3 * number + place, "i64", f"{name}_wide")
    lines.append("  %lane = zext i32 %thread_index_in_simdgroup to i64")
    keep(LANE, "i64", "%lane")
    if is_sized_at_launch:
        lines.append(f"  %launch_bytes_place = getelementptr i64, {CONSTANT} %arguments, i64 {words - 1}")
        lines.append(f"  %launch_bytes = load i64, {CONSTANT} %launch_bytes_place, align 8")
        keep(LAUNCH_MEMORY, THREADGROUP, "%launch_memory")
        keep(LAUNCH_MEMORY_BYTES, "i64", "%launch_bytes")
    if PRINT_BUFFER in relocations:
        offset = ERROR_RECORD_BYTES + WORD_BYTES * relocations.index(PRINT_BUFFER)
        lines.append(f"  %print_buffer_place = getelementptr i8, {DEVICE} %kernel_state, i64 {offset}")
        lines.append(f"  %print_buffer = load {DEVICE}, {DEVICE} %print_buffer_place, align 8")
        keep(PRINTER, DEVICE, "%print_buffer")
    return "\n".join(lines)


def _loads(kinds: Sequence[str], arrays: dict[int, tuple[int, Layout]]) -> list[str]:
    lines = []
    for number, kind in enumerate(kinds):
        lines.append(f"  %place{number} = getelementptr i64, {CONSTANT} %arguments, i64 {number}")
        if number in arrays:
            index, layout = arrays[number]
            offset = "0"
            if layout is Layout.STRIDED:
                offset = f"%offset{number}"
                lines.append(f"  {offset} = load i64, {CONSTANT} %place{number}, align 8")
            lines.append(f"  %argument{number} = getelementptr i8, {DEVICE} %array{index}, i64 {offset}")
        elif kind == "i1":
            lines.append(f"  %byte{number} = load i8, {CONSTANT} %place{number}, align 8")
            lines.append(f"  %argument{number} = icmp ne i8 %byte{number}, 0")
        else:
            lines.append(f"  %argument{number} = load {kind}, {CONSTANT} %place{number}, align 8")
    return lines


_EXCHANGE = f"declare i32 @air.atomic.global.xchg.i32({DEVICE}, i32, i32, i32, i1)"

# The first thread that fails is recorded: straight on, since loops on such a way slow the whole kernel down (Metal.jl).
_RECORD = f"""\
  %has_failed = icmp ne i32 %status, 0
  br i1 %has_failed, label %fails, label %ends
fails:
  %before = call i32 @air.atomic.global.xchg.i32({DEVICE} %kernel_state, i32 1, i32 0, i32 2, i1 true)
  %is_first = icmp eq i32 %before, 0
  br i1 %is_first, label %records, label %ends
records:
  %status_place = getelementptr i32, {DEVICE} %kernel_state, i64 1
  store i32 %status, {DEVICE} %status_place, align 4
  %x_place = getelementptr i32, {DEVICE} %kernel_state, i64 2
  store i32 %thread_position_in_grid_x, {DEVICE} %x_place, align 4
  %y_place = getelementptr i32, {DEVICE} %kernel_state, i64 3
  store i32 %thread_position_in_grid_y, {DEVICE} %y_place, align 4
  %z_place = getelementptr i32, {DEVICE} %kernel_state, i64 4
  store i32 %thread_position_in_grid_z, {DEVICE} %z_place, align 4
  br label %ends
ends:"""

_DEFINITION = """
{shared}{declared}
define void @{name}({passed}) {{
{state}
{loads}
  %status = call i32 @{function}({given})
{record}
  ret void
}}
"""


def _described_array(number: int, array: ArrayArgument) -> str:
    element = array.type.element
    assert isinstance(element, (Scalar, Struct))
    name, alignment = "uchar", 1
    if isinstance(element, Scalar):
        part_bytes = element.size // 2 if element.is_complex else element.size
        name = "float2" if element.is_complex else _TYPE_NAMES[element.kind, element.bits]
        alignment = part_bytes if array.type.aligned else 1
    return _described_buffer(
        number, number, name, array.name, element.size, space=1, is_written=array.is_written, alignment=alignment
    )


def _described_buffer(
    parameter: int,
    index: int,
    type_name: str,
    name: str,
    size: int,
    *,
    space: int,
    is_written: bool = False,
    alignment: int | None = None,
    nbytes: int | None = None,
) -> str:
    whole = f'!"air.buffer_size", i32 {nbytes}, ' if nbytes is not None else ""
    return (
        f'!{{i32 {parameter}, !"air.buffer", {whole}!"air.location_index", i32 {index}, i32 1, '
        f'!"air.{"read_write" if is_written else "read"}", !"air.address_space", i32 {space}, !"air.arg_type_size", i32 {size}, '
        f'!"air.arg_type_align_size", i32 {alignment or size}, !"air.arg_type_name", !"{type_name}", !"air.arg_name", !"{name}"}}'
    )


def _described_input(parameter: int, quantity: str, type_name: str) -> str:
    return (
        f'!{{i32 {parameter}, !"air.{quantity}", !"air.arg_type_name", !"{type_name}", !"air.arg_name", !"{quantity}"}}'
    )


_FIRST_NODE = 1000
"""Metadata of the lowered function has the numbers below."""


def _metadata(described: Sequence[str], target: MetalCompilerTarget, most_threads: int | None) -> str:
    nodes: list[str] = []

    def node(content: str) -> str:
        nodes.append(f"!{_FIRST_NODE + len(nodes)} = {content}")
        return f"!{_FIRST_NODE + len(nodes) - 1}"

    system, language = target.macos, target.metal
    flags = [node(f'!{{i32 2, !"SDK Version", [2 x i32] [i32 {system.major}, i32 {system.minor}]}}')]
    flags += [node(f'!{{i32 7, !"air.max_{limit}", i32 {most}}}') for limit, most in _LIMITS.items()]
    arguments = [node(content) for content in described]
    empty = node("!{}")
    parts = [f"ptr @{ENTRY}", empty, node(f"!{{{', '.join(arguments)}}}")]
    if most_threads is not None:
        parts.append(node(f'!{{!"air.max_work_group_size", i32 {most_threads}}}'))
    kernel = node(f"!{{{', '.join(parts)}}}")
    named = {
        "llvm.module.flags": flags,
        "llvm.ident": [node('!{!"smelt"}')],
        "air.version": [node(f"!{{i32 {target.air.major}, i32 {target.air.minor}, i32 0}}")],
        "air.language_version": [
            node(f'!{{!"Metal", i32 {language.major}, i32 {language.minor}, i32 {language.patch}}}')
        ],
        "air.compile_options": [node(f'!{{!"air.compile.{option}"}}') for option in _OPTIONS],
        "air.kernel": [kernel],
    }
    lines = [f"!{key} = !{{{', '.join(members)}}}" for key, members in named.items()]
    return "\n".join([*lines, *nodes, ""])


_LIMITS = {
    "device_buffers": MOST_BUFFERS,
    "constant_buffers": MOST_BUFFERS,
    "threadgroup_buffers": MOST_BUFFERS,
    "textures": 128,
    "read_write_textures": 8,
    "samplers": 16,
}
# What may be reordered the instructions say themselves.
_OPTIONS = ("denorms_disable", "fast_math_disable", "framebuffer_fetch_enable")
