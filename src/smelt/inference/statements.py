# SPDX-License-Identifier: Apache-2.0
"""Statements: control flow, assignment, and what a function returns.

A loop is inferred again and again until the types of its variables no longer change: they begin as what comes into the loop and widen
by what comes round. What was built on the way to that is thrown away.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from contextlib import suppress

from smelt.caching import read_global
from smelt.inference.assignment import AssignmentInference
from smelt.inference.calls import is_passed
from smelt.inference.context import Frame, Loop, NeverReturns
from smelt.inference.environment import Unusable, Way, Ways, common_type, join, join_operands, leave
from smelt.inference.iteration import Rounds, rounds
from smelt.ir import untyped
from smelt.ir.builder import NONE, Operand, constant
from smelt.ir.typed import Value
from smelt.types import Constant, Type, boolean, weak_int

_MOST_UNROLLED = 1024
"""The most rounds of a loop over a tuple: each is a copy of its body."""


class StatementInference(AssignmentInference):
    """Infers statements and whole functions."""

    def run(self, frame: Frame, node: untyped.Node) -> Operand:
        """Infer a function in place: what it returns, where its returns come together."""
        self.statements(frame, frame.body.statements)
        if self.builder.is_reachable:
            self._return(frame, NONE)
        if not frame.returns:
            raise NeverReturns
        result = join_operands(self.builder, frame.returns, "returned")
        if result is None:
            kinds = " or ".join(dict.fromkeys(str(operand.type) for _, operand in frame.returns))
            raise self.error(f"{frame.body.name} returns {kinds}", node, help="return values of one type on every way")
        return result

    def statements(self, frame: Frame, nodes: Iterable[untyped.Statement]) -> None:
        for node in nodes:
            if not self.builder.is_reachable:
                return
            self.builder.position = node.position
            with suppress(NeverReturns):
                self.statement(frame, node)

    def statement(self, frame: Frame, node: untyped.Statement) -> None:
        match node:
            case untyped.Assign(targets=targets, value=value):
                operand = self.evaluate(frame, value)
                for target in targets:
                    self.assign(frame, target, operand)
            case untyped.AugmentedAssign():
                self.assign_augmented(frame, node)
            case untyped.Evaluate(value=value):
                self.evaluate(frame, value)
            case untyped.If():
                self._if(frame, node)
            case untyped.While():
                self._while(frame, node)
            case untyped.For():
                self._for(frame, node)
            case untyped.Break():
                frame.loops[-1].breaks += leave(self.builder, frame.variables)
            case untyped.Continue():
                frame.loops[-1].continues += leave(self.builder, frame.variables)
            case untyped.Return(value=value):
                self._return(frame, NONE if value is None else self.evaluate(frame, value))
            case untyped.Raise(error=error):
                self.builder.fail(*self._error_raised(frame, error))
            case untyped.Assert():
                self._assert(frame, node)
            case untyped.With(context=context, body=body):
                self._with(frame, context, body)

    def _if(self, frame: Frame, node: untyped.If) -> None:
        then, otherwise = self.decide(frame, node.test)
        ways: list[Way] = []
        for begins, statements in ((then, node.then), (otherwise, node.otherwise)):
            frame.variables = join(self.builder, begins, "branch")
            if begins:
                self.statements(frame, statements)
                ways += leave(self.builder, frame.variables)
        frame.variables = join(self.builder, ways, "after_if")

    def _while(self, frame: Frame, node: untyped.While) -> None:
        def test() -> Ways:
            return self.decide(frame, node.test)

        self._loop(frame, node, node.assigned, test, lambda: self.statements(frame, node.body), node.otherwise)

    def _for(self, frame: Frame, node: untyped.For) -> None:
        over = rounds(self, self.evaluate(frame, node.iterable), node.iterable)
        if over.is_unrolled:
            self._unrolled(frame, node, over)
            return
        builder = self.builder
        counter = f"round.{node.position.line}.{node.position.column}"
        count = builder.value(over.count)
        frame.variables[counter] = constant(0)

        def number() -> Operand:
            operand = frame.variables[counter]
            assert isinstance(operand, Operand)
            return operand

        def test() -> Ways:
            return self.fork(frame, Operand(boolean, builder.emit("lt", (builder.value(number()), count))))

        def body() -> None:
            with suppress(NeverReturns):
                self.assign(frame, node.target, over.item(number()))
            self.statements(frame, node.body)

        def advance() -> None:
            builder.position = node.position
            one = builder.value(constant(1))
            frame.variables[counter] = Operand(weak_int, builder.emit("add", (builder.value(number()), one)))

        self._loop(frame, node, (*node.assigned, counter), test, body, node.otherwise, advance)
        frame.variables.pop(counter, None)

    def _unrolled(self, frame: Frame, node: untyped.For, over: Rounds) -> None:
        if over.count.known > _MOST_UNROLLED:
            raise self.error(
                f"a loop over a tuple of {over.count.known} is written out; the most is {_MOST_UNROLLED}", node
            )
        breaks: list[Way] = []
        for number in range(over.count.known):
            if not self.builder.is_reachable:
                break
            loop = Loop()
            frame.loops.append(loop)
            with suppress(NeverReturns):
                self.assign(frame, node.target, over.item(constant(number)))
            self.statements(frame, node.body)
            frame.loops.pop()
            breaks += loop.breaks
            ways = [*loop.continues, *leave(self.builder, frame.variables)]
            frame.variables = join(self.builder, ways, "next_round")
        if self.builder.is_reachable:
            self.statements(frame, node.otherwise)
        frame.variables = join(self.builder, [*breaks, *leave(self.builder, frame.variables)], "after_loop")

    def _loop(
        self,
        frame: Frame,
        node: untyped.While | untyped.For,
        assigned: tuple[str, ...],
        test: Callable[[], Ways],
        body: Callable[[], None],
        otherwise: tuple[untyped.Statement, ...],
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        builder = self.builder
        before = dict(frame.variables)
        carried = {name: before[name] for name in assigned if name in before}
        types: dict[str, Type | None] = {
            name: operand.type if isinstance(operand, Operand) else None for name, operand in carried.items()
        }
        for name, known in self.loop_types.get(node, {}).items():
            initial = types.get(name)
            types[name] = None if initial is None or known is None else common_type(builder, [initial, known])
        while True:
            mark, edges, returns = builder.mark(), len(self.edges), len(frame.returns)
            header = builder.new_block("loop")
            frame.variables = {name: operand for name, operand in before.items() if name not in assigned}
            for name, kind in types.items():
                frame.variables[name] = _at_header(carried[name], kind, name, header.parameters)
            entry = Way(builder.current, before)
            builder.suspend()
            builder.enter(header)
            exits, rounds_end = self._round(frame, test, body, advance)
            widened = {name: self._widened(name, kind, rounds_end) for name, kind in types.items()}
            if widened == types:
                break
            builder.go_back(mark)
            del self.edges[edges:], frame.returns[returns:]
            types = widened
        self.loop_types[node] = types
        for way in (entry, *rounds_end):
            builder.resume(way.block)
            builder.jump(header, [self._given(way, name, kind) for name, kind in types.items() if _is_carried(kind)])
        loop_exits, loop_breaks = exits
        frame.variables = join(builder, loop_exits, "loop_end")
        if loop_exits:
            self.statements(frame, otherwise)
            loop_exits = leave(builder, frame.variables)
        frame.variables = join(builder, [*loop_exits, *loop_breaks], "after_loop")

    def _round(
        self, frame: Frame, test: Callable[[], Ways], body: Callable[[], None], advance: Callable[[], None]
    ) -> tuple[tuple[list[Way], list[Way]], list[Way]]:
        """Infer one round of a loop: the ways out of it by its test and by `break`, and the ways to the next round."""
        builder = self.builder
        inside, exits = test()
        frame.variables = join(builder, inside, "round")
        if not inside:
            return (exits, []), []
        loop = Loop()
        frame.loops.append(loop)
        body()
        frame.loops.pop()
        frame.variables = join(builder, [*loop.continues, *leave(builder, frame.variables)], "next_round")
        if builder.is_reachable:
            advance()
        return (exits, loop.breaks), leave(builder, frame.variables)

    def _widened(self, name: str, kind: Type | None, ways: list[Way]) -> Type | None:
        for way in ways:
            operand = way.variables.get(name)
            if kind is None or not isinstance(operand, Operand):
                return None
            kind = common_type(self.builder, [kind, operand.type])
        return kind

    def _given(self, way: Way, name: str, kind: Type | None) -> Value:
        operand = way.variables[name]
        assert isinstance(operand, Operand)
        assert kind is not None
        return self.builder.value(self.builder.convert(operand, kind))

    def _return(self, frame: Frame, operand: Operand) -> None:
        if self.builder.is_reachable:
            frame.returns.append((self.builder.current, operand))
            self.builder.suspend()

    def _assert(self, frame: Frame, node: untyped.Assert) -> None:
        if not self.read(read_global, frame.function, "__debug__", node):
            return
        test = self.evaluate_truth(frame, node.test)
        message = "" if node.message is None else self._message(frame, node.message)
        self.builder.position = node.position
        if test.is_constant:
            if not test.known:
                self.builder.fail("AssertionError", message)
            return
        self.builder.do("check", (self.builder.value(test),), error="AssertionError", message=message)

    def _error_raised(self, frame: Frame, node: untyped.Expression) -> tuple[str, str]:
        function, arguments = (node.function, node.arguments) if isinstance(node, untyped.Call) else (node, ())
        cls = self.evaluate(frame, function)
        value = cls.known if isinstance(cls.type, Constant) else None
        name = value.__name__ if isinstance(value, type) and issubclass(value, Exception) else ""
        if not name or getattr(builtins, name, None) is not value or len(arguments) > 1:
            raise self.error(
                "a kernel raises a built-in exception with one constant message",
                node,
                help="write `raise ValueError('...')`",
            )
        return name, self._message(frame, arguments[0]) if arguments else ""

    def _message(self, frame: Frame, node: untyped.Expression) -> str:
        operand = self.evaluate(frame, node)
        if not operand.is_constant:
            raise self.error("a message in a kernel is constant", node, help="leave the value out")
        return str(operand.known)

    def _with(self, frame: Frame, context: untyped.Expression, body: tuple[untyped.Statement, ...]) -> None:
        manager = self.evaluate(frame, context)
        if not (isinstance(manager.type, Constant) and manager.known is UNCHECKED):
            raise self.error("the one `with` of kernels is `with smelt.inbounds():`", context)
        was_checked, self.is_checked = self.is_checked, False
        self.statements(frame, body)
        self.is_checked = was_checked


UNCHECKED = type("inbounds", (), {})
"""What a call of `smelt.inbounds` evaluates to."""


def _is_carried(kind: Type | None) -> bool:
    return kind is not None and is_passed(kind)


def _at_header(before: Operand | Unusable, kind: Type | None, name: str, parameters: list[Value]) -> Operand | Unusable:
    """A variable that a loop assigns, at the beginning of each of its rounds."""
    if isinstance(before, Unusable):
        return before
    if kind is None:
        return Unusable(f"{name} has values of different types before and in the loop")
    if not _is_carried(kind):
        return before
    value = Value(kind, name)
    parameters.append(value)
    return Operand(kind, value)
