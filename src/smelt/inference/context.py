# SPDX-License-Identifier: Apache-2.0
"""What all of one inference shares: the method instance, the world it is looked at from, the edges, and the function being built."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from smelt.caching import (
    BindingError,
    CacheView,
    CodeInstance,
    Edge,
    LookupTable,
    MethodInstance,
    Observed,
)
from smelt.caching.sources import FunctionSource
from smelt.compiler.errors import KernelError
from smelt.compiler.results import InferenceResults
from smelt.inference.advice import instead_of_value
from smelt.inference.environment import Environment, Way
from smelt.inference.partials import captured_partial
from smelt.inference.recursion import Assumptions, RecursiveCall
from smelt.ir import untyped
from smelt.ir.builder import FunctionBuilder, Operand, constant, make_tuple
from smelt.ir.typed import Block
from smelt.ir.writes import refers_to_array
from smelt.types import Array, Dict, Struct, Type, typeof
from smelt.types.partials import has_partial, is_partial


@dataclass(eq=False)
class Loop:
    """A loop that is being inferred: the ways that leave it, and those that go on with its next round."""

    breaks: list[Way] = field(default_factory=list)
    continues: list[Way] = field(default_factory=list)


@dataclass(eq=False)
class Frame:
    """One activation: a function with its variables. Functions defined inside a kernel are inferred where they are called.

    Attributes
    ----------
    function
        The Python function whose globals and cells the names refer to.
    body
        What is inferred.
    variables
        Its variables at the point that inference has come to.
    outer
        The activation of the function around it, for a function defined in a kernel.
    returns
        The ways to its end, with what they return.
    loops
        The loops around the current statement, the innermost last.
    """

    function: types.FunctionType
    body: untyped.Body
    variables: Environment
    outer: Frame | None = None
    returns: list[tuple[Block, Operand]] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)


class Closure(Type, eq=False):
    """The type of a function that a kernel defines: there is one for each place where one is made, and it can be called there."""

    node: untyped.Closure
    frame: Frame

    def __str__(self) -> str:
        return f"function {self.node.body.name}"


@dataclass(frozen=True, eq=False)
class Definition:
    """A function that stands in a function: equal to another where both are the same piece of the same program."""

    node: untyped.Closure
    function: types.FunctionType

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Definition) and self.node is other.node and self.function is other.function

    def __hash__(self) -> int:
        return hash((id(self.node), id(self.function)))


class FunctionValue(Struct):
    """The type of a function that a kernel defines, once it is given to another function or returned: a struct of what it captured.

    What it captured is its first fields, then come the defaults of its parameters.
    """

    definition: Definition | None = None

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class NeverReturns(Exception):  # noqa: N818 - no mistake: it unwinds inference to where something else can be reached
    """What is being evaluated never comes to its end: a function that it calls always raises. Nothing comes behind it."""


class Infers(Protocol):
    """Makes the code of method instances that calls need."""

    @property
    def has_recursion(self) -> bool: ...
    @property
    def has_printing(self) -> bool: ...

    def __call__(self, view: CacheView[InferenceResults], instance: MethodInstance, /) -> CodeInstance: ...
    def completed(self, view: CacheView[InferenceResults], code: CodeInstance, /) -> InferenceResults: ...


class Context:
    """One method instance that is being inferred."""

    def __init__(
        self,
        view: CacheView[InferenceResults],
        instance: MethodInstance,
        table: LookupTable,
        source: FunctionSource,
        infer: Infers,
        assumptions: Assumptions,
        *,
        has_doubles: bool,
    ) -> None:
        self.view = view
        self.instance = instance
        self.table = table
        self.source = source
        self.infer = infer
        self.assumptions = assumptions
        self.recursive_calls: list[RecursiveCall] = []
        self.edges: list[Edge] = []
        self.builder = FunctionBuilder(str(instance), has_doubles=has_doubles)
        self.is_checked = True
        # The arrays that it captures, which are passed to it behind its arguments, by their identity.
        self.captured: dict[int, tuple[Any, Operand]] = {}
        # The functions defined in kernels that are being inferred where they are called, and those that are being made values.
        self.in_place: list[Type] = []
        self.handing_over: list[Type] = []
        # The types that the variables of a loop came to have, so that a loop in a loop begins with what it ended with.
        self.loop_types: dict[untyped.Node, dict[str, Any]] = {}

    def error(self, message: str, node: untyped.Node, *, help: str = "") -> KernelError:  # noqa: A002
        return KernelError(message, self.source, node.position, help=help)

    def observe(self, observed: Observed) -> Any:
        """Take note of the edges of a value that was read, and return it."""
        self.edges.extend(observed.edges)
        return observed.value

    def read(self, read: Callable[..., Observed], container: Any, name: str, node: untyped.Node) -> Any:
        """Read a name and take note of it, refusing at `node` what can't be depended on."""
        try:
            return self.observe(read(container, name))
        except BindingError as error:
            raise self.error(str(error), node) from error

    def call_operand(
        self, function: Operand, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand:
        """What calling `function` with these arguments evaluates to."""
        raise NotImplementedError

    def method_of(self, operand: Operand, name: str, node: untyped.Node) -> Operand | None:
        """The method that the class of `operand` defines under a name, bound to it; None if it defines none."""
        raise NotImplementedError

    def call_runtime(self, function: Callable[..., Any], arguments: tuple[Operand, ...], node: untyped.Node) -> Operand:
        """What calling a function of the runtime library evaluates to."""
        return self.call_operand(constant(function), arguments, {}, node)

    def constant(self, value: Any, node: untyped.Node) -> Operand:
        """A captured value as an operand: a constant, or what is passed at run time for an array and what has arrays in it."""
        # A kernel is the function that it was made of.
        if hasattr(type(value), "__kernel_function__"):
            value = value.__kernel_function__
        if type(value) is dict:
            return Operand(Dict(value), constant=(value,))
        if type(value) is list:
            return self.captured_list(value, node)
        if type(value) is tuple and _holds_contents(value):
            return make_tuple(tuple(self.constant(item, node) for item in value))
        if is_partial(value):
            return captured_partial(self, value, node)
        try:
            kind = typeof(value)
            if not refers_to_array(kind) and not has_partial(kind):
                return constant(value)
        except TypeError as error:
            raise self.error(str(error), node, help=instead_of_value(value)) from error
        if isinstance(kind, Array):
            return self.captured_array(value, getattr(node, "name", "captured"))
        items = [getattr(value, name) for name, _ in kind.fields] if isinstance(kind, Struct) else value
        return self.builder.convert(make_tuple(tuple(self.constant(item, node) for item in items)), kind)

    def captured_list(self, container: list[Any], node: untyped.Node) -> Operand:
        """A captured list as an operand."""
        raise NotImplementedError

    def captured_array(self, array: Any, name: str) -> Operand:
        """The parameter that an array is passed as which the function, or one that it calls, captured."""
        found = self.captured.get(id(array))
        if found is None:
            taken = {parameter.name for parameter in self.builder.parameters}
            alternatives = (f"{name}.{number}" for number in range(2, len(taken) + 3))
            unused = name if name not in taken else next(other for other in alternatives if other not in taken)
            # LIFETIME: the array is held with its operand, so that its identity can't come to mean another.
            found = self.captured[id(array)] = (array, self.builder.parameter(unused, typeof(array)))
        return found[1]


def _holds_contents(value: tuple[Any, ...]) -> bool:
    """Whether there are lists or dicts in a tuple, which are read like those that are in none."""
    return any(type(item) in (list, dict) or (type(item) is tuple and _holds_contents(item)) for item in value)
