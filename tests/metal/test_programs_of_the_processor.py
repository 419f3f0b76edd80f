# SPDX-License-Identifier: Apache-2.0
"""Programs that were written to test the processor run on a Metal device with equal results.

Here every row of the tables in docs/language.md. `SMELT_DEVICE=metal:software pytest tests/language tests/arrays tests/threadgroups` runs
all the others.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import knobs

pytestmark = pytest.mark.once

TESTS = Path(__file__).parents[1]
ROWS_OF_A_KERNEL = 6
"""A kernel takes longer to compile than a row."""


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = loaded(TESTS / "language" / "test_table.py")
RECURSIVE = [number for number, cells in TABLE.SUPPORTED if "recursion" in cells[0]]
ROWS = [number for number, _ in TABLE.SUPPORTED if number not in RECURSIVE]
KERNELS = [ROWS[first : first + ROWS_OF_A_KERNEL] for first in range(0, len(ROWS), ROWS_OF_A_KERNEL)]
PARAMETERS = "out, x, k, m, g, n, a, t"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A module with a function for each row, and one for each kernel."""
    text = TABLE.HEAD
    for number, cells in TABLE.SUPPORTED:
        body = "\n".join(f"    {line}" for line in TABLE.code_of(cells[1]).splitlines())
        text += f"\n\ndef row_{number}({PARAMETERS}):\n{body}\n    return r\n"
    for rows in (*KERNELS, RECURSIVE):
        calls = "".join(f"    results[{place}] = row_{number}({PARAMETERS})\n" for place, number in enumerate(rows))
        text += f"\n\ndef kernel_{rows[0]}(results, {PARAMETERS}):\n{calls}"
    path = tmp_path_factory.mktemp("table") / "rows_on_metal.py"
    path.write_text(text)
    return loaded(path)


def arguments():
    out, x, k, m, g, n, a, t = TABLE.arguments()
    return np.zeros(ROWS_OF_A_KERNEL, np.float32), out.astype(np.float32), x, k, m, g.astype(np.float32), n, a, t


@pytest.mark.parametrize("rows", KERNELS, ids=lambda rows: f"from line {rows[0]}")
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_what_is_supported_does_what_python_does(programs, rows, capsys):
    program = getattr(programs, f"kernel_{rows[0]}")
    on_metal, in_python = arguments(), arguments()
    with knobs.DEVICE.set("metal:software"):
        smelt.kernel(program)[1](*on_metal)
    printed = capsys.readouterr().out
    with np.errstate(all="ignore"):
        program(*in_python)
    # Floats without a type are float32 there.
    np.testing.assert_allclose(on_metal[0], in_python[0], rtol=1e-5, atol=0)
    assert len(printed.splitlines()) == len(capsys.readouterr().out.splitlines())


def test_recursion_is_refused_with_the_line(programs):
    with knobs.DEVICE.set("metal:software"), pytest.raises(smelt.KernelError, match="calls itself") as caught:
        smelt.kernel(getattr(programs, f"kernel_{RECURSIVE[0]}"))[1](*arguments())
    assert caught.value.line == programs.factorial.__code__.co_firstlineno + 1


@smelt.kernel
def group_sums(out, x):
    room = smelt.threadgroup_array(64, smelt.int32)
    inner, size = smelt.thread_index_in_threadgroup(), smelt.threads_per_threadgroup().x
    room[inner] = x[smelt.grid(1)]
    step = 32
    while step > 0:
        smelt.threadgroup_barrier()
        if inner < step and inner + step < size:
            room[inner] += room[inner + step]
        step //= 2
    smelt.threadgroup_barrier()
    if inner == 0:
        out[smelt.threadgroup_position_in_grid().x] = room[0]


@smelt.kernel
def of_simdgroups(out, x):
    i = smelt.grid(1)
    out[i, 0] = smelt.simd_sum(x[i])
    out[i, 1] = smelt.simd_max(x[i])
    out[i, 2] = smelt.simd_shuffle_xor(x[i], 5)
    out[i, 3] = smelt.simd_shuffle_down(x[i], 3)
    out[i, 4] = smelt.simd_ballot(x[i] > 0) & 255
    if x[i] > 2:
        out[i, 5] = smelt.simd_min(x[i])


@smelt.kernel
def counted(counts, x):
    smelt.atomic_add(counts, x[smelt.grid(1)] % 5, 1)
    smelt.atomic_max(counts, 5, x[smelt.grid(1)])


def on_both(kernel, threads, group, *given):
    """Run a kernel on the processor and on Metal, on copies of the arrays."""
    results = []
    for device in (None, "metal:software"):
        copies = [np.copy(array) for array in given]
        with knobs.DEVICE.set(device):
            kernel[threads // group, group](*copies)
        results.append(copies)
    return results


@pytest.mark.parametrize(
    ("kernel", "group", "shape"),
    [(group_sums, 64, 4), (group_sums, 16, 16), (of_simdgroups, 64, (256, 6)), (counted, 32, 6)],
)
def test_threads_work_together_as_they_do_on_the_processor(kernel, group, shape):
    x = np.random.default_rng(3).integers(0, 9, 256).astype(np.int32)
    (expected, _), (found, _) = on_both(kernel, 256, group, np.zeros(shape, np.int32), x)
    assert expected.any()
    np.testing.assert_array_equal(found, expected)
