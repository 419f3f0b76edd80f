# SPDX-License-Identifier: Apache-2.0
"""Runs kernels on a store to which something happens, and prints what became of it as JSON."""

import errno
import json
import os
import random
import shutil
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import smelt
from smelt.launch.kernel import Kernel
from smelt.sessions import contents, locks
from smelt.sessions.directory import Directory
from smelt.sessions.entries import encode_entry


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def make(factor):
    """A kernel; one for each factor."""

    @smelt.kernel
    def scale(out, x):
        i = smelt.grid(1)
        out[i] = x[i] * factor + factor

    return scale


def is_right(kernel, factor):
    x = np.arange(8.0)
    out = np.zeros(8)
    kernel[8](out, x)
    return out.tolist() == (x * factor + factor).tolist()


def wait_for(path):
    say("ready")
    while not path.exists():
        time.sleep(0.001)


def run_all(begin, count):
    kernels = [make(float(factor)) for factor in range(2, 2 + int(count))]
    # Everything but the jobs is done before.
    is_right(make(1000.0 + time.perf_counter()), 0.0)
    before = smelt.stats().compilations
    wait_for(Path(begin))
    right = [is_right(kernel, float(factor)) for factor, kernel in enumerate(kernels, start=2)]
    return {"compilations": smelt.stats().compilations - before, "is_right": all(right)}


def write(_):
    """Write containers over each other, without end."""
    directory = smelt._wiring.session().directory
    kernel = make(2.0)
    is_right(kernel, 2.0)
    key, entry = next(contents.keyed_entries(directory))
    whole = encode_entry(key, entry)
    say("ready")
    for number in range(10**9):
        directory.write(f"entries/00/{key.hex()}/{number % 7}", whole)
        say(number)


def verify():
    whole, damaged = contents.verify(smelt._wiring.session().directory)
    return {"whole": whole, "damaged": damaged}


def damage(count):
    """Damage the store in random ways, and look the same kernel up again each time."""
    chosen = random.Random(7)
    function = make(3.0)
    right, lost, told, sessions = is_right(function, 3.0), 0, 0, 0
    directory = smelt._wiring.session().directory
    files = [Path(directory.path, name) for name in contents.files(directory, "entries")]
    kept = {path: path.read_bytes() for path in files}
    view = smelt._wiring.jobs().view(function.config)
    instance = function.instance(function.compiled_for[0])
    for _ in range(int(count)):
        for path, whole in kept.items():
            path.write_bytes(damaged(whole, chosen))
            path.chmod(0o600)
        sessions += 1
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            session = fresh_session(directory.path)
            found = session.load(view.frozen(), instance)
        told += len(seen)
        if found is None:
            lost += 1
            continue
        results = found.results(smelt.compiler.results.ArtifactResults).by_config
        original = view.get(instance).results(smelt.compiler.results.ArtifactResults).by_config
        right = right and all(results[key].code == original[key].code for key in results)
    return {"is_right": right, "lost": lost, "warnings": told, "sessions": sessions}


def fresh_session(path):
    return smelt.sessions.Session(
        smelt._wiring.jobs().overlays, smelt._wiring.RESULTS_CLASSES, directory=Directory(path)
    )


def damaged(whole, chosen):
    kind = chosen.choice(["flip", "truncate", "extend", "swap", "zero"])
    contents_ = bytearray(whole)
    at, other = chosen.randrange(len(whole)), chosen.randrange(len(whole))
    if kind == "flip":
        contents_[at] ^= 1 << chosen.randrange(8)
    elif kind == "truncate":
        del contents_[at:]
    elif kind == "extend":
        contents_ += chosen.randbytes(1 + at % 50)
    elif kind == "swap":
        contents_[at : at + 16], contents_[other : other + 16] = whole[other : other + 16], whole[at : at + 16]
    else:
        contents_[at : at + 64] = bytes(len(contents_[at : at + 64]))
    return bytes(contents_)


def fault(kind):
    """Two kernels, before the second of which something happens to the store."""
    right = is_right(make(2.0), 2.0)
    directory = smelt._wiring.session().directory
    write_error = {"disk full": errno.ENOSPC, "read-only": errno.EROFS}.get(kind)
    if write_error is not None:

        def fails(*_):
            raise OSError(write_error, kind)

        os.replace = fails
    elif kind == "no locks":
        locks._try_to_lock = lambda _: (_ for _ in ()).throw(OSError(errno.ENOLCK, kind))
    else:
        shutil.rmtree(directory.path)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        right = is_right(make(5.0), 5.0) and right
    return {"is_right": right, "warnings": len(seen), "compilations": smelt.stats().compilations}


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    assert isinstance(make(1.0), Kernel)
    action = {"all": run_all, "write": write, "verify": verify, "damage": damage, "fault": fault}[mode]
    say(json.dumps(action(*arguments)))
