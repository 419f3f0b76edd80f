# SPDX-License-Identifier: Apache-2.0
"""What a later session costs: whole processes that launch saxpy once with a warm cache, and look-ups in a store and in an image.

    python benchmarks/sessions.py            processes, interleaved, with peers where they are installed
    python benchmarks/sessions.py lookup     look-ups in stores and images with 10, 1,000 and 100,000 entries

Printed are the user and system time of the processes (a busy machine stretches the time that passes), the minimum and the median of the
rounds, and ratios to `import numpy` alone. What it does not show: the first launch of a session with a cold disk.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
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


def lookups() -> None:
    """The first hit of a fresh session, by how many entries there are."""
    import numpy as np  # noqa: PLC0415 - not for the processes

    import smelt  # noqa: PLC0415
    from smelt import _wiring, knobs  # noqa: PLC0415
    from smelt.caching.digests import digest  # noqa: PLC0415
    from smelt.sessions.contents import keyed_entries  # noqa: PLC0415
    from smelt.sessions.entries import encode_entry  # noqa: PLC0415
    from smelt.sessions.images import Image, image_bytes  # noqa: PLC0415
    from smelt.sessions.store import Session  # noqa: PLC0415
    from smelt.targets.native.results import NativeResults  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, knobs.CACHE_DIRECTORY.set(folder):

        @smelt.kernel
        def fill(out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            out[smelt.grid(1)] = 1.0

        fill[1](np.zeros(1))
        jobs, session = _wiring.jobs(), _wiring.session()
        assert session is not None
        directory = session.directory
        assert directory is not None
        (own,) = keyed_entries(directory)
        instance, view = fill.instance(fill.compiled_for[0]), jobs.view(fill.config).frozen()
        count, all_entries = 1, {own[0]: [own[1]]}
        print(f"{'entries':>10}{'store':>12}{'image':>12}")
        for wanted in (10, 1000, 100_000):
            while count < wanted:
                key = digest(count.to_bytes(8, "little"))
                entry = dataclasses.replace(own[1], text=f"another({count})")
                directory.write(f"entries/{key[:1].hex()}/{key.hex()}/{entry.name()}", encode_entry(key, entry))
                all_entries[key] = [entry]
                count += 1
            in_store, in_image = [], []
            buffer = image_bytes(all_entries, {})
            for _ in range(ROUNDS):
                begin = time.perf_counter()
                found = Session(jobs.overlays, {"NativeResults": NativeResults}, directory=directory).load(view, instance)
                in_store.append(time.perf_counter() - begin)
                assert found is not None
                begin = time.perf_counter()
                image = Image(buffer, "")
                assert image.entry(own[0], image.names(own[0])[0]) is not None
                in_image.append(time.perf_counter() - begin)
            print(f"{count:10}{1e3 * min(in_store):9.2f} ms{1e3 * min(in_image):9.2f} ms")


if __name__ == "__main__":
    if sys.argv[1:] == ["lookup"]:
        lookups()
    else:
        processes()
