# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLW0108 - kernels are given functions of Python; types of NumPy are no such function
"""Operators and conversions on all scalar types over edge values, against NumPy.

Two rules are Python's, not NumPy's: arithmetic of two bools gives an integer, and complex numbers have no order.
"""

from __future__ import annotations

import importlib.util
import operator

import numpy as np
import pytest

import smelt

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
ALL = ["bool", *INTEGERS, *FLOATS, *COMPLEX]
REAL = ["bool", *INTEGERS, *FLOATS]

OPERATORS = {
    "add": ("+", operator.add, ALL),
    "sub": ("-", operator.sub, ALL),
    "mul": ("*", operator.mul, ALL),
    "truediv": ("/", operator.truediv, ALL),
    "floordiv": ("//", operator.floordiv, REAL),
    "mod": ("%", operator.mod, REAL),
    "pow": ("**", operator.pow, REAL),
    "and_": ("&", operator.and_, ["bool", *INTEGERS]),
    "or_": ("|", operator.or_, ["bool", *INTEGERS]),
    "xor": ("^", operator.xor, ["bool", *INTEGERS]),
    "lshift": ("<<", operator.lshift, INTEGERS),
    "rshift": (">>", operator.rshift, INTEGERS),
    "eq": ("==", operator.eq, ALL),
    "ne": ("!=", operator.ne, ALL),
    "lt": ("<", operator.lt, REAL),
    "le": ("<=", operator.le, REAL),
    "gt": (">", operator.gt, REAL),
    "ge": (">=", operator.ge, REAL),
}
WEAK = {"int": "3", "negative": "(-2)", "float": "2.5", "complex": "(1.5 - 2j)"}


def edge_values(name):
    kind = np.dtype(name)
    if kind.kind == "b":
        return [False, True]
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return sorted(
            {
                limits.min,
                limits.min + 1,
                0,
                1,
                2,
                3,
                7,
                limits.max // 2 + 1,
                limits.max,
                limits.bits,
                -1 if limits.min else 5,
            }
        )
    if kind.kind == "f":
        limits = np.finfo(kind)
        large, tiny = float(limits.max), float(limits.smallest_subnormal)
        return [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            2.5,
            -3.5,
            7.0,
            large,
            -large,
            float(limits.tiny),
            tiny,
            np.inf,
            -np.inf,
            np.nan,
        ]
    parts = (0.0, -0.0, 1.0, -2.5, np.inf, np.nan)
    return [complex(real, imaginary) for real in parts for imaginary in parts]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """A module with a kernel for each operator, and for each with a literal on either side."""
    lines = ["import smelt"]
    for name, (symbol, _, _) in OPERATORS.items():
        lines += [
            "@smelt.kernel",
            f"def {name}(out, x, y):",
            "    i = smelt.grid(1)",
            f"    out[i] = x[i] {symbol} y[i]",
        ]
        for word, literal in WEAK.items():
            for side, text in (("right", f"x[i] {symbol} {literal}"), ("left", f"{literal} {symbol} x[i]")):
                head = f"def {name}_{word}_{side}(out, x):"
                lines += ["@smelt.kernel", head, "    i = smelt.grid(1)", f"    out[i] = {text}"]
    path = tmp_path_factory.mktemp("numbers") / "kernels_of_operators.py"
    path.write_text("\n".join(lines))
    spec = importlib.util.spec_from_file_location("kernels_of_operators", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_same(got, expected, *operands):
    if got.dtype.kind == "c":
        assert_same(got.real, expected.real, *operands)
        assert_same(got.imag, expected.imag, *operands)
        return
    equal = got == expected
    if got.dtype.kind == "f":
        equal = (equal & (np.signbit(got) == np.signbit(expected))) | (np.isnan(got) & np.isnan(expected))
    wrong = np.flatnonzero(~equal)
    assert wrong.size == 0, [(*(o[i] for o in operands), got[i], expected[i]) for i in wrong[:4]]


def is_defined(name, x, y):
    """Where the operator gives a number: elsewhere an integer is divided by zero, or has a negative power, which raises."""
    if name in ("floordiv", "mod") and np.result_type(x, y).kind in "iub":
        return y != 0
    if name == "pow" and np.result_type(x, y).kind in "iub" and y.dtype.kind == "i":
        return y >= 0
    return np.ones(len(x), bool)


# All combinations take minutes; these are spread evenly over them, and differ from operator to operator.
def some(combinations, name, share):
    return [c for number, c in enumerate(combinations) if (number + list(OPERATORS).index(name)) % share == 0]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_operator_on_two_typed_numbers_gives_what_numpy_gives(kernels, name):
    _, python, kinds = OPERATORS[name]
    for first, second in some([(a, b) for a in kinds for b in kinds], name, 31):
        if first == second == "bool" and name in ("add", "sub", "mul", "floordiv", "mod", "pow"):
            continue
        a, b = np.meshgrid(np.array(edge_values(first), first), np.array(edge_values(second), second))
        kept = is_defined(name, a.ravel(), b.ravel())
        x, y = a.ravel()[kept], b.ravel()[kept]
        kernel = getattr(kernels, name)
        try:
            expected = python(x, y)
        except TypeError:
            # Bit operations on int64 and uint64, which have only float64 in common.
            with pytest.raises(smelt.KernelError, match="is for integers and bools"):
                kernel[len(x)](np.zeros(len(x)), x, y)
            continue
        got = np.zeros_like(expected)
        kernel[len(x)](got, x, y)
        assert_same(got, expected, x, y)


@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "pow"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_operator_with_a_literal_gives_what_numpy_gives(kernels, name):
    _, python, kinds = OPERATORS[name]
    combinations = [(kind, word, side) for kind in kinds for word in WEAK for side in ("left", "right")]
    for kind, word, side in some(combinations, name, 23):
        if word == "complex" and name not in ("add", "sub", "mul", "truediv", "eq", "ne"):
            continue
        x = np.array(edge_values(kind), kind)
        if name in ("floordiv", "mod") and side == "left":
            x = x[x != 0]
        value = eval(WEAK[word])  # one of four literals
        kernel = getattr(kernels, f"{name}_{word}_{side}")
        try:
            expected = python(x, value) if side == "right" else python(value, x)
        except (TypeError, OverflowError):
            with pytest.raises(smelt.KernelError, match=r"does not fit into|is for integers and bools"):
                kernel[len(x)](np.zeros(len(x)), x)
            continue
        got = np.zeros_like(expected)
        kernel[len(x)](got, x)
        assert_same(got, expected, x)


def test_arithmetic_of_bools_is_pythons(agree):
    def program(out, p, q):
        out[0] = bool(p[0]) + bool(q[0])
        out[1] = bool(p[0]) - bool(q[1]) - bool(q[0])
        out[2] = bool(p[0]) * bool(q[0])
        out[3] = bool(p[0]) // bool(q[0])
        out[4] = bool(p[0]) << 3
        out[5] = True + True
        out[6] = (p[0] & q[1]) | (p[0] ^ q[1])

    agree(program, np.zeros(7), np.array([True, False]), np.array([True, False]))


def test_integers_are_compared_by_value_whatever_their_types(map_over):
    signed = np.array([-1, 0, 2**63 - 1, -(2**63)], np.int64)
    unsigned = np.array([2**64 - 1, 0, 2**63 - 1, 2**63], np.uint64)
    x, y = (a.ravel() for a in np.meshgrid(signed, unsigned))
    for function in (
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a == b,
        lambda a, b: b != a,
        lambda a, b: b > a,
        lambda a, b: b >= a,
    ):
        map_over(function, x, y)
    map_over(lambda a: a < 300, np.array([0, 255], np.uint8))
    map_over(lambda a: a > -1, np.array([0, 255], np.uint8))


def test_a_comparison_with_a_python_int_from_outside_is_by_value():
    def program(out, x, n):
        out[0] = x[0] < n
        out[1] = x[0] == n

    out = np.zeros(2)
    smelt.kernel(program)[1](out, np.array([44], np.uint8), 300)
    assert list(out) == [1, 0]


def test_complex_powers_are_within_rounding_of_numpys(map_over):
    values = np.array([1, -1, 1j, 0.5 - 2j, -3.25 + 0.1j, 0, 7])
    x, y = (a.ravel() for a in np.meshgrid(values, np.array([0, 1, 2, 3, -1, -4, 0.5, 2.5j, 1 - 1j])))
    kept = (x != 0) | (y.real > 0)
    map_over(lambda a, b: a**b, x[kept], y[kept], relative=1e-13)


def test_a_negative_power_of_an_integer_raises_what_numpy_raises(map_over):
    with pytest.raises(ValueError, match="integers to negative integer powers"):
        map_over(lambda x, y: x**y, np.array([2]), np.array([-1]), reference=max)


@pytest.mark.parametrize("kind", INTEGERS)
def test_division_by_a_zero_integer_raises(map_over, kind):
    one, zero = np.array([1], kind), np.array([0], kind)
    for function in (lambda x, y: x // y, lambda x, y: x % y, lambda x, y: divmod(x, y)[0]):
        with pytest.raises(ZeroDivisionError, match="by zero"):
            map_over(function, one, zero, reference=max)


def test_constants_are_folded_as_python_folds_them(agree):
    def program(out):
        out[0] = 2**-2 + 2**10 + 7 // 2 - 7 % -3 + (1 << 70) / 2**70
        out[1] = 2.5**2 + 10**20 + (-8) ** 3
        out[2] = 2**64 - 1
        out[3] = ((-1) ** 0.5).imag + abs(3 + 4j)
        out[4] = ~5 ^ 3 | 8 & 12

    agree(program, np.zeros(5))


def test_floats_become_integers_towards_zero_and_stay_within_their_range():
    @smelt.kernel
    def program(out, x):
        i = smelt.grid(1)
        out[i] = int(x[i])

    x = np.array([2.9, -2.9, 1e30, -1e30, np.inf, -np.inf, np.nan])
    out = np.zeros(len(x), np.int64)
    program[len(x)](out, x)
    limits = np.iinfo(np.int64)
    assert list(out) == [2, -2, limits.max, limits.min, limits.max, limits.min, 0]


@pytest.mark.parametrize("source", REAL)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_conversion_gives_what_numpys_gives(map_over, source):
    values = np.array(edge_values(source), source)
    within = values[np.abs(values) < 100] if values.dtype.kind == "f" else values
    map_over(lambda x: np.float32(x), values, dtype=np.float32)
    map_over(lambda x: smelt.float64(x), values, reference=np.float64)
    map_over(lambda x: np.float16(x), values)
    map_over(lambda x: np.bool_(x), values)
    map_over(lambda x: np.int16(x), within, reference=lambda x: np.array(x).astype(np.int16)[()])
    map_over(lambda x: np.int64(x), within, reference=lambda x: np.array(x).astype(np.int64)[()])
    map_over(lambda x: np.complex64(x), within)


def test_a_double_is_rounded_to_half_precision_once(map_over):
    # By way of a float these would be ties, and round the other way.
    values = np.array(
        [
            1 + 2.0**-11 + 2.0**-40,
            1 + 3 * 2.0**-11 - 2.0**-40,
            65520 - 2.0**-20,
            2.0**-25 + 2.0**-60,
            -(1 + 2.0**-11 + 2.0**-50),
        ]
    )
    map_over(lambda x: np.float16(x), values)
