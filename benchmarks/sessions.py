# SPDX-License-Identifier: Apache-2.0
"""What a later session costs: whole processes that launch saxpy once with a warm cache, and look-ups in a store and in an image.

    python benchmarks/sessions.py            processes, interleaved, with peers where they are installed
    python benchmarks/sessions.py lookup     look-ups in stores and images with 10, 1,000 and 100,000 entries

Printed are the user and system time of the processes (a busy machine stretches the time that passes), the minimum and the median of the
rounds, and ratios to `import numpy` alone. What it does not show: the first launch of a session with a cold disk.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 15

PROGRAMS = {
    "import numpy": "import numpy",
    "smelt": """
import numpy as np
import smelt

@smelt.kernel
def saxpy(out, a, x, y):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]

x = np.ones(1000, np.float32)
out = np.zeros(1000, np.float32)
saxpy[1000](out, 2.0, x, x)
assert (out == 3).all()
""",
    "numba": """
import numpy as np
import numba

@numba.njit(cache=True)
def saxpy(out, a, x, y):
    for i in range(out.size):
        out[i] = a * x[i] + y[i]

x = np.ones(1000, np.float32)
out = np.zeros(1000, np.float32)
saxpy(out, np.float32(2.0), x, x)
assert (out == 3).all()
""",
    "warp": """
import numpy as np
import warp as wp

wp.config.quiet = True

@wp.kernel
def saxpy(out: wp.array(dtype=float), a: float, x: wp.array(dtype=float), y: wp.array(dtype=float)):
    i = wp.tid()
    out[i] = a * x[i] + y[i]

x = wp.array(np.ones(1000, np.float32), device="cpu")
out = wp.zeros(1000, dtype=float, device="cpu")
wp.launch(saxpy, dim=1000, inputs=[out, 2.0, x, x], device="cpu")
assert (out.numpy() == 3).all()
""",
    "taichi": """
import numpy as np
import taichi as ti

ti.init(arch=ti.cpu, offline_cache=True, log_level=ti.ERROR)

@ti.kernel
def saxpy(out: ti.types.ndarray(), a: ti.f32, x: ti.types.ndarray(), y: ti.types.ndarray()):
    for i in range(1000):
        out[i] = a * x[i] + y[i]

x = np.ones(1000, np.float32)
out = np.zeros(1000, np.float32)
saxpy(out, 2.0, x, x)
assert (out == 3).all()
""",
}


def processes() -> None:
    """Whole processes, one of each kind in every round."""
    names = [name for name in PROGRAMS if name in ("import numpy", "smelt") or importlib.util.find_spec(name)]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SMELT_CACHE_DIR": f"{folder}/store", "NUMBA_CACHE_DIR": f"{folder}/numba"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for name in names:
            Path(folder, f"{name.split()[-1]}_program.py").write_text(PROGRAMS[name])
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(ROUNDS + 1):
            for name in names:
                spent = process_time([f"{folder}/{name.split()[-1]}_program.py"], environment)
                # The first round fills the caches.
                if number:
                    times[name].append(spent)
    floor = min(times["import numpy"])
    print(f"{'':14}{'minimum':>10}{'median':>10}{'over numpy':>12}{'ratio':>8}")
    for name, all_spent in times.items():
        least, middle = min(all_spent), statistics.median(all_spent)
        print(f"{name:14}{least:7.1f} ms{middle:7.1f} ms{least - floor:9.1f} ms{least / floor:8.2f}")


def process_time(arguments: list[str], environment: dict[str, str]) -> float:
    """The user and system time of a Python process, in milliseconds."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], env=environment, check=True)  # noqa: S603 - itself
    after = os.times()
    return 1e3 * (after.children_user + after.children_system - before.children_user - before.children_system)


LOOKUP = """
import sys, time
import numpy as np
import smelt
from smelt import _wiring
import kernels

out = np.zeros(1)
session = _wiring.session()
load, spent = session.load, []

def timed(view, instance):
    begin = time.perf_counter(), time.process_time()
    found = load(view, instance)
    spent.extend([time.perf_counter() - begin[0], time.process_time() - begin[1]])
    return found

session.load = timed
kernels.fill[1](out)
stats = smelt.stats()
assert out[0] == 1.0 and (stats.store_hits, stats.image_hits)[sys.argv[1] == "image"] == 1
print(*spent)
"""

KERNEL = """
import smelt

@smelt.kernel(signatures=[(smelt.float64[:],)])
def fill(out):
    out[smelt.grid(1)] = 1.0
"""


def lookups() -> None:
    """The first look-up of fresh processes, by how many entries there are, in the store and in an image."""
    from smelt.caching.digests import digest  # noqa: PLC0415 - not for the processes
    from smelt.records import replace  # noqa: PLC0415
    from smelt.sessions.contents import keyed_entries  # noqa: PLC0415
    from smelt.sessions.directory import Directory  # noqa: PLC0415
    from smelt.sessions.entries import encode_entry  # noqa: PLC0415
    from smelt.sessions.fingerprints import remembered_fingerprints  # noqa: PLC0415
    from smelt.sessions.images import image_bytes  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernels.py").write_text(KERNEL)
        Path(folder, "lookup.py").write_text(LOOKUP)
        environment = {**os.environ, "SMELT_CACHE_DIR": f"{folder}/store"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        first_launch = [sys.executable, "-c", "import kernels, numpy; kernels.fill[1](numpy.zeros(1))"]
        subprocess.run(first_launch, cwd=folder, env=environment, check=True)  # noqa: S603 - itself
        # Another one, in which there is what is remembered of smelt itself, and no entry.
        emptied = environment | {"SMELT_CACHE_DIR": f"{folder}/emptied"}
        directory, image = Directory(f"{folder}/store"), Path(folder, "kernels.smelt.image")
        ((own_key, own),) = keyed_entries(directory)
        fingerprints = remembered_fingerprints(directory)
        all_entries = {own_key: [own]}
        print(f"{'entries':>10}{'store':>22}{'image':>22}   elapsed, and time of the processor")
        for wanted in (10, 1000, 100_000):
            for number in range(len(all_entries), wanted):
                key = digest(number.to_bytes(8, "little"))
                entry = replace(own, text=f"another({number})")
                directory.write(f"entries/{key[:1].hex()}/{key.hex()}/{entry.name()}", encode_entry(key, entry))
                all_entries[key] = [entry]
            columns = []
            for place in ("store", "image"):
                if place == "image":
                    image.write_bytes(image_bytes(all_entries, fingerprints))
                    shutil.rmtree(f"{folder}/emptied/entries", ignore_errors=True)
                found = [looked_up(folder, place, emptied if place == "image" else environment) for _ in range(ROUNDS)]
                columns.append(" ".join(f"{1e3 * min(times):7.2f} ms" for times in zip(*found, strict=True)))
                image.unlink(missing_ok=True)
            print(f"{wanted:10}" + "".join(f"{column:>22}" for column in columns))


def looked_up(folder: str, place: str, environment: dict[str, str]) -> list[float]:
    """How many seconds the first look-up of a process took, and how many of the processor."""
    command = [sys.executable, "lookup.py", place]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 - itself
    return [float(number) for number in done.stdout.split()]


if __name__ == "__main__":
    if sys.argv[1:] == ["lookup"]:
        lookups()
    else:
        processes()
