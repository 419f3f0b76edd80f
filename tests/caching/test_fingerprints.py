# SPDX-License-Identifier: Apache-2.0
"""Run as a program, this file writes the golden digests of the corpus anew (after a change of `_FORMAT`, say)."""

from __future__ import annotations

import enum
import json
import linecache
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import types
import typing
from collections import namedtuple
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from smelt.caching import encoding
from smelt.caching.constants import constant_key
from smelt.caching.errors import FingerprintError, SourceError
from smelt.caching.fingerprints import (
    Fingerprint,
    FingerprintBuilder,
    fingerprint_constant,
    fingerprint_function,
    fingerprint_source,
    fingerprint_type,
    register_fingerprint,
)
from smelt.caching.sources import function_source

HERE = Path(__file__).parent
GOLDEN = HERE / "golden_fingerprints.json"


def functions_of(text):
    """The functions that a text defines, by name."""
    filename = f"<{text}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    namespace = {"__name__": "written"}
    exec(compile(text, filename, "exec", dont_inherit=True), namespace)
    return {name: value for name, value in namespace.items() if isinstance(value, types.FunctionType)}


def fingerprint_of(text, **options):
    """The fingerprint of the last function that a text defines, be it in a class; else of one that has the text as its body."""
    if text.startswith("in f: ") or not text.startswith(("def ", "async ", "class ", "@", "f =", "from ")):
        text = f"def f(x):\n    {text.removeprefix('in f: ')}"
    filename = f"<{text}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    namespace = {"__name__": "written", "same": lambda f: f, "T": int, "S": str}
    exec(compile(text, filename, "exec", dont_inherit=True), namespace)
    last = list(namespace.values())[-1]
    while isinstance(last, type):
        last = [value for value in vars(last).values() if isinstance(value, (types.FunctionType, type))][-1]
    return fingerprint_function(last, **options)


# Functions


EQUAL = {
    "comments": ("def f(x):\n    return x + 1", "def f(x):  # a\n\n    # b\n    return x + 1  # c"),
    "spaces": ("def f(x):\n    return x + 1", "def f( x ) :\n\treturn  x+1"),
    "one line": ("def f(x):\n    return x + 1", "def f(x): return x + 1"),
    "semicolons": ("a = 1; return a", "a = 1\n    return a"),
    "line breaks": ("return (x +\n 1)", "return x + 1"),
    "parentheses": ("return (((x)) + (1))", "return x + 1"),
    "quotes": ("return 'a' + \"it's\"", "return \"a\" + 'it\\'s'"),
    "escapes": ("return '\\x41\\n'", 'return """A\n"""'),
    "raw strings": ("return r'\\d'", "return '\\\\d'"),
    "string prefix": ("return u'a'", "return 'a'"),
    "digits": ("return 1_000 + 0x10 + 1e3", "return 1000 + 16 + 1000.0"),
    "concatenation": ("return 'a' 'b'", "return 'ab'"),
    "its name": ("def f(x): return x", "def g(x): return x"),
    "docstring": ('def f(x):\n    """Text."""\n    return x', "def f(x):\n    return x"),
    "docstring alone": ('def f(x):\n    """Text."""', "def f(x):\n    pass"),
    "concatenated docstring": ('def f(x):\n    "a" "b"\n    return x', "def f(x):\n    return x"),
    "docstring of a nested function": (
        'in f: def g():\n        "text"\n        return 1',
        "in f: def g():\n        return 1",
    ),
    "docstring of a nested class": ('in f: class A:\n        "text"\n        b = 1', "in f: class A:\n        b = 1"),
    "decorators": ("@same\n@same\ndef f(x): return x", "def f(x): return x"),
    "values of defaults": ("def f(x=1, *, y=2): return x", "def f(x=[3], *, y=T): return x"),
    "annotations": ("def f(x: int, *y: T, z: S, **w: T) -> float: return x", "def f(x, *y, z, **w): return x"),
    "annotations of locals": ("y: int = x", "y = x"),
    "annotations of attributes": ("x.a: int = 1; x[0]: int = 2", "x.a = 1; x[0] = 2"),
    "which annotation": ("y: int; return x", "y: 'T'; return x"),
    "annotations of nested functions": ("in f: def g(a: int) -> int: return a", "in f: def g(a): return a"),
    "annotations in functions in classes": (
        "in f: class A:\n        def g(a: int): b: int = a",
        "in f: class A:\n        def g(a): b = a",
    ),
    "future statements": ("from __future__ import annotations\ndef f(x: int): y: T = x", "def f(x: int): y: T = x"),
    "elif": ("if x: a = 1\n    elif y: a = 2", "if x: a = 1\n    else:\n        if y: a = 2"),
    "f-string quotes": ("return f'a{x}b'", 'return f"""a{x}b"""'),
    "f-string pieces": ("return f'a{x}' 'b' f'c'", "return f'a{x}bc'"),
    "f-string empty pieces": ("return '' f'{x}' f''", "return f'{x}'"),
    "f-string specifier without text": ("return f'{x:}'", "return f'{x}'"),
    "f-string debug": ("return f'{x=}'", "return f'x={x!r}'"),
    "f-string debug with specifier": ("return f'{x = :>{y}}'", "return f'x = {x:>{y}}'"),
    "f-string debug over lines": ("return f'''{\nx = }'''", "return f'\\nx = {x!r}'"),
    "f-string nested": ("return f\"{f'{x}' 'a'}\"", "return f\"{f'{x}a'}\""),
    "private names outside of classes": ("class A:\n    pass\ndef f(x): return __y", "def f(x): return __y"),
    "public names in classes": ("class A:\n    def f(x): return x._y", "class B:\n    def f(x): return x._y"),
    "dunder names in classes": ("class A:\n    def f(x): return x.__y__", "class B:\n    def f(x): return x.__y__"),
    "keywords in classes": ("class A:\n    def f(x): return x(__y=1)", "class B:\n    def f(x): return x(__y=1)"),
    "underscores of the class": ("class A:\n    def f(x): return x.__y", "class __A:\n    def f(x): return x.__y"),
    "mangled by hand": ("class A:\n    def f(self, __x): self.__y(__x)", "def f(self, _A__x): self._A__y(_A__x)"),
    "context of names": ("f = lambda x: (x)", "f = lambda x: x"),
    "lambda defaults": ("f = lambda x=1: x", "f = lambda x=2: x"),
}

DIFFERENT = {
    "operators": ("return x + 1", "return x - 1"),
    "operands": ("return x - 1", "return 1 - x"),
    "grouping": ("return x + (1 + 2)", "return x + 1 + 2"),
    "names": ("return x", "return y"),
    "attributes": ("return x.a", "return x.b"),
    "statements": ("a = 1; b = 2", "b = 2; a = 1"),
    "nothing returned": ("return None", "return False"),
    "1 and 1.0": ("return 1", "return 1.0"),
    "1 and True": ("return 1", "return True"),
    "0 and False": ("return 0", "return False"),
    "1.0 and True": ("return 1.0", "return True"),
    "1 and 1j": ("return 1", "return 1j"),
    "1.0 and 1j": ("return 1.0", "return 1j"),
    "0.0 and -0.0": ("return 0.0", "return -0.0"),
    "None and ...": ("return None", "return ..."),
    "string and bytes": ("return 'a'", "return b'a'"),
    "string and name": ("return x", "return 'x'"),
    "numbers and their text": ("return 1", "return '1'"),
    "tuples and lists": ("return x, 1", "return [x, 1]"),
    "nesting": ("return (x, (1, 2))", "return ((x, 1), 2)"),
    "unpacking": ("return {**x}", "return {x: x}"),
    "key None": ("return {None: x}", "return {**x}"),
    "pattern None": ("match x:\n        case None: pass", "match x:\n        case False: pass"),
    "slices": ("return x[1:]", "return x[:1]"),
    "chained comparisons": ("return 1 < x < 2", "return (1 < x) < 2"),
    "deleted": ("del x", "x"),
    "stored": ("x = 1", "x == 1"),
    "augmented": ("x += 1", "x = x + 1"),
    "global": ("global y; y = 1", "y = 1"),
    "local by a bare annotation": ("y: int; return y", "return y"),
    "local by a bare annotation in parentheses": ("y: int; return y", "(y): int; return y"),
    "string that is no docstring": (
        "def f(x):\n    pass\n    'text'\n    return x",
        "def f(x):\n    pass\n    return x",
    ),
    "bytes are no docstring": ("def f(x):\n    b'text'\n    return x", "def f(x):\n    return x"),
    "f-strings are no docstring": ("def f(x):\n    f'text'\n    return x", "def f(x):\n    return x"),
    "names of parameters": ("def f(x): pass", "def f(y): pass"),
    "order of parameters": ("def f(x, y): pass", "def f(y, x): pass"),
    "positional parameters": ("def f(x, /): pass", "def f(x): pass"),
    "keyword parameters": ("def f(*, x): pass", "def f(x): pass"),
    "starred parameters": ("def f(*x): pass", "def f(**x): pass"),
    "starred and keyword parameters": ("def f(*x, y): pass", "def f(y, *x): pass"),
    "defaults": ("def f(x): pass", "def f(x=1): pass"),
    "defaults of keyword parameters": ("def f(*, x=1, y): pass", "def f(*, x, y=1): pass"),
    "defaults of nested functions": ("in f: def g(a=1): pass", "in f: def g(a=2): pass"),
    "decorators of nested functions": ("in f: @same\n    def g(): pass", "in f: def g(): pass"),
    "names of nested functions": ("in f: def g(): pass", "in f: def h(): pass"),
    "def and async def": ("def f(x): return x", "async def f(x): return x"),
    "def and lambda": ("def f(x): return x", "f = lambda x: x"),
    "return and yield": ("return x", "yield x"),
    "await": ("async def f(x): await x", "async def f(x): x"),
    "asynchronous comprehensions": ("async def f(x): [a async for a in x]", "async def f(x): [a for a in x]"),
    "comprehensions": ("return [a for a in x]", "return {a for a in x}"),
    "else": ("for a in x: pass\n    else: b", "for a in x: pass\n    b"),
    "finally": ("try: a\n    finally: b", "try: a\n    except: b"),
    "groups of exceptions": ("try: a\n    except E: b", "try: a\n    except* E: b"),
    "relative imports": ("in f: from . import a", "in f: from .. import a"),
    "f-string text": ("return f'{x}a'", "return f'{x}b'"),
    "f-string and text": ("return f'{x}'", "return '{x}'"),
    "f-string conversions": ("return f'{x!r}'", "return f'{x!s}'"),
    "f-string specifiers": ("return f'{x:a}'", "return f'{x:b}'"),
    "f-string specifier or text": ("return f'{x:a}'", "return f'{x}a'"),
    "f-string debug spaces": ("return f'{x=}'", "return f'{x =}'"),
    "f-string pieces elsewhere": ("return f'{x}{y}a'", "return f'{x}a{y}'"),
    "f-string constant value": ("return f'{1}'", "return f'1'"),
    "private names by class": ("class A:\n    def f(x): return x.__y", "class B:\n    def f(x): return x.__y"),
    "private names in and out of classes": ("class A:\n    def f(x): return __y", "def f(x): return __y"),
    "private parameters": ("class A:\n    def f(__x): pass", "class B:\n    def f(__x): pass"),
    "private names in nested functions": (
        "class A:\n    def f(x):\n        def g(): return __y",
        "class B:\n    def f(x):\n        def g(): return __y",
    ),
    "private names in nested classes": (
        "def f(x):\n    class A: y = __y",
        "def f(x):\n    class B: y = __y\n    A = B",
    ),
    "private globals": ("class A:\n    def f(): global __y", "class B:\n    def f(): global __y"),
    "private captures": (
        "class A:\n    def f(x):\n        match x:\n            case {**__y}: pass",
        "class B:\n    def f(x):\n        match x:\n            case {**__y}: pass",
    ),
    "annotations in classes": ("in f: class A: a: int = 1", "in f: class A: a: float = 1"),
}

DIFFERENT_WITH_ANNOTATIONS = {
    "of parameters": ("def f(x: int): pass", "def f(x: float): pass"),
    "of one parameter or another": ("def f(x: T, y): pass", "def f(x, y: T): pass"),
    "of starred parameters": ("def f(*x: T): pass", "def f(*x): pass"),
    "of the result": ("def f(x) -> int: pass", "def f(x) -> float: pass"),
    "of the result or a parameter": ("def f(x) -> T: pass", "def f(x: T): pass"),
    "of locals": ("y: int = x", "y: float = x"),
    "of locals or none": ("y: int = x", "y = x"),
    "of bare locals": ("y: int", "y: float"),
    "of nested functions": ("in f: def g(x: int): pass", "in f: def g(x): pass"),
    "of results of nested functions": ("in f: def g(x) -> int: pass", "in f: def g(x): pass"),
    "in functions in classes": (
        "in f: class A:\n        def g(a: int): pass",
        "in f: class A:\n        def g(a): pass",
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_what_plays_no_part_leaves_the_fingerprint_as_it_is(name):
    first, second = map(fingerprint_of, EQUAL[name])
    assert first == second
    assert hash(first) == hash(second)
    assert first.parts == second.parts
    assert first.difference(second) == ()


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_plays_a_part_changes_the_fingerprint(name):
    first, second = map(fingerprint_of, DIFFERENT[name])
    assert first != second
    assert first.difference(second)
    assert fingerprint_of(DIFFERENT[name][0], annotations=True) != fingerprint_of(DIFFERENT[name][1], annotations=True)


@pytest.mark.parametrize("name", DIFFERENT_WITH_ANNOTATIONS)
def test_annotations_play_a_part_only_when_asked(name):
    first, second = DIFFERENT_WITH_ANNOTATIONS[name]
    assert fingerprint_of(first) == fingerprint_of(second)
    assert fingerprint_of(first, annotations=True) != fingerprint_of(second, annotations=True)


def test_annotations_do_not_hide_a_difference_that_future_statements_make():
    text = "def f(x: int) -> T:\n    y: S = x\n    return y"
    future = "from __future__ import annotations\n" + text
    assert fingerprint_of(text, annotations=True) == fingerprint_of(future, annotations=True)


def test_no_two_functions_of_the_corpus_are_equal_by_accident():
    found = functions_of(CORPUS_FUNCTIONS)
    assert len({fingerprint_function(function) for function in found.values()}) == len(found)


def test_two_fingerprints_tell_in_which_parts_they_differ():
    f = fingerprint_of("def f(x: int): return x", annotations=True)
    assert [label for label, _ in f.parts] == ["schema", "kind", "parameters", "body", "annotations"]
    assert f.difference(fingerprint_of("def f(y: int): return y", annotations=True)) == (
        "parameters",
        "body",
        "annotations",
    )
    assert f.difference(fingerprint_of("def f(x: float): return x", annotations=True)) == ("annotations",)
    assert f.difference(fingerprint_of("def f(x): return x")) == ("annotations",)
    assert f.difference(fingerprint_of("f = lambda x: x")) == ("kind", "body", "annotations")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are new in Python 3.12")
def test_type_parameters_are_annotations():
    generic, plain = "def f[T](x: T): return x", "def f(x: T): return x"
    assert fingerprint_of(generic) == fingerprint_of(plain)
    assert fingerprint_of(generic, annotations=True) != fingerprint_of(plain, annotations=True)
    assert fingerprint_of("in f: def g[T](): return T") != fingerprint_of("in f: def g(): return T")


def test_a_function_as_deep_as_a_long_sum_has_a_fingerprint():
    # As deep as the compiler itself allows.
    sums = [f"return {' + '.join(['x'] * 900 + [last])}" for last in ("1", "2")]
    first, second = map(fingerprint_of, sums)
    assert first != second


def test_a_function_without_source_is_refused():
    namespace = {"__name__": "somewhere"}
    exec("def f(): return 1", namespace)
    with pytest.raises(SourceError, match=r"somewhere\.f"):
        fingerprint_function(namespace["f"])
    with pytest.raises(FingerprintError, match=r"^global STEPS\[1\]: a function without source.*somewhere\.f"):
        fingerprint_constant((1, namespace["f"]), name="global STEPS")


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["step", "loops", "nested", "classes", "contexts", "waiting", "groups"]))
def test_random_comments_and_blank_lines_keep_the_fingerprint(seed, name):
    rng = random.Random(seed)
    original = functions_of(CORPUS_FUNCTIONS)[name]
    source = function_source(original)
    lines = source.lines[source.first_line - 1 : source.node.end_lineno]
    width = rng.choice([1, 2, 4, 8])
    changed = []
    for line in lines:
        while rng.random() < 0.3:
            changed.append(" " * rng.randrange(8) + rng.choice(["", "# a comment", "\t", "\x0c"]))
        text = line.lstrip(" ")
        indented = " " * ((len(line) - len(text)) // 4 * width) + text
        changed.append(indented + rng.choice(["", "  ", "  # 'a' comment", ";" if text.startswith("return") else ""]))
    again = functions_of("\n".join(changed) + "\n")[name]
    assert fingerprint_function(again) == fingerprint_function(original)


# Builders


def built(schema, version, *parts):
    builder = FingerprintBuilder(schema, version)
    for label, value in parts:
        builder.add(label, value)
    return builder.finish()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a", 1), ("b", 1)),
        (("a", 1), ("a", 2)),
        (("a1", 1), ("a", 11)),
        (("a", 1, ("gpu", "12")), ("a", 1, ("gpu1", "2"))),
        (("a", 1, ("x", "ab"), ("y", "c")), ("a", 1, ("x", "a"), ("y", "bc"))),
        (("a", 1, ("x", 1), ("y", 2)), ("a", 1, ("y", 2), ("x", 1))),
        (("a", 1, ("x", 1)), ("a", 1)),
        (("a", 1, ("x", ())), ("a", 1, ("x", None))),
        (("a", 1, ("x", (1, 2))), ("a", 1, ("x", ((1,), 2)))),
        (("a", 1, ("x", "1")), ("a", 1, ("x", 1))),
        (("a", 1, ("x", b"a")), ("a", 1, ("x", "a"))),
    ],
)
def test_what_is_added_is_framed_and_tagged(first, second):
    assert built(*first) != built(*second)
    assert built(*first).difference(built(*second))
    assert built(*first) == built(*first)


def test_a_fingerprint_is_a_digest_of_32_bytes_that_equality_goes_by():
    made = built("a", 1, ("x", 1))
    assert len(made.digest) == 32
    assert bytes.fromhex(made.hex) == made.digest
    assert made == Fingerprint(made.digest, ())
    assert {made: 1}[Fingerprint(made.digest, ())] == 1
    assert made != made.digest


def test_bytes_are_added_as_they_are():
    builder = FingerprintBuilder("a", 1)
    builder.add_bytes("x", b"one")
    assert builder.finish() != built("a", 1, ("x", b"one"))
    assert builder.finish().difference(built("a", 1, ("x", b"one"))) == ("x",)


def test_differences_are_told_in_order_and_where_one_side_lacks_a_part():
    first = built("a", 1, ("x", 1), ("y", 2), ("z", 3))
    second = built("a", 1, ("z", 3), ("y", 3), ("w", 1))
    assert first.difference(second) == ("x", "y", "w")
    assert second.difference(first) == ("y", "w", "x")
    assert first.difference(built("a", 2, ("x", 1), ("y", 2), ("z", 3))) == ("schema",)
    assert built("a", 1, ("x", 1), ("y", 2)).difference(built("a", 1, ("y", 2), ("x", 1))) == ("schema", "x", "y")


def test_a_label_is_used_once():
    builder = FingerprintBuilder("a", 1)
    builder.add("x", 1)
    with pytest.raises(ValueError, match="'x'"):
        builder.add("x", 1)
    with pytest.raises(ValueError, match="'schema'"):
        builder.add("schema", 1)


def test_a_fingerprint_is_a_constant_itself():
    one, two = built("a", 1), built("a", 2)
    assert fingerprint_constant((one,)) == fingerprint_constant((Fingerprint(one.digest, ()),))
    assert fingerprint_constant((one,)) != fingerprint_constant((two,))
    assert fingerprint_constant(one) != fingerprint_constant(one.digest)


# Constants


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Shade(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mask(enum.Flag):
    A = 1
    B = 2


@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


@dataclass(frozen=True)
class Place:
    x: float
    y: float = 0.0


class Pair(typing.NamedTuple):
    a: int
    b: object


Untyped = namedtuple("Untyped", ["a", "b"])  # noqa: PYI024

NAN = math.nan
OTHER_NAN = struct.unpack("<d", b"\1\0\0\0\0\0\xf8\x7f")[0]


def an_imported_function(x):
    return x + 1


def another_imported_function(x):
    return x + 2


CONSTANTS = [
    None,
    ...,
    True,
    False,
    0,
    1,
    -1,
    127,
    128,
    255,
    -128,
    -129,
    2**64,
    0.0,
    -0.0,
    1.0,
    NAN,
    OTHER_NAN,
    math.inf,
    0j,
    -0j,
    1j,
    complex(-0.0, 0),
    complex(0, NAN),
    "",
    "1",
    "a",
    "\ud800",
    b"",
    b"a",
    (),
    ((),),
    (1,),
    (1.0,),
    (True,),
    (1, 2),
    ((1,), 2),
    (1, (2,)),
    frozenset(),
    frozenset({1}),
    frozenset({1.0}),
    frozenset({1, 2}),
    frozenset({(1, 2)}),
    frozenset({"1", "2"}),
    range(3),
    range(1, 3),
    range(0, 3, 2),
    range(0, 4, 2),
    Colour.RED,
    Colour.GREEN,
    Shade.RED,
    Level.LOW,
    Level.HIGH,
    Mask.A,
    Mask.A | Mask.B,
    Mask(0),
    Point(1.0),
    Point(1),
    Point(1.0, -0.0),
    Place(1.0),
    Pair(1, 2),
    Pair(1, 2.0),
    Untyped(1, 2),
    int,
    float,
    type,
    object,
    type(None),
    Colour,
    Level,
    Point,
    Pair,
    Untyped,
    math,
    os,
    math.sin,
    math.cos,
    len,
    an_imported_function,
    another_imported_function,
    list[int],
    list[float],
    int | None,
    typing.Literal[1],
    typing.Literal[True],
    typing.Annotated[int, 1],
    typing.Callable[[int], float],
    typing.Callable[[float], int],
    typing.TypeVar("T"),
    typing.TypeVar("S"),
    typing.NewType("Metre", float),
    typing.NewType("Second", float),
    typing.NewType("Second", int),
]


@pytest.mark.parametrize("index", range(len(CONSTANTS)))
def test_constants_of_different_meaning_have_different_fingerprints(index):
    mine = fingerprint_constant(CONSTANTS[index])
    same = [other for other, value in enumerate(CONSTANTS) if fingerprint_constant(value) == mine]
    assert same == [index]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (NAN, struct.unpack("<d", struct.pack("<d", NAN))[0]),
        (10**30, int("1" + 30 * "0")),
        ((1, "ab"), (1, str(b"ab", "ascii"))),
        (frozenset(["a", "b", "c"]), frozenset(["c", "b", "a"])),
        (frozenset([(1, "a"), "b", None]), frozenset([None, "b", (1, "a")])),
        (Point(1.0), Point(1.0, 0.0)),
        (Pair(1, 2), Pair(b=2, a=1)),
        (range(1, 5, 2), range(1, 5, 2)),
        (int | str, str | int),
        (int | None, typing.Optional[int]),  # noqa: UP045
        (int | str | int, typing.Union[str, int]),  # noqa: UP007
        (typing.List[int], list[int]),  # noqa: UP006
        ((an_imported_function,), (types.FunctionType(an_imported_function.__code__, {}),)),
        (typing.TypeVar("T"), typing.TypeVar("T")),
    ],
)
def test_constants_of_equal_meaning_have_equal_fingerprints(first, second):
    assert fingerprint_constant(first) == fingerprint_constant(second)


atoms = st.one_of(
    st.none(),
    st.just(...),
    st.booleans(),
    st.integers(),
    st.integers(-2, 2),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 2.0]),
    st.complex_numbers(allow_nan=False),
    st.sampled_from([0j, -0j, 1 + 0j, complex(-0.0, -0.0)]),
    st.text(st.characters(), max_size=3),
    st.binary(max_size=3),
    st.sampled_from([*Colour, *Shade, *Level, Mask.A, Mask.B]),
)
constants = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Place, inner),
        st.builds(Pair, inner, inner),
        st.builds(Untyped, inner, inner),
    ),
    max_leaves=6,
)


def variants(value):
    """Values that Python holds for equal to this one, or nearly so."""
    if isinstance(value, (bool, int)):
        return [value, int(value), bool(value), *([float(value)] if abs(value) < 2**50 else []), str(value)]
    if type(value) is tuple:
        return [
            value,
            *[(*value[:i], v, *value[i + 1 :]) for i, item in enumerate(value) for v in variants(item)],
            (value,),
        ]
    if isinstance(value, frozenset):
        return [
            value,
            frozenset(reversed(list(value))),
            *[value - {item} | {v} for item in value for v in variants(item)],
        ]
    return [value]


@settings(deadline=None)
@given(
    st.one_of(
        st.tuples(constants, constants),
        constants.flatmap(lambda v: st.tuples(st.just(v), st.sampled_from(variants(v)))),
    )
)
def test_fingerprints_are_equal_exactly_where_constants_are_the_same(pair):
    first, second = pair
    same = constant_key(first) == constant_key(second)
    assert (fingerprint_constant(first) == fingerprint_constant(second)) is same


@settings(deadline=None)
@given(st.floats(), st.floats())
def test_floats_go_by_their_bits(first, second):
    same = struct.pack("<d", first) == struct.pack("<d", second)
    assert (fingerprint_constant(first) == fingerprint_constant(second)) is same
    assert (fingerprint_constant((1, complex(0, first))) == fingerprint_constant((1, complex(0, second)))) is same


def test_an_unused_member_changes_the_enum_and_not_its_members():
    larger = enum.Enum("Colour", {"RED": 1, "GREEN": 2, "BLUE": 3})
    assert fingerprint_constant(larger.RED) == fingerprint_constant(Colour.RED)
    assert fingerprint_type(larger) != fingerprint_type(Colour)
    changed = enum.Enum("Colour", {"RED": 3, "GREEN": 2})
    assert fingerprint_constant(changed.RED) != fingerprint_constant(Colour.RED)
    assert fingerprint_constant(changed.GREEN) == fingerprint_constant(Colour.GREEN)


def test_an_enum_that_becomes_a_number_is_another_one():
    assert fingerprint_constant(enum.Enum("Level", {"LOW": 1, "HIGH": 2}).LOW) != fingerprint_constant(Level.LOW)
    assert fingerprint_type(enum.Enum("Level", {"LOW": 1, "HIGH": 2})) != fingerprint_type(Level)


def test_members_may_hold_what_has_a_fingerprint():
    holder = enum.Enum("Holder", {"A": (1, Point(1.0)), "B": frozenset({1})})
    assert fingerprint_constant(holder.A) != fingerprint_constant(holder.B)
    unstable = enum.Enum("Holder", {"A": 1, "B": [2]})
    assert fingerprint_constant(unstable.A)
    with pytest.raises(FingerprintError, match=r"^the value\.value: an object of class list"):
        fingerprint_constant(unstable.B)
    with pytest.raises(FingerprintError, match=r"^class Holder\.B\.value: an object of class list"):
        fingerprint_type(unstable)


# Classes


def classes_of(text, module="written_classes"):
    namespace = types.ModuleType(module)
    sys.modules[module] = namespace
    header = "import enum, typing\nfrom dataclasses import dataclass, field\nfrom typing import *\nT = TypeVar('T')\n"
    try:
        future = FUTURE if text.startswith(FUTURE) else ""
        exec(future + header + text.removeprefix(future), vars(namespace))
        return fingerprint_type(list(vars(namespace).values())[-1])
    finally:
        del sys.modules[module]


FUTURE = "from __future__ import annotations\n"
FROZEN = "@dataclass(frozen=True)\n"

EQUAL_CLASSES = {
    "defaults": (FROZEN + "class A: x: int = 1", FROZEN + "class A: x: int = field(default=2)"),
    "string annotations": (FROZEN + "class A: x: 'int'", FROZEN + "class A: x: int"),
    "future annotations": (FUTURE + FROZEN + "class A: x: int", FROZEN + "class A: x: int"),
    "nested string annotations": (FROZEN + "class A: x: tuple['int']", FROZEN + "class A: x: tuple[int]"),
    "ways to write a union": (FROZEN + "class A: x: Optional[int]", FROZEN + "class A: x: int | None"),
    "order of a union": (FROZEN + "class A: x: int | str", FROZEN + "class A: x: str | int"),
    "class variables": (FROZEN + "class A:\n x: int\n y: ClassVar[int] = 1", FROZEN + "class A: x: int"),
    "methods": (FROZEN + "class A:\n x: int\n def f(self): pass", FROZEN + "class A: x: int"),
    "inherited fields": (
        FROZEN + "class B: x: int\n" + FROZEN + "class A(B): y: int",
        FROZEN + "class A:\n x: int\n y: int",
    ),
    "final": (FROZEN + "class A: x: Final[int]", FROZEN + "class A: x: int"),
    "named tuples": ("class A(NamedTuple): x: int = 1", "class A(NamedTuple): x: 'int'"),
    "recursion": (FROZEN + "class A: x: 'A | None'", FROZEN + "class A: x: 'Optional[A]'"),
}

DIFFERENT_CLASSES = {
    "names": (FROZEN + "class A: x: int", FROZEN + "class B: x: int"),
    "names of fields": (FROZEN + "class A: x: int", FROZEN + "class A: y: int"),
    "order of fields": (FROZEN + "class A:\n x: int\n y: int", FROZEN + "class A:\n y: int\n x: int"),
    "types of fields": (FROZEN + "class A: x: int", FROZEN + "class A: x: float"),
    "frozen": ("@dataclass\nclass A: x: int", FROZEN + "class A: x: int"),
    "a field more": (FROZEN + "class A: x: int", FROZEN + "class A:\n x: int\n y: int"),
    "types of fields of fields": (
        FROZEN + "class B: y: int\n" + FROZEN + "class A: x: B",
        FROZEN + "class B: y: float\n" + FROZEN + "class A: x: B",
    ),
    "types within types": (FROZEN + "class A: x: tuple[int]", FROZEN + "class A: x: tuple[float]"),
    "type parameters or none": (FROZEN + "class A: x: tuple[int]", FROZEN + "class A: x: tuple"),
    "callables": (FROZEN + "class A: x: Callable[[int], int]", FROZEN + "class A: x: Callable[[], int]"),
    "literals": (FROZEN + "class A: x: Literal[1]", FROZEN + "class A: x: Literal['1']"),
    "members": ("class A(enum.Enum): X = 1", "class A(enum.Enum): X = 2"),
    "names of members": ("class A(enum.Enum): X = 1", "class A(enum.Enum): Y = 1"),
    "aliases of members": ("class A(enum.Enum): X = 1; Y = 1", "class A(enum.Enum): X = 1"),
    "named tuples and dataclasses": ("class A(NamedTuple): x: int", FROZEN + "class A: x: int"),
    "types of named tuples": ("class A(NamedTuple): x: int", "class A(NamedTuple): x: float"),
    "plain classes": ("class A: pass", "class B: pass"),
    "which class it refers to": (
        FROZEN + "class A: x: 'B'\n" + FROZEN + "class B: x: 'A'",
        FROZEN + "class A: x: 'B'\n" + FROZEN + "class B: x: 'B'",
    ),
}


@pytest.mark.parametrize("name", EQUAL_CLASSES)
def test_what_plays_no_part_in_a_layout_leaves_the_class_the_same(name):
    first, second = EQUAL_CLASSES[name]
    assert classes_of(first) == classes_of(second)


@pytest.mark.parametrize("name", DIFFERENT_CLASSES)
def test_what_plays_a_part_in_a_layout_changes_the_class(name):
    first, second = DIFFERENT_CLASSES[name]
    assert classes_of(first) != classes_of(second)


def test_the_module_plays_a_part_for_plain_classes_alone():
    for text in (FROZEN + "class A: x: int", "class A(NamedTuple): x: int", "class A(enum.Enum): X = 1"):
        assert classes_of(text, "one_module") == classes_of(text, "other_module")
    assert classes_of("class A: pass", "one_module") != classes_of("class A: pass", "other_module")


def test_mutually_recursive_dataclasses_have_fingerprints():
    text = FROZEN + "class A:\n x: 'B'\n y: 'tuple[A, ...]'\n" + FROZEN + "class B:\n x: 'A | B | None'\n y: int"
    assert classes_of(text) == classes_of(text)
    assert classes_of(text) != classes_of(text.replace("y: int", "y: float"))


COUNT = 60


def ladder(last, rungs=COUNT):
    """Classes of which each refers twice to the next, and the last to a type."""
    following = [*(f"C{n + 1}" for n in range(rungs - 1)), last]
    texts = [f"{FROZEN}class C{n}:\n x: '{name}'\n y: '{name}'\n" for n, name in enumerate(following)]
    return "".join(reversed(texts))


def everyone(order):
    """Classes of which each refers to all of them, in that order."""
    fields = " | ".join(f"C{n}" for n in order)
    return "".join(f"{FROZEN}class C{n}:\n x: '{fields}'\n y: 'tuple[{fields}, C{n}]'\n" for n in order)


def test_many_classes_that_refer_to_each_other_have_a_fingerprint():
    assert classes_of(ladder("int")) == classes_of(ladder("int"))
    # What is changed at the far end changes the first.
    different = [classes_of(ladder(last)) for last in ("int", "float", "C0", "C1", f"C{COUNT - 1}")]
    assert len(set(different)) == len(different)
    assert classes_of(ladder("C0", COUNT - 1)) not in different


def test_classes_that_refer_to_each_other_have_one_fingerprint_in_whatever_order_they_are_met():
    order = list(range(COUNT // 3))
    random.Random(1).shuffle(order)
    first = [one for one in order if one != 0]
    texts = [everyone([*first, 0]), everyone([*reversed(first), 0]), everyone([*sorted(first), 0])]
    assert len({classes_of(text) for text in texts}) == 1
    # From the class that is asked for, as from any other, all others are seen.
    assert classes_of(everyone([*first, 0])) != classes_of(everyone([0, *first]))


def chain(*names, last):
    """A class of each name, with a field of the class behind it, and at the end one of that type; returns the first."""
    found = last
    for name in reversed(names):
        found = make_dataclass(name, [("x", found)], frozen=True)
    return fingerprint_type(found)


def test_classes_go_by_what_they_refer_to_however_far_away():
    assert chain(*"ABAC", last=int) == chain(*"ABAC", last=int)
    ends = [("C", int), ("D", int), ("C", float), ("A", int)]
    assert len({chain(*"ABA", name, last=last) for name, last in ends}) == len(ends)
    assert len({chain(*"A" * count, last=int) for count in range(1, 6)}) == 5


def test_classes_of_the_same_layout_count_as_one():
    def pair(first, second):
        return make_dataclass("Pair", [("a", first), ("b", second)], frozen=True)

    one, other, third = (make_dataclass("P", [("x", kind)], frozen=True) for kind in (int, int, float))
    assert fingerprint_type(pair(one, one)) == fingerprint_type(pair(one, other)) == fingerprint_type(pair(other, one))
    assert len({fingerprint_type(pair(*two)) for two in ((one, one), (one, third), (third, one), (third, third))}) == 4
    assert fingerprint_constant((one, other)) == fingerprint_constant((one, one))
    assert fingerprint_constant((one, third)) != fingerprint_constant((third, one))


def test_classes_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(encoding, "_MOST_CLASSES", 16)
    namespace = types.ModuleType("endless_classes")

    def another():
        made = make_dataclass("A", [("x", "another()")], frozen=True)
        made.__module__ = namespace.__name__
        return made

    namespace.another = another
    monkeypatch.setitem(sys.modules, namespace.__name__, namespace)
    with pytest.raises(FingerprintError, match=r"^class A: it refers to more than 16 classes$"):
        fingerprint_type(another())


def test_a_local_class_that_refers_to_itself_has_a_fingerprint():
    @dataclass(frozen=True)
    class Node:
        value: int
        next: Node | None = None

    assert fingerprint_type(Node)
    assert fingerprint_constant(Node(1, Node(2))) != fingerprint_constant(Node(2, Node(1)))


def test_annotations_that_cannot_be_resolved_are_refused_with_the_reason():
    broken = make_dataclass("Broken", [("x", "NowhereDefined")], frozen=True)
    with pytest.raises(
        FingerprintError, match=r"^class Broken: the annotations of .*Broken.*NowhereDefined.*top level"
    ):
        fingerprint_type(broken)
    with pytest.raises(FingerprintError, match=r"^the class of the value\[0\]: "):
        fingerprint_constant((broken(1),))


def test_annotations_that_are_no_classes_are_constants():
    described = make_dataclass("Described", [("x", typing.Annotated[int, Point(1.0)])], frozen=True)
    otherwise = make_dataclass("Described", [("x", typing.Annotated[int, Point(2.0)])], frozen=True)
    assert fingerprint_type(described) != fingerprint_type(otherwise)
    special = make_dataclass("Special", [("x", typing.Self)], frozen=True)
    with pytest.raises(FingerprintError, match=r"^class Special\.x: an object of class typing\._SpecialForm"):
        fingerprint_type(special)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement is new in Python 3.12")
def test_a_type_alias_is_what_it_stands_for():
    assert classes_of("type X = int\n" + FROZEN + "class A: x: X") == classes_of(FROZEN + "class A: x: int")


def test_only_classes_have_the_fingerprint_of_a_class():
    with pytest.raises(FingerprintError, match="an object of class int is no class"):
        fingerprint_type(1)


# Other objects


class Pipe:
    pass


class Described:
    def __init__(self, *constants):
        self.constants = constants

    def __fingerprint__(self):
        return self.constants


class DescribedFurther(Described):
    pass


class DescribedNoMore(Described):
    __fingerprint__ = None


def test_objects_may_say_what_stands_for_them():
    assert fingerprint_constant(Described(1, "a")) == fingerprint_constant(Described(1, "a"))
    assert fingerprint_constant(Described(1)) != fingerprint_constant(Described(1.0))
    assert fingerprint_constant(Described(1)) != fingerprint_constant((1,))
    assert fingerprint_constant(Described(1)) != fingerprint_constant(DescribedFurther(1))
    with pytest.raises(FingerprintError, match=r"^the fingerprint of the value\[0\]: an object of class list"):
        fingerprint_constant(Described([]))
    with pytest.raises(FingerprintError, match="DescribedNoMore has no stable fingerprint"):
        fingerprint_constant(DescribedNoMore())


def test_the_class_of_a_described_object_is_a_class_like_any_other():
    assert fingerprint_constant(Described) != fingerprint_constant(DescribedFurther)
    assert fingerprint_constant(Described) == fingerprint_constant(type(Described()))


def test_a_metaclass_may_say_what_stands_for_a_class():
    class Meta(type):
        def __fingerprint__(cls):
            return cls.token

    one = Meta("Same", (), {"token": 1})
    two = Meta("Same", (), {"token": 2})
    assert fingerprint_type(one) != fingerprint_type(two)
    assert fingerprint_type(one) == fingerprint_type(Meta("Other", (), {"token": 1}))


def test_fingerprints_are_registered_for_a_class_and_those_derived_from_it():
    class Foreign:
        def __init__(self, number):
            self.number = number

    class Derived(Foreign):
        pass

    def by_number(foreign):
        return foreign.number

    with pytest.raises(FingerprintError):
        fingerprint_constant(Foreign(1))
    register_fingerprint(Foreign, by_number)
    register_fingerprint(Foreign, by_number)
    assert fingerprint_constant(Foreign(1)) == fingerprint_constant(Foreign(1))
    assert fingerprint_constant(Foreign(1)) != fingerprint_constant(Foreign(2))
    assert fingerprint_constant(Derived(1)) == fingerprint_constant(Foreign(1))
    with pytest.raises(ValueError, match=r"Foreign has a registered fingerprint already"):
        register_fingerprint(Foreign, lambda _: 1)
    register_fingerprint(Derived, lambda derived: (derived.number, "derived"))
    assert fingerprint_constant(Derived(1)) != fingerprint_constant(Foreign(1))


@pytest.mark.parametrize("cls", [int, str, float, type(None), tuple, frozenset])
def test_what_is_settled_is_not_registered(cls):
    with pytest.raises(ValueError, match="is settled"):
        register_fingerprint(cls, id)


def test_a_mutable_object_is_refused_though_it_compares_by_value():
    @dataclass
    class Mutable:
        x: int = 1

    @dataclass(frozen=True)
    class Frozen:
        x: int = 1

    class Thawed(Frozen):
        pass

    @dataclass(frozen=True)
    class Number(int):
        x: int = 1

    for value in (Mutable(), Thawed(), Number()):
        with pytest.raises(FingerprintError, match=r"@dataclass\(frozen=True\)"):
            fingerprint_constant(value)


def test_a_named_tuple_with_attributes_besides_is_refused():
    class Extended(Untyped):
        pass

    value = Extended(1, 2)
    assert fingerprint_constant(value)
    value.more = 3
    with pytest.raises(FingerprintError, match="Extended has no stable fingerprint"):
        fingerprint_constant(value)


def test_a_field_without_value_is_refused():
    @dataclass(frozen=True)
    class Late:
        x: int = field(init=False)

    with pytest.raises(FingerprintError, match=r"^global LATE\.x: the field has no value"):
        fingerprint_constant(Late(), name="global LATE")


class Number(float):
    pass


class Tuple(tuple):
    __slots__ = ()


def generator():
    yield 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], r"^global G: an object of class list has no stable fingerprint; use a tuple$"),
        ({1}, r"^global G: an object of class set .*use a frozenset$"),
        ({}, r"^global G: an object of class dict .*use a tuple of pairs or a frozen dataclass$"),
        (bytearray(), r"^global G: an object of class bytearray .*use bytes$"),
        (Pipe(), r"^global G: an object of class \S*Pipe has .*define __fingerprint__ on its class$"),
        (Number(1), r"^global G: an object of class \S*Number has no stable fingerprint"),
        (Tuple((1,)), r"^global G: an object of class \S*Tuple has no stable fingerprint"),
        (generator(), r"^global G: an object of class generator"),
        (object(), r"^global G: an object of class object"),
        ([].append, r"^global G: an object of class builtin_function_or_method"),
        (Described().__fingerprint__, r"^global G: an object of class method"),
        (str.upper, r"^global G: an object of class method_descriptor"),
        ((1, (2, [])), r"^global G\[1\]\[1\]: an object of class list"),
        (frozenset({(1, Pipe())}), r"^an item of global G\[1\]: an object of class \S*Pipe"),
        (Point(1.0, (0, [])), r"^global G\.y\[1\]: an object of class list"),
        (Pair(1, []), r"^global G\.b: an object of class list"),
        (typing.ParamSpec("P"), r"^global G: an object of class typing\.ParamSpec"),
    ],
)
def test_what_has_no_stable_fingerprint_is_refused_by_name_and_place(value, message):
    with pytest.raises(FingerprintError, match=message):
        fingerprint_constant(value, name="global G")


def test_an_open_file_is_refused(tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(FingerprintError, match=r"TextIOWrapper"):
        fingerprint_constant(file)


def test_constants_that_hold_themselves_are_refused():
    point = Point(1.0)
    object.__setattr__(point, "y", (point,))
    with pytest.raises(FingerprintError, match=r"^the value\.y\[0\]: an object of class \S*Point holds itself"):
        fingerprint_constant(point)
    described = Described()
    described.constants = (1, described)
    with pytest.raises(FingerprintError, match="holds itself"):
        fingerprint_constant(described)


def test_constants_without_end_are_refused():
    class Endless:
        def __fingerprint__(self):
            return Endless()

    with pytest.raises(FingerprintError, match=r"^the value: it is nested too deeply"):
        fingerprint_constant(Endless())


def test_a_constant_may_be_met_twice():
    point = Point(1.0)
    assert fingerprint_constant((point, point)) == fingerprint_constant((Point(1.0), Point(1.0)))


# In other processes and versions of Python


CORPUS_FUNCTIONS = '''\
def step(a, x, y=1, /, z=2, *rest, k, w=3, **more):
    """A docstring."""
    b: int = a * x[0] + y
    return b - -1 if b > 0.5 else (b, None, ..., True, 1j, -0.0)

def loops(n):
    total = 0
    for i in range(0, n, 2):  # every second
        if i % 3 == 0:
            continue
        elif i > 100:
            break
        while total < 10:
            total += i ** 2
    else:
        del i
    return total

def strings(x, y):
    a = 'one' "two" """three"""
    b = f"{x}" f"a{y!r:>{x}}" "b" f""
    c = f"{x=} {x = :>{y}.{x}} {{}} {y:%H:%M} {f'{x:{y}}'} {x!s:}"
    d = f"""{
        x}{y}"""
    e = f"{x:{y}{'a'}}" rf"\\d{x}" u"ü€", b"a" b"b"
    return a + b + c + d + e[0] + b"\\x00\\xff".decode() + '\\ud800' + f"{(lambda z: z)(x)!a}"

def nested(n):
    def inner(k=n, *, m: int = 1) -> int:
        """A docstring of its own."""
        nonlocal n
        n = n + k
        return lambda q, *r: [q + n for q in r if q for s in q]
    class Local(object, metaclass=type):
        "And another one."
        a: int = 1
        __b = 2
        def method(self, __c): return self.__b + __c
    return inner, Local

def classes(shape):
    match shape:
        case {"a": 1, **rest}: return rest
        case [1, -1.5, *others] | (_, [*others], 1j): return others
        case complex(real=0, imag=x) as whole if x > 0: return whole
        case None | True | "text": return 1
        case _: return {**shape, None: 1, 2: [*shape]}

def contexts(a, *b):
    global some_global
    with a as x, b[0] as (y, *z): some_global = x
    try:
        assert a, "message"
        raise ValueError from a
    except (TypeError, ValueError) as e: pass
    except: pass
    else: x = y = z
    finally: x[1:2, ..., ::3] = a @ b // ~a << 2
    import os.path as p, sys
    from ..package import name as other
    async_ = lambda: (yield)
    assert (w := a), not a
    return a if b else z, {1, 2}, {k: v for k, v in a}, x < y <= z is not None not in a, b[*a, 1]

async def waiting(a):
    async with a as b:
        async for c in b:
            yield await c
    await [d async for d in b]

def groups(a):
    try: a()
    except* ValueError: pass
    yield from a

def bare(x):
    y: int
    (z): int
    x.a: int = 1
    return 0xFF + 1_000 + 1e3 + 123456789012345678901234567890

anonymous = lambda x, *, y=1: (yield x)
'''

CORPUS_VALUES = """\
import enum, math, typing
from dataclasses import dataclass

class Colour(enum.Enum):
    RED = 1
    GREEN = "green"

class Bits(enum.IntFlag):
    A = 1
    B = 2

@dataclass(frozen=True)
class Node:
    value: "float"
    colour: Colour = Colour.RED
    next: "Node | None" = None

class Pair(typing.NamedTuple):
    a: int
    b: typing.Optional[typing.List[int]] = None

class Plain: pass

@dataclass
class Holder:
    pair: "Pair"
    node: typing.Callable[[Node], "Holder"]
    number: typing.Annotated[int, 1.5]
    literal: typing.Literal["a", 1, None, Colour.RED]

@dataclass(frozen=True)
class Tree:
    branches: "Leaf | Tree | Branch | None"

@dataclass(frozen=True)
class Branch:
    tree: "typing.Union[Branch, Tree, int]"
    leaves: "tuple[Leaf, Leaf]"

@dataclass(frozen=True)
class Leaf:
    branch: Branch | Tree

VALUES = {
    "trees": frozenset({Tree, Branch, Leaf, Colour, (Leaf, Branch)}), "tree": Tree,
    "none": None, "ellipsis": ..., "true": True, "one": 1, "negative": -129, "large": 10 ** 40, "float": 1.5,
    "negative zero": -0.0, "nan": float("nan"), "infinity": -math.inf, "complex": complex(1, -0.0), "text": "ü€\\ud800",
    "bytes": b"\\x00\\xff", "tuple": (1, (2.0, ("3",)), ()), "set": frozenset({"a", "b", "c", 1, None, (1, "x")}),
    "range": range(1, 10, 3), "member": Colour.GREEN, "flags": Bits.A | Bits.B, "node": Node(1.0, Colour.GREEN, Node(2.0)),
    "pair": Pair(1), "class": int, "plain class": Plain, "module": math, "builtin": math.sin, "enum": Colour,
    "dataclass": Node, "named tuple": Pair, "mutable dataclass": Holder, "union": int | str | None,
    "generic": dict[str, tuple[int, ...]],
}
"""

# Other versions of Python have the standard library alone, which is all that `smelt.caching` imports; `smelt` itself may
# import more.
PROGRAM = """\
import json, sys, types
sys.modules["smelt"] = types.ModuleType("smelt")
sys.modules["smelt"].__path__ = [sys.argv[1]]
from smelt.caching.fingerprints import fingerprint_constant, fingerprint_function
import corpus_functions, corpus_values
digests = {name: fingerprint_constant(value).hex for name, value in corpus_values.VALUES.items()}
for name, function in vars(corpus_functions).items():
    if callable(function) and not name.startswith("_"):
        digests[f"{name}()"] = fingerprint_function(function).hex
        digests[f"{name}() with annotations"] = fingerprint_function(function, annotations=True).hex
        digests[f"{name} as a constant"] = fingerprint_constant((function,)).hex
json.dump(digests, sys.stdout, indent=2, sort_keys=True)
"""

SMELT = Path(sys.modules["smelt.caching.fingerprints"].__file__).parents[1]


def run_corpus(folder, python=sys.executable, options=(), **environment):
    (folder / "corpus_functions.py").write_text(CORPUS_FUNCTIONS, encoding="utf-8")
    (folder / "corpus_values.py").write_text(CORPUS_VALUES, encoding="utf-8")
    done = subprocess.run(
        [python, *options, "-c", PROGRAM, str(SMELT)],
        capture_output=True,
        text=True,
        check=False,
        cwd=environment.pop("cwd", folder),
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_digests_are_the_golden_ones(tmp_path):
    assert run_corpus(tmp_path) == golden()


def test_all_golden_digests_differ():
    assert len(set(golden().values())) > 0.9 * len(golden())
    found = golden()
    functions = [digest for name, digest in found.items() if name.endswith("()")]
    values = [digest for name, digest in found.items() if "(" not in name]
    assert len(set(functions)) == len(functions)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ([], {"PYTHONHASHSEED": "0"}),
        ([], {"PYTHONHASHSEED": "1"}),
        ([], {"PYTHONHASHSEED": "123456"}),
        (["-O"], {}),
        (["-OO"], {}),
        (["-X", "no_debug_ranges"], {}),
        (["-X", "utf8=0"], {"LC_ALL": "C"}),
        (["-bb", "-W", "error", "-X", "dev"], {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_another_process_gives_the_same_digests(tmp_path, options, environment):
    assert run_corpus(tmp_path, options=options, **environment) == golden()


def test_another_folder_gives_the_same_digests(tmp_path):
    other = tmp_path / "elsewhere" / "deeper"
    other.mkdir(parents=True)
    assert run_corpus(other, cwd=tmp_path) == golden()


def interpreter(version):
    """A Python of this version: this one, one on the path, or one of pyenv; None where there is none that runs."""
    if sys.version_info[:2] == version:
        return sys.executable
    name = "python{}.{}".format(*version)
    candidates = [shutil.which(name)]
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        candidates += sorted(map(str, Path(root).glob("versions/{}.{}*/bin/python".format(*version))))
    for candidate in filter(None, candidates):
        # One on the path may be a shim of pyenv, for a version that is not switched on.
        asked = subprocess.run(
            [candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if asked.stdout.split() == list(map(str, version)):
            return candidate
    return None


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)], ids="{0[0]}.{0[1]}".format)
def test_every_version_of_python_gives_the_same_digests(tmp_path, version):
    python = interpreter(version)
    if python is None:
        pytest.skip("no Python {}.{} was found".format(*version))
    assert run_corpus(tmp_path, python) == golden()


def test_a_source_has_the_fingerprint_of_its_function():
    source = function_source(an_imported_function)
    assert fingerprint_source(source) == fingerprint_function(an_imported_function)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(json.dumps(run_corpus(Path(folder)), indent=2, sort_keys=True) + "\n", encoding="utf-8")
