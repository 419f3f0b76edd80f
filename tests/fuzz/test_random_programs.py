# SPDX-License-Identifier: Apache-2.0
"""Random programs, written to files, run as kernels and as plain Python on NumPy's numbers, over edge values.

What is drawn is a tree whose nodes know the type of what they evaluate to, so that it is the same in Python, where a variable may hold
anything, and in a kernel, where it has one type. Python's own integers, which have no end, stay small: they are literals and counters
of loops.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note, settings, strategies as st

from smelt._wiring import driver
from smelt.compiler.jobs import CompilerJob
from smelt.driver.pipeline import typed_function
from smelt.ir.verifier import verify
from smelt.types import typeof

pytestmark = pytest.mark.once

INTEGERS = ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float32", "float64"]
KINDS = [*INTEGERS, *FLOATS]
TABLE = np.array([3, -1, 2**31 - 1, -(2**31), 77], np.int32)
N = 3
"""A number of Python's own, as an argument."""
ROWS = 10


def values_of(kind: str) -> list[Any]:
    if kind in FLOATS:
        limits = np.finfo(kind)
        tiny = float(limits.smallest_subnormal)
        return [0.0, -0.0, 1.0, -1.5, 0.75, math.inf, -math.inf, math.nan, float(limits.max), tiny, 100.25]
    whole = np.iinfo(kind)
    return sorted({0, 1, 2, 7, whole.max, whole.min, whole.max // 2, max(whole.min, -3)}, key=abs)


PAIRS = {
    kind: [pair for pair in itertools.permutations(KINDS, 2) if np.result_type(*pair) == kind and "uint64" not in pair]
    for kind in KINDS
}


@dataclass(frozen=True)
class Node:
    """A piece of a program: text with a place for each of its parts, which are nodes of their own."""

    template: str
    parts: tuple[Node, ...] = ()

    def __str__(self) -> str:
        return self.template.format(*map(str, self.parts))


@dataclass(frozen=True)
class Block:
    """Statements: a line of text for each, and the block below it if there is one."""

    statements: tuple[tuple[Node, Block | None], ...]

    def lines(self, indent: str) -> list[str]:
        written = []
        for head, below in self.statements:
            written += [indent + line for line in str(head).split("\n")]
            if below is not None:
                written += below.lines(indent + "    ")
        return written or [f"{indent}pass"]


@dataclass(frozen=True)
class Scope:
    """What a piece of a program can use: variables with their types, counters of loops, functions of the module with their types."""

    variables: dict[str, str]
    helpers: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    counters: tuple[str, ...] = ()
    is_loop: bool = False
    has_table: bool = True
    results: str = ""

    def of(self, kind: str) -> list[str]:
        return [name for name, known in self.variables.items() if known == kind]


def literal(kind: str, value: Any) -> Node:
    text = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(repr(value), repr(value))
    return Node(f"np.{kind}({text})")


@st.composite
def leaves(draw: Any, kind: str, scope: Scope) -> Node:
    names = scope.of(kind)
    others = [name for name, known in scope.variables.items() if kind in FLOATS or known in INTEGERS]
    choices = [
        "literal",
        *(["variable"] * 4 if names else []),
        *(["converted"] * 3 if others else []),
        *(["table"] if kind == "int32" and scope.has_table else []),
    ]
    match draw(st.sampled_from(choices)):
        case "variable":
            return Node(draw(st.sampled_from(names)))
        case "converted":
            return Node(f"np.{kind}({draw(st.sampled_from(others))})")
        case "table":
            places = [*map(str, (0, 1, 4, -1, -5, 5)), *(f"{counter} % 5" for counter in scope.counters)]
            return Node(f"table[{draw(st.sampled_from(places))}]")
    return literal(kind, draw(st.sampled_from(values_of(kind))))


def small(kind: str, scope: Scope) -> st.SearchStrategy[Node]:
    """A number of Python's own."""
    numbers = ["1", "2", "3", "7", *scope.counters]
    return st.sampled_from([*numbers, "0.5", "-1.25"] if kind in FLOATS else numbers).map(Node)


@st.composite
def expressions(draw: Any, kind: str, scope: Scope, depth: int) -> Node:
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(leaves(kind, scope))

    def inner(other: str = kind) -> Node:
        return draw(expressions(other, scope, depth - 1))

    is_float = kind in FLOATS
    forms = ["operator", "weak", "convert", "choice", "extreme", "unary", "condition", "item", "walrus"]
    forms += ["promote"] if PAIRS[kind] else []
    forms += ["call"] if any(made == kind for made, _ in scope.helpers.values()) else []
    match draw(st.sampled_from(forms)):
        case "operator" if is_float:
            return Node(f"({{}} {draw(st.sampled_from(['+', '-', '*', '/', '//', '%']))} {{}})", (inner(), inner()))
        case "operator":
            symbol = draw(st.sampled_from(["+", "-", "*", "&", "|", "^", "<<", ">>", "//", "%"]))
            # Divisors are odd, and shifts not negative.
            guard = {"//": f"({{}} | np.{kind}(1))", "%": f"({{}} | np.{kind}(1))"}
            guard |= dict.fromkeys(("<<", ">>"), f"({{}} & np.{kind}(63))")
            return Node(f"({{}} {symbol} {guard.get(symbol, '{}')})", (inner(), inner()))
        case "weak" if is_float:
            symbol = draw(st.sampled_from(["+", "-", "*", "/", "//", "%"]))
            divisors = small(kind, scope).filter(lambda node: node.template not in scope.counters)
            return Node(f"({{}} {symbol} {{}})", (inner(), draw(divisors)))
        case "weak":
            symbol = draw(st.sampled_from(["+", "-", "*", "&", "//", "%", "**"]))
            if symbol in ("//", "%", "**"):
                return Node(f"({{}} {symbol} {draw(st.sampled_from('123'))})", (inner(),))
            return Node(f"({{}} {symbol} {{}})", (inner(), draw(small(kind, scope))))
        case "convert":
            other = draw(st.sampled_from([known for known in (KINDS if is_float else INTEGERS) if known != kind]))
            return Node(f"np.{kind}({{}})", (inner(other),))
        case "promote":
            first, second = draw(st.sampled_from(PAIRS[kind]))
            return Node(f"({{}} {draw(st.sampled_from('+-*'))} {{}})", (inner(first), inner(second)))
        case "choice":
            return Node("({} if {} else {})", (inner(), draw(conditions(scope, depth - 1)), inner()))
        case "extreme":
            return Node(f"{draw(st.sampled_from(['min', 'max']))}({{}}, {{}})", (inner(), inner()))
        case "unary":
            functions = ["np.sqrt({})", "np.floor({})", "np.trunc({})", "abs({})", "(-{})"]
            return Node(draw(st.sampled_from(functions if is_float else ["abs({})", "(-{})", "(~{})"])), (inner(),))
        case "condition":
            return Node(f"np.{kind}({{}})", (draw(conditions(scope, depth - 1)),))
        case "item":
            return Node("({}, {})[int({})]", (inner(), inner(), draw(conditions(scope, depth - 1))))
        case "walrus" if scope.of(kind):
            return Node(f"({draw(st.sampled_from(scope.of(kind)))} := {{}})", (inner(),))
        case "call":
            name = draw(st.sampled_from([name for name, (made, _) in scope.helpers.items() if made == kind]))
            kinds = scope.helpers[name][1]
            return Node(f"{name}({', '.join(['{}'] * len(kinds))})", tuple(map(inner, kinds)))
    return draw(leaves(kind, scope))


@st.composite
def conditions(draw: Any, scope: Scope, depth: int) -> Node:
    # Some of the time those that have no type in common which holds them all.
    mixed = st.permutations(["int64", "uint64", "float64"])
    kinds = draw(mixed | st.lists(st.sampled_from(KINDS), min_size=3, max_size=3))
    operands = tuple(draw(expressions(kind, scope, max(0, depth - 1))) for kind in kinds)
    orders = [draw(st.sampled_from(["<", "<=", "==", "!=", ">", ">="])) for _ in range(2)]
    forms = ["compare", "weak", "chain", "truth", *(["and", "or", "not"] if depth > 0 else [])]
    match draw(st.sampled_from(forms)):
        case "compare":
            return Node(f"({{}} {orders[0]} {{}})", operands[:2])
        case "weak":
            return Node(f"({{}} {orders[0]} {{}})", (operands[0], draw(small("int8", scope))))
        case "chain":
            return Node(f"({{}} {orders[0]} {{}} {orders[1]} {{}})", operands)
        case "truth":
            return Node("bool({})", operands[:1])
        case "not":
            return Node("(not {})", (draw(conditions(scope, depth - 1)),))
        case word:
            return Node(f"({{}} {word} {{}})", (draw(conditions(scope, depth - 1)), draw(conditions(scope, depth - 1))))


@st.composite
def blocks(draw: Any, scope: Scope, depth: int) -> Block:
    statements: list[tuple[Node, Block | None]] = []
    for _ in range(draw(st.integers(1, 3))):
        statements += draw(pieces(scope, depth))
    return Block(tuple(statements))


@st.composite
def pieces(draw: Any, scope: Scope, depth: int) -> list[tuple[Node, Block | None]]:
    """One statement, with the `else` that belongs to it."""
    name = draw(st.sampled_from(sorted(scope.variables)))
    kind = scope.variables[name]

    def value(of: str = kind, deep: int = 2) -> Node:
        return draw(expressions(of, scope, deep))

    def test() -> Node:
        return draw(conditions(scope, 1))

    def below(**changes: Any) -> Block:
        inner = Scope(**{**vars(scope), **changes})
        return draw(blocks(inner, depth - 1))

    forms = ["assign"] * 3 + ["augment"] * 3 + ["unpack"] * 2 + ["raise", "return"]
    forms += ["leave"] * 2 if scope.is_loop else []
    forms += ["if", "if", "for", "while", "over", "closure"] if depth > 0 else []
    form = draw(st.sampled_from(forms))
    number = len(scope.counters)
    if form == "augment":
        symbol = draw(st.sampled_from("+-*" if kind in FLOATS else "+-*&|^"))
        return [(Node(f"{name} {symbol}= {{}}", (value(),)), None)]
    if form == "unpack":
        other = draw(st.sampled_from(sorted(scope.variables)))
        return [(Node(f"{name}, {other} = {{}}, {{}}", (value(), value(scope.variables[other]))), None)]
    if form == "raise":
        return [(Node("if {}: raise ValueError('no')", (Node("({} and {})", (test(), test())),)), None)]
    if form == "return":
        return [(Node(f"if {{}}: return {scope.results}", (Node("({} and {})", (test(), test())),)), None)]
    if form == "leave":
        return [(Node(f"if {{}}: {draw(st.sampled_from(['break', 'continue']))}", (test(),)), None)]
    if form == "if":
        otherwise = [(Node("else:"), below())] if draw(st.booleans()) else []
        return [(Node("if {}:", (test(),)), below()), *otherwise]
    if form in ("for", "while"):
        counter = f"k{number}"
        if form == "for":
            limits = draw(st.sampled_from(["3", "1, 4", "3, 0, -1", "0", "0, 7, 3"]))
            head = [
                (Node(f"for {counter} in range({limits}):"), below(counters=(*scope.counters, counter), is_loop=True))
            ]
        else:
            inside = below(counters=(*scope.counters, counter), is_loop=True)
            counted = Block(((Node(f"{counter} += 1"), None), *inside.statements))
            head = [(Node(f"{counter} = 0"), None), (Node(f"while {counter} < 3 and {{}}:", (test(),)), counted)]
        otherwise = [(Node("else:"), below())] if draw(st.booleans()) else []
        return [*head, *otherwise]
    if form == "over":
        items = Node("({}, {})", (value(deep=1), value(deep=1)))
        item = f"item{number}_{depth}"
        return [
            (Node(f"for {item} in {{}}:", (items,)), below(variables={**scope.variables, item: kind}, is_loop=True))
        ]
    if form == "closure":
        other = draw(st.sampled_from(KINDS))
        inner = Scope({**scope.variables, "p": other}, {}, scope.counters)
        returned = draw(expressions(kind, inner, 1).filter(lambda node: ":=" not in str(node)))
        lines = Node("local = lambda p: {}", (returned,))
        return [(lines, None), (Node(f"{name} = local({{}})", (value(other, 1),)), None)]
    return [(Node(f"{name} = {{}}", (value(),)), None)]


@dataclass(frozen=True)
class Program:
    kinds: tuple[str, ...]
    text: str


@st.composite
def programs(draw: Any) -> Program:
    helpers: dict[str, tuple[str, tuple[str, ...]]] = {}
    text = "import numpy as np\n\nimport smelt\n"
    for number in range(draw(st.integers(0, 2))):
        kinds = tuple(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2)))
        made = draw(st.sampled_from(KINDS))
        names = [f"p{place}" for place in range(len(kinds))]
        scope = Scope(dict(zip(names, kinds, strict=True)), dict(helpers), has_table=False)
        body = Block(((Node("return {}", (draw(expressions(made, scope, 2)),)), None),))
        text += f"\n\ndef helper{number}({', '.join(names)}):\n" + "\n".join(body.lines("    "))
        helpers[f"helper{number}"] = (made, kinds)
    kinds = tuple(draw(st.lists(st.sampled_from(KINDS), min_size=3, max_size=5)))
    names = [f"v{place}" for place in range(len(kinds))]
    results = f"({', '.join(names)},)"
    scope = Scope(dict(zip(names, kinds, strict=True)), helpers, counters=("n",), results=results)
    # Many operations at first, so that each has been tried after few programs.
    assignments = [
        (Node(f"{name} = {{}}", (draw(expressions(scope.variables[name], scope, 4)),)), None) for name in names * 2
    ]
    begin = Block(tuple(assignments))
    lines = [*begin.lines("    "), *draw(blocks(scope, 3)).lines("    ")]
    text += f"\n\n\ndef program(table, n, {', '.join(names)}):\n" + "\n".join([*lines, f"    return {results}"])
    given_, taken = (", ".join(f"{word}{place}" for place in range(len(kinds))) for word in ("out", "in"))
    inputs = ", ".join(f"in{place}[i]" for place in range(len(kinds)))
    outputs = "".join(f"out{place}[i], " for place in range(len(kinds)))
    text += (
        f"\n\n\n@smelt.kernel(opt_level={draw(st.sampled_from([0, 1, 1, 3]))})\ndef run(table, n, i, {given_}, {taken}):\n"
        f"    {outputs}= program(table, n, {inputs})\n"
    )
    return Program(kinds, text)


def rows(kinds: tuple[str, ...]) -> list[np.ndarray[Any, Any]]:
    """Edge values of each type, paired differently in each row."""
    columns = []
    for place, kind in enumerate(kinds):
        values = values_of(kind)
        chosen = [values[(row * (2 * place + 1) + place) % len(values)] for row in range(ROWS)]
        columns.append(np.array(chosen, kind))
    return columns


def loaded(text: str, path: Path) -> Any:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(run: Any) -> tuple[type[Exception] | None, str]:
    try:
        run()
    except (ValueError, IndexError) as error:
        return type(error), str(error) if isinstance(error, ValueError) else ""
    return None, ""


def verify_all(kernel: Any, arguments: tuple[Any, ...]) -> None:
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    verify(typed_function(driver().inferred(job)))


def same(got: Any, expected: Any) -> bool:
    if np.isnan(expected):
        return bool(np.isnan(got))
    return bool(got == expected) and bool(np.signbit(got) == np.signbit(expected))


def check(program: Program, folder: Path, number: int) -> None:
    note(program.text)
    module = loaded(program.text, folder / f"program_{number}.py")
    columns = rows(program.kinds)
    found = [np.zeros(ROWS, kind) for kind in program.kinds]
    verify_all(module.run, (TABLE, N, 0, *found, *columns))
    for row in range(ROWS):
        expected: list[Any] = []
        with np.errstate(all="ignore"):
            wanted = outcome(lambda: expected.extend(module.program(TABLE, N, *(column[row] for column in columns))))  # noqa: B023 - called here
        got = outcome(lambda: module.run[1](TABLE, N, row, *found, *columns))  # noqa: B023 - called here
        assert got == wanted, f"row {row}"
        for place, value in enumerate(expected):
            assert type(value) is found[place].dtype.type
            assert same(found[place][row], value), (row, place, found[place][row], value)


EXAMPLES = settings(
    settings.default,
    max_examples=8 if settings.default.max_examples <= 100 else settings.default.max_examples,
    derandomize=settings.default.max_examples <= 100,
    deadline=None,
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::SyntaxWarning")
def test_a_random_program_does_what_python_does(tmp_path: Path) -> None:
    count = itertools.count()

    @EXAMPLES
    @given(programs())
    def search(program: Program) -> None:
        check(program, tmp_path, next(count))

    search()
