# SPDX-License-Identifier: Apache-2.0
"""A compiler of one's own on `smelt.caching`, in a page and a half.

The language has numbers, arguments, sums, products and calls. Its functions are declared with `function`, defined with `define`,
for argument types, and called with `call`. What the compiler makes of a definition is kept, and made again exactly when a
definition that it rests on has changed. Run it:

    python examples/expression_compiler.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from smelt.caching import (
    CacheView,
    CodeInstance,
    Edge,
    MethodInstance,
    MethodTable,
    Results,
    add_method,
    default_cache,
    method_instance,
    portable,
    session_local,
)

# 1. The language: what a definition is made of. smelt keeps such trees as the sources of methods and never looks inside.


@dataclass(frozen=True)
class Argument:
    index: int


@dataclass(frozen=True)
class Sum:
    terms: tuple[Expression, ...]


@dataclass(frozen=True)
class Product:
    factors: tuple[Expression, ...]


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]


Expression = int | float | Argument | Sum | Product | Call

FUNCTIONS = MethodTable("expressions")


def define(function: str, types: tuple[type, ...], body: Expression) -> None:
    add_method(FUNCTIONS, function, types, body)


# 2. What compiling a definition produces. The text means the same in every process; the function is a handle of this one.


class ExpressionResults(Results):
    text: str = portable(default="")
    returns: str = portable(default="")
    callees: tuple[str, ...] = portable(default=())
    function: Callable[..., Any] | None = session_local()


# 3. The compiler: one pass from the tree to the text of a Python expression. Whatever it looks up on the way is an edge.

TYPES = {kind.__name__: kind for kind in (bool, int, float, str)}
View = CacheView[ExpressionResults]
VIEW: View = CacheView("expression compiler", ExpressionResults)


def make(view: View, instance: MethodInstance) -> CodeInstance:
    """Compile one method instance: smelt calls this when there is no code for it that is valid now."""
    edges: list[Edge] = []
    callees: dict[str, Callable[..., Any]] = {}

    def emit(tree: Expression) -> tuple[str, type]:
        match tree:
            case int() | float():
                return repr(tree), type(tree)
            case Argument(index):
                return f"x{index}", instance.types[index]
            case Sum(parts):
                return join(" + ", map(emit, parts))
            case Product(parts):
                return join(" * ", map(emit, parts))
            case Call(function, arguments):
                texts, types = zip(*map(emit, arguments), strict=True) if arguments else ((), ())
                # The call is looked up for its argument types, in the world that all of this compilation sees.
                outcome = FUNCTIONS.dispatch(function, types, view.world)
                if outcome.instance is None:
                    raise TypeError(f"{instance}: no definition of {function} takes {types}")
                callee = view.get_or_create(outcome.instance, make)
                edges.extend((outcome, callee))
                name = f"f{len(callees)}"
                callees[name] = linked(view, callee)
                return f"{name}({', '.join(texts)})", TYPES[view.results(callee).returns]

    text, returns = emit(instance.source)
    parameters = ", ".join(f"x{index}" for index in range(len(instance.types)))
    code = view.code_instance(instance, edges)
    results = view.results(code)
    results.text = f"lambda {parameters}: {text}"
    results.returns = returns.__name__
    results.callees = tuple(callees)
    results.function = eval(results.text, callees)  # noqa: S307 - the text is the compiler's own
    return code


def join(operator: str, parts: Iterable[tuple[str, type]]) -> tuple[str, type]:
    texts, types = zip(*parts, strict=True)
    return f"({operator.join(texts)})", float if float in types else int


def linked(view: View, code: CodeInstance) -> Callable[..., Any]:
    function = view.results(code).function
    assert function is not None
    return function


def call(function: str, *arguments: object) -> Any:
    """Call a function of the language. A warm call compiles nothing: it looks the instance up, and its code, and runs it."""
    types = tuple(type(argument) for argument in arguments)
    instance = method_instance(function, types, table=FUNCTIONS)
    if instance is None:
        raise TypeError(f"no definition of {function} takes {types}")
    return linked(VIEW, VIEW.get_or_create(instance, make))(*arguments)


# 4. The demonstration.


def show(what: str, value: object, expected: object, compilations: int) -> None:
    """Print one step, and fail if it is not what this page says it is."""
    global compiled  # noqa: PLW0603 - the counter of a script
    new = default_cache().counts.made - compiled
    compiled += new
    print(f"  {what:<46} = {value!s:<8} {new} compiled")
    if value != expected or new != compilations:
        raise SystemExit(f"expected {expected} and {compilations} compiled")


compiled = 0


def main() -> None:
    x = Argument(0)

    print("A definition is compiled when it is first called, and once:")
    define("square", (int,), Product((x, x)))
    show("square(7)", call("square", 7), 49, compilations=1)
    show("square(8)", call("square", 8), 64, compilations=0)

    print("\nRedefining it compiles it again:")
    define("square", (int,), Product((x, x, 1)))
    show("square(7)", call("square", 7), 49, compilations=1)

    print("\nA definition for other argument types leaves what is there alone:")
    define("square", (float,), Product((x, x, 1.0)))
    show("square(7)", call("square", 7), 49, compilations=0)
    show("square(1.5)", call("square", 1.5), 2.25, compilations=1)

    print("\nFunctions call functions; calling the outermost compiles them all:")
    define("area", (int,), Product((3, Call("square", (x,)))))
    define("area", (float,), Product((math.pi, Call("square", (x,)))))
    define("two circles", (int,), Sum((Call("area", (x,)), Call("area", (x,)))))
    show("two circles(7)", call("two circles", 7), 294, compilations=2)

    print("\nRedefining the innermost reaches its callers, for these types and no others:")
    area_of_float = call("area", 1.5)
    show("area(1.5)", area_of_float, math.pi * 2.25, compilations=1)
    before = VIEW.frozen()
    define("square", (int,), Product((x, x, 10)))
    show("two circles(7)", call("two circles", 7), 2940, compilations=3)
    show("area(1.5)", call("area", 1.5), area_of_float, compilations=0)

    print("\nA more specific definition takes calls over, a less specific one takes none:")
    define("scale", (object,), Product((x, 2)))
    define("scaled", (bool,), Call("scale", (x,)))
    show("scaled(True)", call("scaled", True), 2, compilations=2)
    define("scale", (int,), Product((x, 3)))
    show("scaled(True)", call("scaled", True), 3, compilations=2)
    define("scale", (str,), Product((x, 4)))
    show("scaled(True)", call("scaled", True), 3, compilations=0)

    print("\nA view that was frozen before a change keeps seeing what was valid then:")
    instance = method_instance("two circles", (int,), table=FUNCTIONS)
    assert instance is not None
    show("two circles(7), seen from before", linked(before, before[instance])(7), 294, compilations=0)

    print("\nWhy was it compiled again? Each change and what it reached:\n")
    for invalidation in default_cache().invalidations:
        print("  " + str(invalidation).replace("\n", "\n  "))


if __name__ == "__main__":
    main()
