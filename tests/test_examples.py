"""Each example runs, prints what it promises, and fails by itself where its claims don't hold."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run(program, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", program, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_the_example_runs(example):
    done = run(example)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


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
