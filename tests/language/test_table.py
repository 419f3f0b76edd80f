# SPDX-License-Identifier: Apache-2.0
"""Every row of the tables in docs/language.md: what is supported is run and compared with Python, what is refused is refused so."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.driver.pipeline import typed_function
from smelt.ir.verifier import verify
from smelt.types import typeof

DOCUMENT = Path(__file__).parents[2] / "docs" / "language.md"
HEAD = """import cmath
import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

import smelt


class Point(NamedTuple):
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class Size:
    width: float
    height: float


def helper(v, scale=2):
    return v * scale


tripled = functools.partial(helper, scale=3)


def apply(f, *v):
    return f(*v)


def factorial(v):
    return 1 if v < 2 else v * factorial(v - 1)


limits = [1, 2.5, 4]
rates = {"low": 1, "high": 2.5, 3: 7}
"""


def rows():
    """The cells of all rows that have an example, with the number of their line."""
    for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1):
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) >= 2 and "`" in cells[1]:
            yield number, cells


SUPPORTED = [(number, cells) for number, cells in rows() if len(cells) == 2]
REFUSED = [(number, cells) for number, cells in rows() if len(cells) == 4]


def code_of(cell):
    spans = re.findall(r"`([^`]+)`", cell)
    assert "<br>".join(f"`{span}`" for span in spans) == cell, f"an example is lines of code joined by <br>: {cell}"
    return "\n".join(spans)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A module with a function for each row. Kernels are defined in files, because their source is read."""
    text = HEAD
    for number, cells in (*SUPPORTED, *REFUSED):
        body = "\n".join(f"    {line}" for line in code_of(cells[1]).splitlines())
        text += f"\n\ndef row_{number}(out, x, k, m, g, n, a, t):\n{body}\n    out[0] = r\n"
    path = tmp_path_factory.mktemp("table") / "rows_of_the_table.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("rows_of_the_table", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        # Python warns of what the refused rows do: `n is 3`.
        warnings.simplefilter("ignore", SyntaxWarning)
        spec.loader.exec_module(module)
    return module


def arguments():
    x, k = np.array([1.5, -2.0, 4.0], np.float32), np.array([3, 11, 4], np.int32)
    m, g = np.array([True, False, True]), np.arange(6.0).reshape(2, 3)
    return np.zeros(8), x, k, m, g, 3, 2.5, (1, 2.5, 3)


def named(rows_):
    return [pytest.param(number, cells, id=cells[0]) for number, cells in rows_]


def test_the_document_has_rows_of_both_sorts():
    assert len(SUPPORTED) > 50
    assert len(REFUSED) > 35


@pytest.mark.parametrize(("number", "cells"), named(SUPPORTED))
def test_what_is_supported_does_what_python_does(programs, number, cells):  # noqa: ARG001
    program = getattr(programs, f"row_{number}")
    in_kernel, in_python = arguments(), arguments()
    smelt.kernel(program)[1](*in_kernel)
    with np.errstate(all="ignore"):
        program(*in_python)
    np.testing.assert_allclose(in_kernel[0], in_python[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("number", "cells"), named(SUPPORTED))
def test_the_typed_program_of_what_is_supported_is_well_formed(programs, number, cells):  # noqa: ARG001
    kernel = smelt.kernel(getattr(programs, f"row_{number}"))
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments()))), kernel.config)
    verify(typed_function(driver().inferred(job)))


@pytest.mark.parametrize(("number", "cells"), named(REFUSED))
def test_what_is_refused_is_refused_with_the_line_and_what_to_write(programs, number, cells):
    program = getattr(programs, f"row_{number}")
    with pytest.raises(smelt.KernelError) as caught:
        smelt.kernel(program)[1](*arguments())
    error = caught.value
    assert cells[2]
    assert cells[2].replace("`", "") in str(error).replace("`", "")
    assert cells[3].replace("`", "") in error.help.replace("`", "")
    first = program.__code__.co_firstlineno
    assert first < error.line <= first + len(code_of(cells[1]).splitlines())
