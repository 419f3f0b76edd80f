# SPDX-License-Identifier: Apache-2.0
"""Digests of code objects: equal where the code does the same, wherever it stands, and different otherwise."""

from __future__ import annotations

import pytest

from smelt.sessions.code_digests import code_digest

BODY = "def f(a, b=1):\n    return a * 2.5 + g(b)\n"


def digest_of(text, filename="file.py"):
    namespace = {}
    exec(compile(text, filename, "exec"), namespace)
    return code_digest(namespace["f"].__code__)


@pytest.mark.parametrize(
    "text",
    [
        "\n\n\n" + BODY,
        "# Why.\n" + BODY,
        BODY.replace("    return", "    # Why.\n    return"),
        # A default is no part of the code.
        BODY.replace("b=1", "b=7"),
        BODY.replace("a * 2.5", "(a  *  2.5)"),
        "class Other:\n    def f(a, b=1):\n        return a * 2.5 + g(b)\nf = Other.f\n",
    ],
)
def test_where_it_stands_and_how_it_is_written_makes_no_difference(text):
    assert digest_of(text, "elsewhere.py") == digest_of(BODY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.5", "2.75"),
        ("2.5", "-2.5"),
        ("2.5", "2"),
        ("g(b)", "h(b)"),
        ("a * 2.5", "a + 2.5"),
        ("(a, b=1)", "(b, a=1)"),
        ("(a, b=1)", "(a, /, b=1)"),
        ("(a, b=1)", "(a, *, b=1)"),
        ("(a, b=1)", "(a, *b)"),
        ("def f", "def k"),
        ("g(b)", "(lambda: 1)(b)"),
    ],
)
def test_what_it_does_makes_one(old, new):
    text = BODY.replace(old, new) + ("f = k\n" if new == "def k" else "")
    assert digest_of(text) != digest_of(BODY)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "1.0"),
        ("1", "True"),
        ("0.0", "-0.0"),
        ("(1, 2)", "(1, 2.0)"),
        ("lambda: 1", "lambda: 2"),
        ("{'a', 'b'} & {a}", "{'a', 'c'} & {a}"),
        ("'ab'", "b'ab'"),
    ],
)
def test_constants_are_told_apart_that_python_takes_for_equal_and_those_in_inner_code(first, second):
    body = "def f(a):\n    return {}\n"
    assert digest_of(body.format(first)) != digest_of(body.format(second))
    assert digest_of(body.format(first)) == digest_of(body.format(first))


def test_what_is_caught_where_belongs_to_it():
    namespace = {}
    exec("def f(a):\n    try:\n        a()\n    except ValueError:\n        pass\n", namespace)
    code = namespace["f"].__code__
    assert code.co_exceptiontable
    assert code_digest(code.replace(co_exceptiontable=b"")) != code_digest(code)
    assert code_digest(code.replace(co_firstlineno=100, co_filename="elsewhere.py")) == code_digest(code)


def test_captured_variables_belong_to_it():
    made = "def outer(x, y):\n    def f():\n        return {}\n    return f\nf = outer(1, 2)\n"
    assert digest_of(made.format("x")) != digest_of(made.format("y"))


def test_that_it_ran_shows_nowhere():
    namespace = {}
    exec(compile("def f(a):\n    return a + 1\n", "file.py", "exec"), namespace)
    before = code_digest(namespace["f"].__code__)
    for number in range(100):
        namespace["f"](number)
    assert code_digest(namespace["f"].__code__) == before
