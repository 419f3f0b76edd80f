# SPDX-License-Identifier: Apache-2.0
"""What `smelt doctor` looks at. Each examination is a function that gives a finding; what it raises is one, too."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import smelt
from smelt import _wiring, knobs
from smelt.cli.cache_commands import store_directory
from smelt.cli.finding import Finding
from smelt.sessions.contents import sizes
from smelt.targets.native.processors.available_cpus import available_cpus
from smelt.targets.native.processors.host import host_machine

_OLDEST_PYTHON = (3, 11)
_OLDEST_LLVMLITE = (0, 45)


def findings() -> list[Finding]:
    """All findings, in the order in which one thing rests on another."""
    return [_examined(subject, examine) for subject, examine in _EXAMINATIONS.items()]


def _examined(subject: str, examine: Callable[[str], Finding]) -> Finding:
    try:
        return examine(subject)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is looked for
        detail = f"{type(error).__name__}: {error}"
        return Finding(subject, "broken", detail, "report it, with the output of smelt doctor --json")


def _python(subject: str) -> Finding:
    detail = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform(terse=True)}"
    if sys.version_info < _OLDEST_PYTHON:
        return Finding(subject, "broken", detail, "install Python 3.11 or later")
    if sys.implementation.name != "cpython":
        return Finding(subject, "limited", f"{detail}; smelt is tested on CPython only", "use CPython")
    return Finding(subject, "works", detail)


def _llvm(subject: str) -> Finding:
    try:
        version = importlib.metadata.version("llvmlite")
        binding = importlib.import_module("llvmlite.binding")
    except ImportError as error:
        detail = f"{error}; what is in the store and in images runs, nothing can be compiled"
        return Finding(subject, "broken", detail, "python -m pip install llvmlite")
    numbers = tuple(int(part) for part in version.split(".")[:2])
    detail = f"llvmlite {version} with LLVM {'.'.join(map(str, binding.llvm_version_info))}"
    if numbers < _OLDEST_LLVMLITE:
        remedy = 'python -m pip install --upgrade "llvmlite>=0.45"'
        return Finding(subject, "broken", f"{detail}, which is too old", remedy)
    return Finding(subject, "works", detail)


def _settings(subject: str) -> Finding:
    known = {knob.name: knob for knob in vars(knobs).values() if isinstance(knob, knobs.Knob)}
    for knob in known.values():
        try:
            _ = knob.value
        except ValueError as error:
            return Finding(subject, "broken", str(error), f"unset {knob.name}")
    unknown = sorted(name for name in os.environ if name.startswith("SMELT_") and name not in known)
    if unknown:
        detail = f"{unknown[0]} is set, and means nothing; there are {', '.join(sorted(known))}"
        return Finding(subject, "limited", detail, f"unset {unknown[0]}")
    there = [f"{name}={os.environ[name]}" for name in sorted(known) if os.environ.get(name)]
    return Finding(subject, "works", ", ".join(there) or "none is set")


@smelt.kernel
def _squares(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i] * x[i]


def _compiler(subject: str) -> Finding:
    x = np.arange(1000, dtype=np.float32)
    out = np.empty_like(x)
    _squares[x.size](out, x)
    if not np.array_equal(out, x * x):
        return Finding(subject, "broken", "a kernel computed something wrong", _report())
    # What smelt launches itself is kept in no store: it was compiled here.
    return Finding(subject, "works", f"a kernel was compiled, and ran, on {host_machine()}")


def _launches(subject: str) -> Finding:
    if _wiring.stubs() is None:
        detail = "this Python or NumPy lays its objects out in another way: each launch takes some 20 microseconds more"
        return Finding(
            subject, "limited", detail, "install a newer smelt from its repository, or another version of NumPy"
        )
    x = np.arange(8, dtype=np.float32)
    out = np.empty_like(x)
    launch = _squares.over(x.size)
    for _ in range(4):
        out[:] = 0
        launch(out, x)
    if not np.array_equal(out, x * x):
        return Finding(subject, "broken", "a compiled launch computed something wrong", _report())
    return Finding(subject, "works", "warm launches run in compiled code from end to end")


def _threads(subject: str) -> Finding:
    threads = knobs.NUM_THREADS.value or available_cpus()
    if threads == 1:
        remedy = "unset SMELT_NUM_THREADS" if knobs.NUM_THREADS.value else "give this process more processors"
        return Finding(subject, "limited", "kernels run on one core", remedy)
    return Finding(subject, "works", f"kernels run on {threads} cores, of {os.cpu_count()} that there are")


def _store(subject: str) -> Finding:
    if not knobs.STORE.value:
        detail = "it is turned off: every process compiles anew"
        return Finding(subject, "limited", detail, f"unset {knobs.STORE.name}")
    directory = store_directory()
    name = f"entries/doctor-{os.getpid()}/written"
    if not directory.write(name, b"smelt doctor") or directory.read(name) != b"smelt doctor":
        remedy = "set SMELT_CACHE_DIR to a directory of yours, which nobody else can write to"
        return Finding(subject, "limited", f"{directory.path} can't be used: every process compiles anew", remedy)
    directory.remove(name)
    Path(directory.path, name).parent.rmdir()
    counted = sizes(directory)
    size = sum(nbytes for _, nbytes in counted.values())
    return Finding(subject, "works", f"{directory.path}: {counted['entries'][0]} kernels, {size / 1e6:.1f} MB")


def _metal_in_software(subject: str) -> Finding:
    return _metal_device(subject, "metal:software", "kernels for Metal are compiled, and run on the processor")


def _metal(subject: str) -> Finding:
    hardware = [
        device.name
        for device in smelt.devices()
        if device.name != "cpu" and not device.name.startswith("metal:software")
    ]
    if hardware:
        return _metal_device(subject, hardware[0], f"kernels run on {', '.join(hardware)}")
    if sys.platform != "darwin":
        return Finding(subject, "absent", "this is no Mac; what is compiled for Metal here runs on Macs, too")
    if importlib.util.find_spec("Metal") is None:
        command = "python -m pip install pyobjc-framework-Metal pyobjc-framework-libdispatch"
        return Finding(subject, "limited", "pyobjc is not installed", command)
    return Finding(subject, "limited", "macOS has no Metal device for this process", "log in at the Mac's own screen")


def _metal_device(subject: str, name: str, detail: str) -> Finding:
    x = np.arange(1000, dtype=np.float32)
    out = smelt.zeros(x.size, np.float32, device=name)
    _squares[x.size](out, smelt.array(x, device=name))
    if not np.array_equal(out.numpy(), x * x):
        return Finding(subject, "broken", f"a kernel computed something wrong on {name}", _report())
    return Finding(subject, "works", detail)


def _nvidia(subject: str) -> Finding:
    return Finding(subject, "absent", "kernels are not compiled for NVIDIA's GPUs yet")


def _report() -> str:
    return "report it, with the output of smelt doctor --json"


_EXAMINATIONS: dict[str, Callable[[str], Finding]] = {
    "Python": _python,
    "LLVM": _llvm,
    "environment variables": _settings,
    "compiling for the processor": _compiler,
    "launching": _launches,
    "threads": _threads,
    "the store": _store,
    "Metal in software": _metal_in_software,
    "Metal": _metal,
    "NVIDIA": _nvidia,
}
