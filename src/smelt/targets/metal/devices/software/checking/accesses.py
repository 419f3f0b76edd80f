# SPDX-License-Identifier: Apache-2.0
"""The instructions of a kernel that access memory, and what their pointers point into, as far as the code says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smelt.targets.metal.devices.software.listings import leading_type, split_list

READ, WRITE, ATOMIC = range(3)

PRIVATE, ANYWHERE = "private", "anywhere"
"""Roots beside parameters and variables: memory that is smelt's own, and what was loaded or computed."""


@dataclass(frozen=True)
class Access:
    """An access to memory.

    Attributes
    ----------
    kind
        READ, WRITE or ATOMIC.
    pointer_type, pointer
        The operand.
    size
        How many bytes, as a number of LLVM IR: a constant expression, or a value.
    """

    kind: int
    pointer_type: str
    pointer: str
    size: str


_RESULT = r"^  (?:(?P<name>%[^ ]+) = )?"
_LOAD = re.compile(_RESULT + r"load (?:atomic )?(?:volatile )?(?P<rest>.*)$")
_STORE = re.compile(_RESULT + r"store (?:atomic )?(?:volatile )?(?P<rest>.*)$")
_EXCHANGE = re.compile(_RESULT + r"(?:atomicrmw (?:volatile )?\w+|cmpxchg (?:weak )?(?:volatile )?) ?(?P<rest>.*)$")
_COPY = re.compile(r"^  (?:tail )?call void @llvm\.mem(?P<what>cpy|move|set)[\w.]*\((?P<rest>.*)\)[^()]*$")
_LOG = re.compile(r"^  (?:tail )?call void @air\.os_log\((?P<rest>.*)\)[^()]*$")
_POINTER = re.compile(
    r"^(?P<type>ptr(?: addrspace\(\d+\))?) (?:(?:noundef|nonnull|align \d+|captures\([^)]*\)|nocapture|noalias|readonly|writeonly"
    r"|dereferenceable\(\d+\)) )*(?P<value>%[^ ]+|@[\w.$-]+|@\"[^\"]+\"|null|undef|poison|zeroinitializer|\w+ \(.*\)|getelementptr .*\))"
)


def accesses_of(line: str) -> tuple[Access, ...]:
    """What an instruction accesses: memory that is copied is read in one place and written in another."""
    load = _LOAD.match(line)
    if load is not None:
        kind, pointer, *_ = split_list(load["rest"])
        return (_access(ATOMIC if "load atomic" in line else READ, pointer, size_of(kind)),)
    store = _STORE.match(line)
    if store is not None:
        value, pointer, *_ = split_list(store["rest"])
        return (_access(ATOMIC if "store atomic" in line else WRITE, pointer, size_of(leading_type(value))),)
    exchange = _EXCHANGE.match(line)
    if exchange is not None:
        pointer, value, *_ = split_list(exchange["rest"])
        return (_access(ATOMIC, pointer, size_of(leading_type(value))),)
    copy = _COPY.match(line)
    if copy is not None:
        target, source, count, *_ = split_list(copy["rest"])
        size = count.rsplit(" ", maxsplit=1)[-1]
        written = _access(WRITE, target, size)
        return (written,) if copy["what"] == "set" else (written, _access(READ, source, size))
    log = _LOG.match(line)
    if log is not None:
        *_, arguments, count = split_list(log["rest"])
        return (_access(READ, arguments, count.rsplit(" ", maxsplit=1)[-1]),)
    return ()


def has_size(line: str) -> bool:
    """Whether one of the operands of an instruction says how much memory it accesses."""
    return _COPY.match(line) is not None or _LOG.match(line) is not None


def _access(kind: int, pointer: str, size: str) -> Access:
    found = _POINTER.match(pointer)
    if found is None:
        raise ValueError(f"{pointer!r} is no pointer that is understood")
    return Access(kind, found["type"], found["value"], size)


_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "ptr": 64}


def size_of(kind: str) -> str:
    """The bytes that a type takes in an access, as a number of LLVM IR."""
    vector = re.fullmatch(r"<(\d+) x (\w+)>", kind)
    count, scalar = (int(vector[1]), vector[2]) if vector is not None else (1, kind)
    bits = _BITS.get(scalar) or (int(scalar[1:]) if re.fullmatch(r"i\d+", scalar) else None)
    if bits is None:
        return f"ptrtoint (ptr getelementptr ({kind}, ptr null, i64 1) to i64)"
    return str(max(1, count * bits // 8))


_DERIVED = re.compile(
    r"^  (?P<name>%[^ ]+) = (?P<what>getelementptr|bitcast|addrspacecast|freeze|phi ptr(?: addrspace\(\d+\))?|select|alloca) ?(?P<rest>.*)$"
)


_SPACE = r"ptr(?: addrspace\(\d+\))?"
_LOADED = re.compile(
    rf"^  (?P<name>%[^ ]+) = (?:load (?:volatile )?(?P<load>{_SPACE}), |inttoptr i\d+ .* to (?P<cast>{_SPACE}))"
)


class Roots:
    """What the pointers of a function point into.

    Attributes
    ----------
    private
        The memory of the thread, with how many bytes it has.
    loaded
        The pointers that were read from memory, or made of numbers, with their types.
    """

    def __init__(self, body: Sequence[str], parameters: Iterable[str]) -> None:
        self._parameters = frozenset(parameters)
        self._sources: dict[str, tuple[str, ...]] = {}
        self.private: dict[str, str] = {}
        self.loaded: dict[str, str] = {}
        for line in body:
            loaded = _LOADED.match(line)
            if loaded is not None and not loaded["name"].startswith("%smelt."):
                self.loaded[loaded["name"]] = loaded["load"] or loaded["cast"]
            found = _DERIVED.match(line)
            if found is None:
                continue
            if found["what"] == "alloca":
                self.private[found["name"]] = _allocated(found["rest"])
            else:
                self._sources[found["name"]] = _sources(found["what"], found["rest"])

    def of(self, pointer: str) -> tuple[str, ...]:
        """Of which of these a pointer may point: parameters, variables, memory of the thread, by their names, `PRIVATE`, `ANYWHERE`."""
        seen, todo, roots = {pointer}, [pointer], set[str]()
        while todo:
            value = todo.pop()
            if value in self._parameters or value in self.private or value in self.loaded:
                roots.add(value)
            elif value == "%smelt.state" or value.startswith("%smelt.own"):
                roots.add(PRIVATE)
            elif value in self._sources:
                new = [source for source in self._sources[value] if source not in seen]
                seen.update(new)
                todo += new
            elif not value.startswith("%"):
                roots.update(_variables(value))
            else:
                roots.add(ANYWHERE)
        return tuple(sorted(roots))


def _variables(constant: str) -> Iterable[str]:
    if constant in ("undef", "poison"):
        return ()
    return re.findall(r"@(?:[\w.$-]+|\"[^\"]+\")", constant) or (ANYWHERE,)


def _allocated(rest: str) -> str:
    """How many bytes an alloca takes."""
    kind, *more = split_list(rest)
    count = next((part.split(" ")[1] for part in more if re.match(r"i\d+ \d+", part)), "1")
    if count == "1":
        return size_of(kind)
    return f"ptrtoint (ptr getelementptr ({kind}, ptr null, i64 {count}) to i64)"


def _sources(what: str, rest: str) -> tuple[str, ...]:
    if what == "getelementptr":
        text = re.sub(r"^(?:(?:inbounds|nuw|nusw|inrange\([^)]*\)) )+", "", rest)
        return (_value(split_list(text)[1]),)
    if what.startswith("phi"):
        incoming = re.findall(r"\[ (.+?), %(?:[\w.$-]+|\"[^\"]+\") \]", rest)
        return tuple(incoming)
    if what == "select":
        parts = split_list(rest)
        return tuple(_value(part) for part in parts[1:3] if part.startswith("ptr")) or (ANYWHERE,)
    text = rest.partition(" to ")[0]
    return (_value(text),) if text.startswith("ptr") else (ANYWHERE,)


def _value(operand: str) -> str:
    found = _POINTER.match(operand)
    return found["value"] if found is not None else ANYWHERE
