"""Each example runs, prints what it promises, and fails by itself where its claims don't hold."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

# The releases of Python differ in what kernels are made of, which the tests of those parts look at.
pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[1]


# What makes an example short enough for a test; and the pictures that it leaves.
ARGUMENTS = {
    "black_scholes": ["--size", "2000", "--paths", "2000"],
    "histogram": ["--size", "200"],
    "image_pipeline": ["--size", "200"],
    "mandelbrot": ["--size", "200"],
    "matrix_product": ["--size", "50"],
    "metal_library": ["--size", "64"],
    "n_body": ["--size", "150", "--steps", "60"],
    "prefix_sum": ["--size", "70000"],
    "ray_tracer": ["--size", "120"],
    "reaction_diffusion": ["--size", "128", "--steps", "150"],
}
PICTURES = {
    "histogram": ["histogram.png"],
    "image_pipeline": ["edges.png", "sharpened.png"],
    "mandelbrot": ["mandelbrot.png"],
    "n_body": ["n_body.png"],
    "ray_tracer": ["ray_tracer.png"],
    "reaction_diffusion": ["reaction_diffusion.png"],
}

# What an example finds out, which it checks itself.
FINDINGS = {
    "black_scholes": ["2000 options: ", "parity of puts and calls holds to ", "standard errors from the formula"],
    "histogram": ["34200 pixels counted; unevenness 0.35 before, 0.0"],
    "image_pipeline": ["sharpened.png: 171 x 200", "edges.png: 171 x 200", "of 255 from NumPy's", "5 kernels compiled"],
    "mandelbrot": ["the area of the set is 1.5"],
    "metal_library": ["julia.metallib: 1 functions", "64 x 64 points, ", "steps, as NumPy counts them"],
    "matrix_product": ["simple: ", "tiled: ", "of the bound"],
    "n_body": ["150 bodies, 60 steps: energy changed by "],
    "prefix_sum": ["below 70000 there are 6935 primes, up to 69997; their sum is 228890418"],
    "ray_tracer": ["of 255 from those of plain Python"],
    "reaction_diffusion": ["after 100 steps at most ", " from NumPy's", "1 kernel compiled"],
}


def run(program, *arguments, cwd=None):
    command = [sys.executable, "-W", "error", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_the_example_runs_says_what_it_found_and_leaves_its_pictures(example, tmp_path):
    done = run(example, *ARGUMENTS.get(example.stem, []), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [finding for finding in FINDINGS.get(example.stem, []) if finding not in done.stdout] == []
    pictures = PICTURES.get(example.stem, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == pictures
    for name in pictures:
        with Image.open(tmp_path / name) as picture:
            assert len(np.unique(np.asarray(picture))) > 100


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
    assert done.stdout.count("smelt boundscheck=False ") == len(names)
    assert done.stdout.count("smelt boundscheck=False, sized ") == 1


def test_the_benchmark_of_barriers_prints_a_row_for_each_size():
    done = run(ROOT / "benchmarks" / "barriers.py", "--quick")
    assert done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["32", "64", "256", "1024"]
