"""Each example runs, prints what it promises, and fails by itself where its claims don't hold."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]


# What makes an example short enough for a test, and the pictures that it leaves.
ARGUMENTS = {"reaction_diffusion": ["150"]}
PICTURES = {"image_pipeline": ["sharpened.png", "edges.png"], "reaction_diffusion": ["reaction_diffusion.png"]}


def run(program, *arguments, cwd=None):
    command = [sys.executable, "-W", "error", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_the_example_runs_and_leaves_its_pictures(example, tmp_path):
    done = run(example, *ARGUMENTS.get(example.stem, []), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    pictures = PICTURES.get(example.stem, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(pictures)
    for name in pictures:
        with Image.open(tmp_path / name) as picture:
            assert len(np.unique(np.asarray(picture))) > 100


def test_the_image_pipeline_agrees_with_numpy(tmp_path):
    shown = run(ROOT / "examples" / "image_pipeline.py", cwd=tmp_path).stdout
    assert shown.count("from NumPy's") == 2
    assert "5 kernels compiled" in shown


def test_the_expression_compiler_shows_counts_and_causes():
    shown = run(ROOT / "examples" / "expression_compiler.py").stdout
    assert "square(8)                                      = 64       0 compiled" in shown
    assert "two circles(7)                                 = 2940     3 compiled" in shown
    tree = shown[shown.index("  square(int) was redefined in expressions (world 8)") :].splitlines()
    assert tree[1:4] == [
        "  └─ square(int) for 'expression compiler'",
        "     └─ area(int) for 'expression compiler'",
        "        └─ two circles(int) for 'expression compiler'",
    ]


def test_the_benchmark_of_the_caching_core_prints_every_section():
    done = run(ROOT / "benchmarks" / "caching.py", "--quick")
    # Its exit status is a measurement, and on a busy machine that is nobody's fault.
    assert done.stderr == ""
    for section in ("Warm lookup", "The other ways in", "Looking a call up", "Invalidation", "Threads"):
        assert section in done.stdout


def test_the_benchmark_of_generated_code_checks_and_times_kernels():
    names = ("saxpy", "mandelbrot", "histogram", "reduction")
    done = run(ROOT / "benchmarks" / "throughput.py", "--quick", "--only", *names)
    assert done.stderr == ""
    for name in names:
        assert f"\n{name} " in done.stdout
    assert done.stdout.count("smelt boundscheck=False") == len(names)


def test_the_benchmark_of_barriers_prints_a_row_for_each_size():
    done = run(ROOT / "benchmarks" / "barriers.py", "--quick")
    assert done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["32", "64", "256", "1024"]
