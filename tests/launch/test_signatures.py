# SPDX-License-Identifier: Apache-2.0
"""Types that a kernel is compiled for ahead of time, as users write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import smelt
from smelt.types import Tuple, declared_type, typeof, weak_float, weak_int


@dataclass(frozen=True)
class Ray:
    origin: float
    steps: int


class Pair(NamedTuple):
    first: np.float32
    second: float


@dataclass(frozen=True)
class Undeclared:
    what: object


def scale(out, x, factor):
    i = smelt.grid(1)
    out[i] = x[i] * factor


def double(value):
    return value * 2


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        (int, 1),
        (float, 1.5),
        (complex, 1j),
        (bool, True),
        (None, None),
        (np.float32, np.float32(1)),
        (np.dtype("int16"), np.int16(1)),
        (smelt.float32[:], np.zeros(3, np.float32)),
        ((int, np.uint8), (1, np.uint8(2))),
        (Ray, Ray(1.0, 2)),
        (Pair, Pair(np.float32(1), 2.0)),
        (double, double),
        ("text", "text"),
        (np.dtype([("a", "f4"), ("b", "i8")]), np.zeros((), [("a", "f4"), ("b", "i8")])[()]),
    ],
)
def test_a_declaration_is_the_type_of_the_values_it_describes(declaration, value):
    assert declared_type(declaration) == typeof(value)


def test_a_type_of_smelt_is_itself():
    assert declared_type(smelt.float32) is smelt.float32
    assert declared_type((weak_int, (weak_float,))) == Tuple((weak_int, Tuple((weak_float,))))


def test_a_kernel_is_compiled_for_its_signatures_once_asked_to():
    kernel = smelt.kernel(
        signatures=[(smelt.float32[:], smelt.float32[:], float), (smelt.int64[:], smelt.int64[:], np.int64)]
    )(scale)
    before = smelt.stats().compilations
    assert kernel.compiled_for == ()
    first, second = kernel.compile_signatures()
    assert first is not second
    assert smelt.stats().compilations == before + 2
    assert kernel.compiled_for == kernel.signatures
    out = np.zeros(4, np.float32)
    kernel[4](out, np.arange(4, dtype=np.float32), 2.5)
    assert out.tolist() == [0, 2.5, 5, 7.5]
    assert smelt.stats().compilations == before + 2


def test_a_launch_with_other_types_than_the_signatures_compiles_for_those():
    kernel = smelt.kernel(signatures=[(smelt.float32[:], smelt.float32[:], float)])(scale)
    out = np.zeros(4)
    kernel[4](out, np.arange(4.0), 2)
    assert out.tolist() == [0, 2, 4, 6]


def test_compile_takes_types_as_signatures_do():
    kernel = smelt.kernel(scale)
    assert kernel.compile(smelt.float32[:], smelt.float32[:], float) is kernel.compile(
        smelt.float32[:], smelt.float32[:], weak_float
    )
    assert "weak float" in smelt.code_typed(kernel, (smelt.float32[:], smelt.float32[:], float))


@pytest.mark.parametrize(
    ("signature", "error", "message"),
    [
        ((smelt.float32[:], list, float), TypeError, "type 2 of a signature: list is no type of a kernel's argument"),
        ((smelt.float32[:], Undeclared, float), TypeError, "Undeclared.what is not annotated with a type"),
        ((smelt.float32[:], [1], float), TypeError, "a kernel can't use a list"),
        ((smelt.float32[:], float), smelt.LaunchError, "takes 3 arguments (out, x, factor), not 2"),
        (smelt.float32, TypeError, "a signature is a tuple of types, not float32"),
    ],
)
def test_a_signature_that_is_none_is_refused_where_the_kernel_is_made(signature, error, message):
    with pytest.raises(error) as raised:
        smelt.kernel(signatures=[signature])(scale)
    assert "scale" in str(raised.value)
    assert message in str(raised.value)
