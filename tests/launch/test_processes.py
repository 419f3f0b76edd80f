# SPDX-License-Identifier: Apache-2.0
"""Compiled launches in processes of their own: under a debug allocator, after a fork, at the interpreter's exit, when interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import smelt
from smelt.targets.native.launching import object_layouts

pytestmark = pytest.mark.skipif(
    not object_layouts.are_as_expected(),
    reason="the objects of this Python or NumPy are laid out as no compiled launch expects",
)

KERNELS = """
import os, signal, sys, threading
from typing import NamedTuple
from dataclasses import dataclass
import numpy as np
import smelt

class Pair(NamedTuple):
    first: float
    second: np.ndarray

@dataclass(frozen=True)
class Body:
    mass: float
    places: np.ndarray

@smelt.kernel
def of_records(out, pair, body, numbers):
    i = smelt.grid(1)
    out[i] = pair.first * pair.second[i] + body.mass * body.places[i] + numbers[0]

@smelt.kernel
def fails(out, place):
    i = smelt.grid(1)
    out[i + place] = 1

@smelt.kernel
def spins(flags):
    smelt.atomic_add(flags, 0, 1)
    while smelt.atomic_add(flags, 1, 0) == 0:
        pass

def warm(launch, *arguments):
    for _ in range(3):
        launch(*arguments)

"""


def run(folder: Path, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = folder / "program.py"
    path.write_text(KERNELS + program, encoding="utf-8")
    source = Path(smelt.__file__).parents[1]
    settings = {**os.environ, "PYTHONPATH": str(source), **environment}
    return subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=settings, timeout=120, check=False
    )


def assert_prints(done: subprocess.CompletedProcess[str], *lines: str) -> None:
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, list(lines), "")


def test_under_a_debug_allocator_nothing_is_read_or_freed_that_should_not_be(tmp_path):
    done = run(
        tmp_path,
        """
values = np.arange(3.0)
out, launch = np.zeros(3), of_records.over(3)
def arguments():
    return out, Pair(2.5, values.copy()), Body(3.5, values + 1), (400000, (1.5, None))
warm(launch, *arguments())
failing = fails.over(3)
warm(failing, out, 0)
for turn in range(300):
    launch(*arguments())
    try:
        failing(np.zeros(3), 70000 + turn)
    except IndexError as error:
        assert "in thread (0, 0, 0)" in error.__notes__[0]
    else:
        raise AssertionError
    if turn % 100 == 0:
        # The entries of the table are replaced while others are in use.
        of_records.function.__defaults__ = (turn,)
print(out.tolist())
print(len(of_records.table.entries))
""",
        PYTHONMALLOC="debug",
        PYTHONFAULTHANDLER="1",
    )
    assert_prints(done, "[400003.5, 400009.5, 400015.5]", "1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_of_a_fork_launches(tmp_path):
    done = run(
        tmp_path,
        """
out, launch = np.zeros(3), fails.over(3)
warm(launch, out, 0)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    out[:] = 0
    launch(out, 0)
    try:
        launch(out, 5)
    except IndexError as error:
        os.write(writer, repr([out.tolist(), type(error).__name__]).encode())
    other = np.zeros(2, "f4")
    warm(fails[2], other, 0)
    os.write(writer, repr(other.tolist()).encode())
    os._exit(0)
os.close(writer)
print(os.waitpid(child, 0)[1], os.read(reader, 1000).decode())
""",
    )
    assert_prints(done, "0 [[1.0, 1.0, 1.0], 'IndexError'][1.0, 1.0]")


def test_the_interpreter_exits_during_a_launch(tmp_path):
    done = run(
        tmp_path,
        """
flags, launch = np.zeros(2, np.int64), spins.over(1)
flags[1] = 1
warm(launch, flags)
flags[:] = 0
for _ in range(3):
    threading.Thread(target=launch, args=(flags,), daemon=True).start()
while flags[0] < 3:
    pass
# They turn round and round, and go on when the interpreter has gone; one of them comes back to it.
print("leaving")
""",
    )
    assert_prints(done, "leaving")


def test_a_launch_comes_back_while_the_interpreter_exits(tmp_path):
    done = run(
        tmp_path,
        """
import atexit
flags, launch = np.zeros(2, np.int64), spins.over(1)
flags[1] = 1
warm(launch, flags)
flags[:] = 0
def main():
    while True:
        launch(flags)
threading.Thread(target=main, daemon=True).start()
while flags[0] < 1:
    pass
def let_go():
    flags[1] = 1
atexit.register(let_go)
print("leaving")
""",
    )
    assert_prints(done, "leaving")


@pytest.mark.skipif(sys.platform == "win32", reason="this system sends no interrupt to one process")
def test_an_interrupt_ends_a_loop_of_launches(tmp_path):
    done = run(
        tmp_path,
        """
out, launch = np.zeros(3), fails.over(3)
warm(launch, out, 0)
# A process in the background of a shell begins with interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
try:
    while True:
        launch(out, 0)
except KeyboardInterrupt:
    print("interrupted", out.tolist())
""",
    )
    assert_prints(done, "interrupted [1.0, 1.0, 1.0]")


def test_where_objects_are_laid_out_otherwise_launches_take_the_slow_path(tmp_path):
    done = run(
        tmp_path,
        """
from smelt.targets.native.launching import object_layouts
object_layouts.ARRAY_DATA += 8
out = np.zeros(3)
launch = fails.over(3)
warm(launch, out, 0)
print(type(launch).__name__, out.tolist())
""",
    )
    assert_prints(done, "Launcher [1.0, 1.0, 1.0]")


def test_importing_and_defining_loads_no_machine_code(tmp_path):
    done = run(
        tmp_path,
        """
code = ("llvmlite", "smelt.lowering", "smelt.targets.native.launching.stub_code", "smelt.targets.native.launching.stub_compilation")
print([name for name in sys.modules if name.startswith(code)])
""",
    )
    assert_prints(done, "[]")
