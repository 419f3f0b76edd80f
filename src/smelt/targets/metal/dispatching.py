# SPDX-License-Identifier: Apache-2.0
"""One launch of a kernel that smelt compiled: its arguments are written for the device, and what it says is read back.

How they are bound is said in `artifact`; texts are printed through a buffer in which the first two words of four bytes say how many
words of eight bytes were taken behind them, which may be more than there are, and how many there are. Each text is its number and the words of its values.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence

from smelt.compiler.texts import WORD_BYTES, Template, filled, words_of
from smelt.targets.metal.artifact import arguments_index, failure_in, kernel_state, state_index
from smelt.targets.metal.devices.host_memory import Place
from smelt.targets.metal.devices.protocol import Buffer, CommandBuffer, Device, Encoder, Pipeline, Queue, Sizes
from smelt.targets.metal.limits import MOST_BYTES_COPIED
from smelt.targets.metal.pipelines import RelocationTable
from smelt.targets.metal.results import MetalResults

_MEMORY_ALIGNMENT = 16
_PRINT_HEAD = struct.Struct("<II")


class Dispatch:
    """A launch in the making, and what is left of it.

    LIFETIME: it holds the kernel's state, which the device writes to, and so has to be kept until the launch is done.

    Attributes
    ----------
    commands
        The command buffer, to be committed.
    """

    def __init__(
        self, device: Device, queue: Queue, pipeline: Pipeline, results: MetalResults, table: RelocationTable | None
    ) -> None:
        self._device, self._pipeline, self._results, self._table = device, pipeline, results, table
        self._state: Buffer | None = None
        self.commands: CommandBuffer = queue.command_buffer()

    def encode(
        self, threads: Sizes, group: Sizes, threadgroup_memory: int, row: bytes, arrays: Sequence[Place]
    ) -> None:
        """Write the launch of that many threads in all, in groups of `group`.

        `row` is the row of arguments, `arrays` where the elements of its arrays are. Raises `DeviceError` for a grid that can't be.
        """
        results = self._results
        encoder = self.commands.compute_encoder()
        encoder.set_pipeline(self._pipeline)
        for number, (buffer, offset) in enumerate(arrays):
            encoder.set_buffer(buffer, offset, number)
        if results.is_sized_at_launch:
            row += struct.pack("<Q", threadgroup_memory)
            encoder.set_threadgroup_memory_length(-(-threadgroup_memory // _MEMORY_ALIGNMENT) * _MEMORY_ALIGNMENT, 0)
        index = arguments_index(results.arrays, results.argument_words)
        if index is not None:
            self._set(encoder, row, index)
        self._encode_state(encoder)
        encoder.dispatch_threads(threads, group)
        encoder.end_encoding()

    def failure(self) -> tuple[int, tuple[int, int, int]] | None:
        """The number of the error site and the position of the thread that failed, when the launch is done; None if none has."""
        return failure_in(self._state.contents) if self._state is not None else None

    def show_texts(self) -> None:
        """Write what the kernel printed to `sys.stdout`, when the launch is done. Raises what formatting raises."""
        if self._table is None:
            return
        for buffer in self._table.buffers:
            for text in _texts(buffer, self._results.prints):
                # Python's own print shows nothing where there is no standard output.
                if sys.stdout is not None:
                    sys.stdout.write(text)

    def _set(self, encoder: Encoder, data: bytes, index: int) -> None:
        if len(data) <= MOST_BYTES_COPIED:
            encoder.set_bytes(data, index)
        else:
            encoder.set_buffer(self._filled(data), 0, index)

    def _encode_state(self, encoder: Encoder) -> None:
        results, table = self._results, self._table
        index = state_index(results.arrays, results.argument_words, results.error_sites, results.relocations)
        if index is None:
            return
        for buffer in table.buffers if table is not None else ():
            capacity = (buffer.nbytes - _PRINT_HEAD.size) // WORD_BYTES
            buffer.contents[: _PRINT_HEAD.size] = _PRINT_HEAD.pack(0, capacity)
            encoder.use_resource(buffer, is_written=True)
        self._state = self._filled(kernel_state(table.addresses if table is not None else ()))
        encoder.set_buffer(self._state, 0, index)

    def _filled(self, data: bytes) -> Buffer:
        buffer = self._device.buffer(len(data))
        buffer.contents[: len(data)] = data
        return buffer


def _texts(buffer: Buffer, templates: Sequence[Template]) -> list[str]:
    """The texts of the records that are whole."""
    used, capacity = _PRINT_HEAD.unpack_from(buffer.contents)
    words = bytes(buffer.contents[_PRINT_HEAD.size : _PRINT_HEAD.size + min(used, capacity) * WORD_BYTES])
    texts, at = [], 0
    while at < len(words):
        (number,) = struct.unpack_from("<Q", words, at)
        template = templates[number]
        behind = at + WORD_BYTES * (1 + words_of(template))
        if behind > len(words):
            break
        texts.append(filled(template, words[at + WORD_BYTES : behind]))
        at = behind
    return texts
