# SPDX-License-Identifier: Apache-2.0
"""The documentation is whole: every error message and every public name has its place, and the pictures are what draws them."""

import ast
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt
import smelt.caching

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
SOURCE = Path(smelt.__file__).parent


def program(path):
    """A module that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


error_messages = program(ROOT / "docs" / "error_messages.py")
MESSAGES = error_messages.messages(SOURCE)


# Every message is in the page


def tables_in(page):
    """The kinds of messages and the places that the page lists."""
    text = page.read_text(encoding="utf-8")
    for kinds, places in re.findall(r"^```\{error-messages\} (.+)\n(?::in: (.+)\n)?```$", text, re.MULTILINE):
        yield kinds.split(), places.split()


def test_the_page_on_troubleshooting_lists_every_message():
    shown = {
        message
        for kinds, places in tables_in(ROOT / "docs" / "troubleshooting.md")
        for message in error_messages.listed(MESSAGES, kinds, places)
    }
    assert len(shown) > 300
    missing = {f"{message.kind} of {message.module}" for message in MESSAGES if message not in shown}
    assert missing == set(), "give each a place in one of the page's tables, {error-messages} KIND..."


def test_no_error_is_raised_whose_message_is_not_found():
    kinds = {message.kind for message in MESSAGES}
    raised = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = ast.unparse(node.exc.func).rpartition(".")[2]
                # An error that is no more than a value has no message of its own.
                parts = [part for given in node.exc.args for part in (given, *getattr(given, "values", ()))]
                says = any(isinstance(part, ast.Constant) and part.value for part in parts)
                if says and name.endswith("Error") and not path.relative_to(SOURCE).is_relative_to("runtime"):
                    raised.add(name)
    assert {"LaunchError", "BindingError", "MetallibError"} < raised
    # That is a mistake of smelt's own, which no user sees.
    assert raised - kinds - {"AssertionError"} == set()


def append(out, x):
    out[0] = [x]


def add_text(out, x):
    out[0] = x + "1"


def call_hash(out, x):
    out[0] = hash(x)


def give_back(out, x):
    return out[0] + x


def read_beyond(out, x):
    out[0] = out[x]


def divide(out, x):
    out[0] = x // (x - x)


@pytest.mark.parametrize(
    ("function", "launch", "error", "kind"),
    [
        (append, lambda kernel, out: kernel[1](out, 1), smelt.KernelError, "KernelError"),
        (add_text, lambda kernel, out: kernel[1](out, 1), smelt.KernelError, "KernelError"),
        (call_hash, lambda kernel, out: kernel[1](out, 1), smelt.KernelError, "KernelError"),
        (give_back, lambda kernel, out: kernel[1](out, 1), smelt.LaunchError, "LaunchError"),
        (read_beyond, lambda kernel, out: kernel[1](out), smelt.LaunchError, "LaunchError"),
        (read_beyond, lambda kernel, out: kernel[-1](out, 1), smelt.LaunchError, "LaunchError"),
        (read_beyond, lambda kernel, out: kernel[1, 2, 3](out, 1), smelt.LaunchError, "LaunchError"),
        (read_beyond, lambda kernel, out: kernel[1](out, {1}), smelt.LaunchError, "LaunchError"),
        (read_beyond, lambda kernel, out: kernel[1](out, 8), IndexError, "threads"),
        (divide, lambda kernel, out: kernel[1](out, 8), ZeroDivisionError, "threads"),
        (read_beyond, lambda kernel, out: kernel.compile(int, int, target="abacus"), ValueError, "ValueError"),  # noqa: ARG005
    ],
)
def test_a_message_that_is_really_raised_is_listed_with_its_help(function, launch, error, kind):
    with pytest.raises(error) as raised:
        launch(smelt.kernel(function), np.zeros(4, np.int64))
    said = getattr(raised.value, "message", None) or str(raised.value)
    patterns = {
        message: ".*".join(map(re.escape, message.text.split(error_messages.ELLIPSIS)))
        for message in MESSAGES
        if message.kind == kind and message.text.strip("… :")
    }
    matching = [message for message, pattern in patterns.items() if re.fullmatch(pattern, said)]
    assert matching, said
    helps = getattr(raised.value, "help", "")
    assert helps in {message.help for message in matching}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('raise LinkError("no " + name)', []),
        ('raise LinkError("no " "memory")', [("LinkError", "no memory", "")]),
        ('raise LinkError(f"no {name} here")', [("LinkError", "no … here", "")]),
        ('raise LinkError("a" if x else "b")', [("LinkError", "a", ""), ("LinkError", "b", "")]),
        ('def f():\n    what = "none"\n    raise LinkError(what)', [("LinkError", "none", "")]),
        ('def f():\n    return "none"\nraise LinkError(f())', [("LinkError", "none", "")]),
        ('raise context.error("no sets", node, help="a tuple")', [("KernelError", "no sets", "a tuple")]),
        ('raise self.refuse(node, "no sets", "a tuple")', [("KernelError", "no sets", "a tuple")]),
        ('_REFUSED = {"Set": ("no sets", "a tuple")}', [("KernelError", "no sets", "a tuple")]),
        ('do("check", (v,), error="IndexError", message="too far")', [("threads", "too far", "")]),
        ('error_site("IndexError", "too far", position)', [("threads", "too far", "")]),
        ('WHY = {"/": "by zero"}\ndef f(o):\n    raise LinkError(WHY[o])', [("LinkError", "by zero", "")]),
        ('raise AssertionError("never")', []),
        ("raise ValueError(str(error))", []),
    ],
)
def test_a_message_is_found_however_it_is_written(tmp_path, text, expected):
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    found = error_messages.messages(tmp_path)
    assert [(message.kind, message.text, message.help) for message in found] == expected


# Every public name is in the reference


REFERENCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "api").glob("*.md")))


def is_documented(name):
    """Whether a directive shows it, or a table has it."""
    return re.search(rf"(:: {re.escape(name)}(\(\))?$|`{re.escape(name)}`)", REFERENCE, re.MULTILINE) is not None


@pytest.mark.parametrize("name", [name for name in smelt.__all__ if name != "metal"])
def test_the_reference_has_the_public_name(name):
    assert is_documented(f"smelt.{name}")


@pytest.mark.parametrize("name", smelt.caching.__all__)
def test_the_reference_has_the_public_name_of_the_caching_core(name):
    # Of errors there is a list of all.
    assert hasattr(smelt.caching.errors, name) or is_documented(f"smelt.caching.{name}")


@pytest.mark.parametrize("name", [name for name in smelt.__all__ if callable(getattr(smelt, name))])
def test_what_is_public_has_a_docstring_of_its_own(name):
    found = getattr(smelt, name)
    assert inspect.getdoc(found)
    assert inspect.isclass(found) or found.__doc__


# Docstrings


def test_what_stands_behind_the_sections_of_a_docstring_is_shown_before_them():
    lines = "One.\n\nParameters\n----------\na\n    What a is.\n\n    And more.\nb, c\n    Both.\n\nRaises `X` for a,\n`Y` for b.\n"
    moved = program(ROOT / "docs" / "docstrings.py").prose_first(lines.split("\n"))
    assert "\n".join(moved) == (
        "One.\n\nRaises `X` for a,\n`Y` for b.\n\nParameters\n----------\na\n    What a is.\n\n    And more.\nb, c\n    Both.\n\n"
    )


def test_a_docstring_without_prose_behind_its_sections_stays_as_it_is():
    prose_first = program(ROOT / "docs" / "docstrings.py").prose_first
    for documented in (smelt.caching.CacheView, smelt.metal.MetalFunction.__call__, smelt.grid):
        lines = inspect.getdoc(documented).split("\n")
        assert [line for line in prose_first(lines) if line] == [line for line in lines if line]


# Pictures


def test_the_pictures_are_what_the_program_draws():
    drawn = program(ROOT / "tools" / "draw_pictures.py").DRAWN
    pictures = ROOT / "docs" / "pictures"
    assert {path.stem for path in pictures.glob("*.svg")} == set(drawn)
    for name, draw in drawn.items():
        assert (pictures / f"{name}.svg").read_text(encoding="utf-8") == draw().svg()
