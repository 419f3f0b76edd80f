# SPDX-License-Identifier: Apache-2.0
"""Runs packages of cases in one process, and prints what became of each as a line of JSON.

run_programs.py run DIRECTORY CASE...        runs each as it stands in DIRECTORY
run_programs.py traced DIRECTORY CASE...     the same, traced and profiled
run_programs.py change BEFORE AFTER CASE...  runs each as in BEFORE, replaces its files by those in AFTER, and runs it again
"""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np

import smelt
from smelt._wiring import session


def run(name):
    """What `run_module` says, or what went wrong."""
    try:
        return run_module(importlib.import_module(name))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other programs are run
        return {"error": f"{type(error).__name__}: {error}"}


def run_module(main):
    """The kernel's results, plain Python's, and how often something was compiled and inferred for them."""
    x = np.linspace(-2.0, 3.0, 5)
    out = np.zeros(5)
    before = smelt.stats()
    main.kernel[5](out, x)
    after = smelt.stats()
    expected = np.zeros(5)
    expected[:] = [main.compute(value) for value in x]
    return {
        "result": out.tolist(),
        "expected": expected.tolist(),
        "compilations": after.compilations - before.compilations,
        "inferences": after.inferences - before.inferences,
        "store_hits": after.store_hits - before.store_hits,
        "links": after.links - before.links,
        "llvm_loaded": after.llvm_loaded,
        "compiler_loaded": "smelt.inference" in sys.modules or "smelt.lowering" in sys.modules,
        "sources_read": session().fingerprints.sources_read,
        "why": smelt.why(main.kernel),
    }


def reload(folder, changed):
    for path in changed:
        name = path.removesuffix(".py").removesuffix("/__init__").removesuffix("__init__")
        importlib.reload(sys.modules[f"{folder}.{name}" if name else folder])


def say(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main():
    mode, *arguments = sys.argv[1:]
    if mode == "traced":
        # As coverage, debuggers and profilers do.
        sys.settrace(lambda *_: lambda *_: None)
        sys.setprofile(lambda *_: None)
    directory, *rest = arguments
    sys.path.insert(0, directory)
    after = Path(rest.pop(0)) if mode == "change" else None
    for package in rest:
        module = f"{package}.main"
        say({"case": package, **run(module)})
        if after is None:
            continue
        changed = []
        for path in sorted((after / package).glob("*.py")):
            place = Path(directory, package, path.name)
            if place.read_bytes() != path.read_bytes():
                shutil.copyfile(path, place)
                changed.append(path.name)
        importlib.invalidate_caches()
        # Compiled files are told apart by the time of the last change, in seconds.
        shutil.rmtree(Path(directory, package, "__pycache__"), ignore_errors=True)
        reload(package, [name for name in changed if name != "main.py"] + ["main.py"])
        say({"case": package, **run(module)})


main()
