# SPDX-License-Identifier: Apache-2.0
"""What scripts read: `smelt precompile --json` and `smelt why --json`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import smelt

pytestmark = pytest.mark.once

SOURCE = Path(smelt.__file__).parent.parent
MODULE = """
import numpy as np
import smelt

STEP = 1.0

@smelt.kernel(signatures=[(smelt.float32[:],)])
def fill(out):
    out[smelt.grid(1)] = STEP

if __name__ == "__main__":
    import filling
    filling.fill[2](np.empty(2, np.float32))
"""


@pytest.fixture
def report(tmp_path):
    """Runs a command in a folder with a module, on a store of its own. Returns its exit status and what it printed."""
    (tmp_path / "filling.py").write_text(MODULE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMELT_", "PYTHON"))}
    settings = {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", "SMELT_CACHE_DIR": str(tmp_path / "store")}

    def run(*arguments):
        command = [sys.executable, "-W", "error", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**kept, **settings}, check=False
        )
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run


def test_precompile_tells_what_is_missing_and_what_it_wrote(report, tmp_path):
    command = ("-m", "smelt", "precompile", "filling", "-j", "1", "--json")
    lacking = {"missing": ["filling.fill(float32[:]) for native:host"]}
    assert report(*command, "--check") == (1, lacking)
    status, written = report(*command)
    path = tmp_path / "filling.smelt.image"
    assert (status, written) == (0, {"images": [{"path": str(path), "bytes": path.stat().st_size}]})


def test_why_tells_of_each_thing_that_is_kept_whether_it_is_right(report, tmp_path):
    command = ("-m", "smelt", "why", "filling:fill", "--json")
    report("filling.py")
    kernel = "filling.fill(float32[:])"
    assert report(*command) == (0, [{"kernel": kernel, "reason": None}])
    (tmp_path / "filling.py").write_text(MODULE.replace("1.0", "2.0"))
    status, [told] = report(*command)
    assert (status, told["kernel"]) == (1, kernel)
    assert "filling.STEP" in told["reason"]
