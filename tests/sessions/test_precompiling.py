# SPDX-License-Identifier: Apache-2.0
"""What is compiled ahead of time is there for the processes that import it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.cli import main, precompile_command
from smelt.launch import requests
from smelt.targets.native.errors import LinkError
from smelt.targets.native.processors.host import check_runs_here
from smelt.targets.native.target import host_target, target_named

SOURCE = Path(smelt.__file__).parent.parent

KERNELS = """
import numpy as np
import smelt

def axpy(a, x, y):
    return a * x + y

@smelt.kernel(signatures=[(smelt.float32[:], float, smelt.float32[:], smelt.float32[:])])
def saxpy(out, a, x, y):
    i = smelt.grid(1)
    out[i] = axpy(a, x[i], y[i])

@smelt.kernel
def twice(out):
    out[smelt.grid(1)] *= 2

with smelt.precompile_workload():
    numbers = np.ones(4)
    twice[4](numbers)
assert (numbers == 1).all()
"""

USE = """
import json
import numpy as np
import smelt
from package.kernels import saxpy, twice

x, out, y = np.ones(5, np.float32), np.zeros(5, np.float32), np.ones(4)
saxpy[5](out, 2.0, x, x)
twice[4](y)
assert (out == 3).all()
assert (y == 2).all()
stats = smelt.stats()
sources_read = smelt._wiring.session().fingerprints.sources_read
print(json.dumps([stats.compilations, stats.inferences, stats.image_hits, stats.store_hits, sources_read]))
"""

# The second launch has a stub, and many threads have a pool.
USE_OFTEN = (
    USE
    + """
many, sums = np.ones(2**20, np.float32), np.zeros(2**20, np.float32)
for _ in range(3):
    saxpy[5](out, 2.0, x, x)
    saxpy[2**20](sums, 2.0, many, many)
assert (sums == 3).all()
stats = smelt.stats()
print(json.dumps([stats.compilations, stats.inferences, stats.llvm_loaded, "smelt.inference" in sys.modules]))
"""
).replace("import json", "import json\nimport sys")


def run(folder, *arguments, status=0, executable=sys.executable, **environment):
    settings = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SMELT_", "PYTHON"))},
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SMELT_CACHE_DIR": str(folder / "store"),
        **environment,
    }
    done = subprocess.run(
        [executable, "-W", "error", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=settings,
        cwd=folder,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def use(folder, **environment):
    return json.loads(run(folder, "use.py", **environment))


@pytest.fixture(scope="module")
def precompiled(tmp_path_factory):
    """A package with an image for a level that any machine of this kind has, and one for another kind of machine."""
    folder = tmp_path_factory.mktemp("precompiled")
    (folder / "package").mkdir()
    (folder / "package/__init__.py").write_text("")
    (folder / "package/kernels.py").write_text(KERNELS)
    (folder / "use.py").write_text(USE)
    targets = ["--target", "native:x86-64", "--target", "native:aarch64"]
    output = run(folder, "-m", "smelt", "precompile", "package", "-j", "1", *targets)
    image = folder / "package/smelt.image"
    assert output == f"{image}: {image.stat().st_size} bytes\n"
    return folder


def test_a_process_that_imports_it_compiles_nothing(precompiled):
    assert not (precompiled / "store/entries").exists()
    assert use(precompiled) == [0, 0, 2, 0, 0]


def test_nor_does_it_load_llvm_for_what_launches_need_beside_kernels(precompiled, tmp_path):
    (precompiled / "use_often.py").write_text(USE_OFTEN)
    for settings in ({"SMELT_CACHE_DIR": str(tmp_path / "empty")}, {"SMELT_STORE": "off"}):
        _, often = run(precompiled, "use_often.py", **settings).splitlines()
        assert json.loads(often) == [0, 0, False, False]


def test_without_the_store_there_are_still_images(precompiled, tmp_path):
    settings = {"SMELT_STORE": "off", "SMELT_CACHE_DIR": str(tmp_path / "store")}
    assert use(precompiled, **settings)[:4] == [0, 0, 2, 0]
    assert not (tmp_path / "store").exists()


def test_why_looks_into_images_too(precompiled, tmp_path):
    shutil.copytree(precompiled, tmp_path / "copy", ignore=shutil.ignore_patterns("store"))
    arguments, settings = ("-m", "smelt", "why", "package.kernels:saxpy"), {"SMELT_STORE": "off"}
    text = "package.kernels.saxpy(float32[:], weak float, float32[:], float32[:])"
    assert run(tmp_path / "copy", *arguments, **settings) == f"{text}: is kept, and right\n"
    kernels = tmp_path / "copy/package/kernels.py"
    kernels.write_text(KERNELS.replace("a * x + y", "y + a * x"))
    told = run(tmp_path / "copy", *arguments, status=1, **settings)
    assert told == f"{text}: package.kernels.axpy changed; it is called by {text}\n"
    (tmp_path / "copy/package/smelt.image").unlink()
    assert run(tmp_path / "copy", *arguments, **settings) == "nothing is kept of package.kernels:saxpy\n"


def test_a_changed_function_is_compiled_again_and_kept_in_the_store(precompiled, tmp_path):
    shutil.copytree(precompiled, tmp_path / "copy", ignore=shutil.ignore_patterns("store"))
    kernels = tmp_path / "copy/package/kernels.py"
    kernels.write_text(KERNELS.replace("a * x + y", "y + a * x"))
    compilations, _, image_hits, store_hits, _ = use(tmp_path / "copy")
    assert (compilations, image_hits, store_hits) == (1, 1, 0)
    assert use(tmp_path / "copy")[:4] == [0, 0, 1, 1]


def test_an_image_for_other_options_does_not_serve(precompiled, tmp_path):
    shutil.copytree(precompiled, tmp_path / "copy", ignore=shutil.ignore_patterns("store"))
    (tmp_path / "copy/package/kernels.py").write_text(
        KERNELS.replace("@smelt.kernel\n", "@smelt.kernel(boundscheck=False)\n")
    )
    compilations, _, image_hits, *_ = use(tmp_path / "copy")
    # Inferred it was for both; compiled it is for one.
    assert (compilations, image_hits) == (1, 2)


def test_a_damaged_image_costs_a_compilation_and_a_warning_at_most(precompiled, tmp_path):
    shutil.copytree(precompiled, tmp_path / "copy", ignore=shutil.ignore_patterns("store"))
    image = tmp_path / "copy/package/smelt.image"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    # What is whole in the first half is still found there; an entry may be, and its artifact not.
    compilations, _, found, *_ = use(tmp_path / "copy")
    assert compilations >= 1
    assert compilations + found >= 2
    image.write_bytes(b"")
    compilations_then, _, *hits, _ = json.loads(run(tmp_path / "copy", "-W", "default", "use.py"))
    assert (compilations_then, hits) == (2 - compilations, [0, compilations])


def test_an_image_in_an_archive_serves(precompiled, tmp_path):
    shutil.copytree(precompiled / "package", tmp_path / "contents/package")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "contents")
    shutil.copy(precompiled / "use.py", tmp_path / "use.py")
    found = use(tmp_path, PYTHONPATH=os.pathsep.join([archive, str(SOURCE)]))
    assert found[:3] == [0, 0, 2]


def test_checking_says_what_is_missing(precompiled):
    assert run(precompiled, "-m", "smelt", "precompile", "package", "--check", "--target", "native:aarch64") == ""
    missing = run(
        precompiled, "-m", "smelt", "precompile", "package", "--check", "--target", "native:x86-64-v2", status=1
    )
    assert missing.splitlines() == [
        "not precompiled: package.kernels.saxpy(float32[:], weak float, float32[:], float32[:]) for native:x86-64-v2",
        "not precompiled: package.kernels.twice(float64[:]) for native:x86-64-v2",
    ]


def test_a_command_that_does_not_look_into_the_current_directory_by_itself_finds_the_package(tmp_path):
    (tmp_path / "package.py").write_text(KERNELS)
    # As what pip installs is started.
    command = ["-P", "-m", "smelt", "precompile", "package", "-j", "1"]
    image = tmp_path / "package.smelt.image"
    assert run(tmp_path, *command) == f"{image}: {image.stat().st_size} bytes\n"
    assert run(tmp_path, *command, "--check") == ""


def test_a_kernel_that_can_not_be_compiled_is_shown_at_its_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "wrong_kernels.py").write_text(KERNELS.replace("*= 2", "*= factor"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["precompile", "-j", "1", "wrong_kernels"]) == 1
    told = capsys.readouterr().err
    assert "wrong_kernels.py:15:27: in twice: name 'factor' is not defined\n" in told
    assert "out[smelt.grid(1)] *= factor" in told


def test_of_several_targets_the_best_that_runs_here_serves(tmp_path):
    levels = [name for name in ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4") if runs_here(name)]
    if len(levels) < 2:
        pytest.skip(f"of the levels of x86-64 this processor has {levels or 'none'}: there is no better one to choose")
    (tmp_path / "module.py").write_text(
        "import smelt\n@smelt.kernel(signatures=[(smelt.float64[:],)])\ndef fill(out):\n    out[smelt.grid(1)] = 1.0\n"
    )
    (tmp_path / "use.py").write_text(
        "import module, smelt, numpy\nmodule.fill[1](numpy.zeros(1))\n"
        "print(module.fill.compile(smelt.float64[:]).processor, smelt.stats().compilations)\n"
    )
    for names in (levels, levels[::-1]):
        targets = [f"--target=native:{name}" for name in (*names, "aarch64")]
        run(tmp_path, "-m", "smelt", "precompile", "module", "-j", "1", *targets)
        assert run(tmp_path, "use.py") == f"{levels[-1]} 0\n"


def runs_here(name):
    try:
        check_runs_here(target_named(f"native:{name}").cpu, host_target().abi)
    except LinkError:
        return False
    return True


def test_what_was_traced_is_precompiled(tmp_path):
    (tmp_path / "module.py").write_text("import smelt\n@smelt.kernel\ndef fill(out, a):\n    out[smelt.grid(1)] = a\n")
    (tmp_path / "use.py").write_text(
        "import smelt, numpy as np\nend = smelt.trace('trace')\nimport module\n"
        "for dtype in (np.float32, np.int64, np.float32):\n    module.fill[2](np.zeros(2, dtype), 1)\nend()\n"
        "module.fill[2](np.zeros(2, np.int8), 1)\nprint(smelt.stats().compilations)\n"
    )
    assert run(tmp_path, "use.py") == "3\n"
    assert len((tmp_path / "trace").read_text().splitlines()) == 2
    run(tmp_path, "-m", "smelt", "precompile", "module", "--trace", "trace", "-j", "1")
    shutil.rmtree(tmp_path / "store")
    assert run(tmp_path, "use.py") == "1\n"


def test_a_kernel_of_a_trace_that_is_gone_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "emptied.py").write_text("import smelt\n")
    trace = tmp_path / "trace"
    trace.write_text('{"module": "emptied", "kernel": "fill", "types": ""}\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["precompile", "emptied", "--trace", str(trace), "-j", "1"]) == 1
    assert "there is no kernel emptied:fill" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_module"], "No module named 'no_such_module'"),
        (["json", "--target", "metal:1"], "there is no target 'metal:1'"),
    ],
)
def test_what_can_not_be_precompiled_is_said(arguments, message, capsys):
    assert main(["precompile", "-j", "1", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_wheel_is_built_with_the_image_and_serves_where_it_is_installed(precompiled, tmp_path):
    for name in ("hatchling", "pip"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name}, by which the wheel is built and installed, is not there")
    project = tmp_path / "project"
    shutil.copytree(precompiled / "package", project / "src/package", ignore=shutil.ignore_patterns("*.image"))
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling", "smelt"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "package"\nversion = "1"\n[tool.hatch.build.targets.wheel]\npackages = ["src/package"]\n'
        '[tool.hatch.build.targets.wheel.hooks.smelt]\nmodules = ["package"]\nsource = "src"\n'
    )
    # As the installed distribution of smelt declares it.
    declared = tmp_path / "declared/hook-1.dist-info"
    declared.mkdir(parents=True)
    (declared / "METADATA").write_text("Metadata-Version: 2.1\nName: hook\nVersion: 1\n")
    (declared / "entry_points.txt").write_text("[hatch]\nsmelt = smelt.sessions.hatch\n")
    path = os.pathsep.join([str(declared.parent), str(SOURCE)])
    run(project, "-W", "default", "-m", "hatchling", "build", "-t", "wheel", PYTHONPATH=path)
    (wheel,) = (project / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "package/smelt.image" in archive.namelist()
    # What smelt and NumPy need stays where it is; the package is where the environment has it.
    venv.create(tmp_path / "fresh", symlinks=os.name != "nt")
    (executable,) = [path for path in (tmp_path / "fresh").glob("*/python*") if path.stem == "python"]
    pip = ["pip", "--python", executable, "install", "--no-deps", "--no-index", "--quiet", wheel]
    run(tmp_path, "-W", "default", "-m", *pip, PYTHONPATH="")
    (tmp_path / "use.py").write_text(USE_OFTEN)
    path = os.pathsep.join([str(SOURCE), str(Path(np.__file__).parent.parent)])
    first, often = run(tmp_path, "use.py", executable=executable, PYTHONPATH=path).splitlines()
    assert json.loads(first) == [0, 0, 2, 0, 0]
    assert json.loads(often) == [0, 0, False, False]


def test_the_progress_is_shown_to_whoever_looks_at_it(monkeypatch, capsys):
    show = precompile_command._show_progress
    show(1, 4)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for done in (0, 2, 4):
        show(done, 4)
    lines = capsys.readouterr().err.split("\r")
    assert lines == ["", f"[{'.' * 40}] 0/4", f"[{'#' * 20}{'.' * 20}] 2/4", f"[{'#' * 40}] 4/4\n"]


# Requests, in this process


def test_a_workload_runs_nothing_in_an_ordinary_session():
    @smelt.kernel
    def fill(out):
        out[smelt.grid(1)] = 1.0

    out = np.zeros(3)
    with smelt.precompile_workload():
        fill[3](out)
    assert out.tolist() == [0.0, 0.0, 0.0]
    assert fill.compiled_for == ()
    fill[3](out)
    assert out.tolist() == [1.0, 1.0, 1.0]


def test_each_request_is_collected_once():
    with requests.collecting() as collected:

        @smelt.kernel(signatures=[(smelt.float32[:],), (smelt.float64[:],)])
        def fill(out):
            out[smelt.grid(1)] = 1.0

        with smelt.precompile_workload():
            fill[1](np.zeros(1, np.float32))
            fill[1](np.zeros(1, np.int8))
    assert [str(kinds[0]) for _, kinds in collected] == ["float32[:]", "float64[:]", "int8[:]"]
