# SPDX-License-Identifier: Apache-2.0
"""Kernels in a notebook: defined in cells, redefined in others, and shown."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import smelt
from smelt.caching.html_tables import html_table

CELLS = {
    "defined": """
import numpy as np, smelt

def tone(x):
    return x + 1

@smelt.kernel
def fill(out):
    i = smelt.grid(1)
    out[i] = tone(2.0 * i)

out = np.zeros(4, np.float32)
fill[4](out)
out.tolist()""",
    "callee redefined": """
def tone(x):
    return x * 10
fill[4](out)
out.tolist()""",
    "kernel redefined": """
@smelt.kernel
def fill(out):
    out[smelt.grid(1)] = tone(1.0)
fill[4](out)
out.tolist()""",
    "lambdas": """
import smelt
first, second = (lambda x: smelt.grid(1) + x), (lambda x: smelt.grid(1) - x)
@smelt.kernel
def both(out):
    out[smelt.grid(1)] = first(10) * second(1)
both[4](out)
out.tolist()""",
    "magics": """
%time fill[4](out)
out.tolist()""",
    "why": "smelt.why(fill)",
    "kernel": "fill",
    "results": "fill.compile(smelt.float32[:])",
    "stats": "smelt.stats()",
    "wrong": """
@smelt.kernel
def wrong(out):
    out[smelt.grid(1)] = undefined_name
wrong[4](out)""",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What each cell showed last, by kind."""
    # The kernel is a process of its own, which finds smelt where this one has it.
    settings = {"PYTHONPATH": str(Path(smelt.__file__).parent.parent), "SMELT_STORE": "off"}
    folder = tmp_path_factory.mktemp("notebook")
    # Of whoever runs the tests: neither settings nor history.
    settings |= {name: str(folder) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    cells = [nbformat.v4.new_code_cell(text.lstrip()) for text in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=120)
    client.execute(cwd=str(folder), env={**os.environ, **settings})
    return {name: cell.outputs[-1] for name, cell in zip(CELLS, notebook.cells, strict=True)}


def text(output):
    assert output.output_type == "execute_result", output
    return output.data["text/plain"]


def html(output):
    return output.data["text/html"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("defined", "[1.0, 3.0, 5.0, 7.0]"),
        ("callee redefined", "[0.0, 20.0, 40.0, 60.0]"),
        ("kernel redefined", "[10.0, 10.0, 10.0, 10.0]"),
        ("lambdas", "[-10.0, 0.0, 12.0, 26.0]"),
        ("magics", "[10.0, 10.0, 10.0, 10.0]"),
    ],
)
def test_kernels_of_cells_run_and_are_what_the_latest_cell_says(shown, cell, expected):
    assert text(shown[cell]) == expected


def test_a_kernel_is_shown_with_its_arguments_options_and_what_it_is_compiled_for(shown):
    assert text(shown["kernel"]) == "<kernel __main__.fill>"
    rows = html(shown["kernel"])
    assert "<caption>kernel __main__.fill</caption>" in rows
    for name, value in {"arguments": "out", "boundscheck": "True", "compiled for cpu": "float32[:]"}.items():
        assert f">{name}</th>" in rows
        assert f">{value}</td>" in rows


def test_results_are_shown_in_short(shown):
    assert text(shown["results"]).startswith("NativeResults(")
    assert "code=<" in text(shown["results"])
    rows = html(shown["results"])
    assert "<caption>NativeResults</caption>" in rows
    assert " bytes&gt;</td>" in rows
    assert len(rows) < 5000


def test_counters_are_shown(shown):
    assert text(shown["stats"]).startswith("Stats(compilations=4, ")
    assert ">compilations</th>" in html(shown["stats"])
    assert ">4</td>" in html(shown["stats"])


def test_an_error_shows_the_line_of_the_cell_and_nothing_of_the_compiler(shown):
    output = shown["wrong"]
    assert output.output_type == "error"
    trace = "\n".join(output.traceback)
    assert "KernelError: " in trace
    assert "in wrong: name 'undefined_name' is not defined" in trace
    assert "out[smelt.grid(1)] = undefined_name" in trace
    assert "smelt/inference" not in trace.replace("\\", "/")


def test_what_looks_like_html_is_shown_as_it_stands():
    shown = html_table("<b>", [("a & b", "<script>")])
    assert "<caption>&lt;b&gt;</caption>" in shown
    assert ">a &amp; b</th>" in shown
    assert ">&lt;script&gt;</td>" in shown
