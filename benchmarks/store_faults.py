# SPDX-License-Identifier: Apache-2.0
"""The faults of tests/sessions/test_faults.py at full size: many processes, kills and damaged files.

    python benchmarks/store_faults.py [PROCESSES [KILLS [DAMAGES]]]        by default 64, 1000 and 10000

Prints what was found, and exits with 1 if a result was wrong, a job was compiled twice, or something was loaded that was not whole.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "tests/sessions/faulty_store.py"
JOBS = 20


def start(store: Path, *arguments: object) -> subprocess.Popen[str]:
    """A process on that store."""
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.Popen(  # noqa: S603 - itself
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "SMELT_CACHE_DIR": str(store)}
    )


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    """What a process prints last."""
    output, _ = process.communicate()
    found: dict[str, object] = json.loads(output)
    return found


def at_once(folder: Path, count: int) -> bool:
    """Processes that start at once on an empty store."""
    processes = [start(folder / "store", "all", folder / "begin", JOBS) for _ in range(count)]
    for process in processes:
        assert read_line(process) == "ready\n"
    (folder / "begin").touch()
    done = [finish(process) for process in processes]
    compilations = sum(int(str(one["compilations"])) for one in done)
    right = all(one["is_right"] for one in done)
    say(f"{count} processes, {JOBS} jobs: {compilations} compilations, all results right: {right}")
    return compilations == JOBS and right


def killed(folder: Path, count: int) -> bool:
    """Processes that are killed while they write."""
    chosen, wrong = random.Random(0), 0  # noqa: S311 - no secret
    for number in range(count):
        process = start(folder / "store", "write", folder / "begin")
        assert read_line(process) == "ready\n"
        for _ in range(chosen.randrange(1, 500)):
            read_line(process)
        process.kill()
        process.communicate()
        if number % 20 == 0 or number == count - 1:
            wrong += len(finish(start(folder / "store", "verify"))["damaged"])  # type: ignore[arg-type]
    say(f"{count} kills: {wrong} files that were not whole")
    return wrong == 0


def damaged(folder: Path, count: int) -> bool:
    """Files that are damaged in random ways."""
    found = finish(start(folder / "store", "damage", count))
    say(f"{count} damages: {found}")
    return bool(found["is_right"])


def full_disk(folder: Path) -> bool:
    """A store on a file system of 64 kilobytes, where that can be mounted."""
    mount, store = shutil.which("mount"), folder / "store"
    store.mkdir(mode=0o700)
    options = ["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(store)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:  # noqa: S603
        say("no small file system can be mounted here")
        return True
    try:
        (folder / "begin").touch()
        process = start(store, "all", folder / "begin", JOBS)
        assert read_line(process) == "ready\n"
        found = finish(process)
    finally:
        subprocess.run(["umount", str(store)], check=True)  # noqa: S603, S607
    say(f"a full disk: {found}")
    return bool(found["is_right"])


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    numbers = [*map(int, sys.argv[1:]), *(64, 1000, 10_000)[len(sys.argv) - 1 :]]
    outcomes = []
    for check, number in zip((at_once, killed, damaged), numbers, strict=True):
        with tempfile.TemporaryDirectory() as directory:
            outcomes.append(check(Path(directory), number))
    with tempfile.TemporaryDirectory() as directory:
        outcomes.append(full_disk(Path(directory)))
    sys.exit(0 if all(outcomes) else 1)
