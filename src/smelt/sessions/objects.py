# SPDX-License-Identifier: Apache-2.0
"""The objects of a program that a compilation came upon, named by the way that led to them.

Compiling begins with a function and the types of its arguments. Everything else was read: from the globals of a function that was known by
then, from a module, a class, a cell. So each object has a *reference*: the number of the edge under which it was read, and the steps from
that value to the object. The same edges read in the same order in another process lead to the objects that stand there.

A description says what compiling may have made of a value, apart from what it read of it, which has edges of its own. Objects that
count by identity are told apart by whether they were met before, and where.
"""

from __future__ import annotations

import enum
import functools
import inspect
import struct
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from smelt.caching import MISSING, FingerprintError, StoreError
from smelt.caching.edges import class_dict
from smelt.caching.encoding import encode, encode_int, encode_str, frame, sequence
from smelt.records import fields, is_dataclass
from smelt.types import Type, typeof
from smelt.types.records import declared_field_type, field_defaults, field_names, is_value_class

Reference: TypeAlias = tuple[Any, ...]
"""The number of an edge, `FUNCTION` or `TYPES`, and the steps from there; or the module and the qualified name of what is in smelt."""

FUNCTION, TYPES = -1, -2

_MOST_DEPTH = 12
"""How far objects are looked for in others."""


class UnnamedError(StoreError):
    """Something that code depends on which can't be named, so that the code can't be kept."""


def is_of_smelt(function: object) -> bool:
    """Whether a function is part of smelt, and so of what the compiler's fingerprint covers."""
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return isinstance(module, str) and (module == "smelt" or module.startswith("smelt."))


class Objects:
    """The objects that are known so far.

    Parameters
    ----------
    function
        The function that is compiled.
    types
        The types of its arguments.
    """

    def __init__(self, function: types.FunctionType, types: tuple[Any, ...]) -> None:
        self._references: dict[int, Reference] = {}
        self._containers: dict[int, tuple[str, Reference]] = {}
        self._origins: dict[int, Any] = {}
        # LIFETIME: what is known is held, so that its address can't come to mean another object.
        self._held: list[Any] = []
        self.add(function, FUNCTION)
        self.add(types, TYPES)

    def add(self, value: Any, origin: int) -> None:
        """Know `value`, which was read under the edge of number `origin`, and what is in it."""
        self._origins[origin] = value
        self._add(value, (origin,), 0)

    def knows(self, value: object) -> bool:
        """Whether `value` was read, or is in what was."""
        return id(value) in self._references

    def reference(self, value: object) -> Reference:
        """How to find `value` again. Raises `UnnamedError` if nothing leads to it."""
        known = self._references.get(id(value))
        if known is not None:
            return known
        if is_of_smelt(value):
            return self.importable(value)
        raise UnnamedError(f"{_shown(value)} was not read under any name")

    def importable(self, value: Any) -> Reference:
        """As `reference`; what is not known is named by its module and qualified name: an argument of a call, say, that inference made."""
        known = self._references.get(id(value))
        if known is not None:
            return known
        module = "numpy" if isinstance(value, np.ufunc) else getattr(value, "__module__", None)
        name = getattr(value, "__qualname__", getattr(value, "__name__", None))
        if isinstance(module, str) and isinstance(name, str) and _import(module, name) is value:
            return (module, name)
        raise UnnamedError(f"{_shown(value)} was not read under any name, and can't be imported")

    def resolve(self, reference: Reference) -> Any:
        """The object that a reference leads to. Raises `UnnamedError` if there is none."""
        origin, *steps = reference
        try:
            if isinstance(origin, str):
                return _import(origin, *steps)
            value = self._origins[origin]
            for kind, argument in steps:
                value = _STEPS[kind](value, argument)
        except (KeyError, AttributeError, IndexError, TypeError, ValueError) as error:
            raise UnnamedError(f"nothing is found by {reference}") from error
        return value

    def container(self, container: object) -> tuple[str, Reference]:
        """What a dict or a cell is of which known object. Raises `UnnamedError` if nothing is known that has it."""
        found = self._containers.get(id(container))
        if found is None:
            raise UnnamedError("a namespace was read that belongs to nothing which was read before")
        return found

    def describe(self, value: Any) -> bytes:
        """What stands for `value` in every process. Raises `UnnamedError` for what has no such description."""
        kind = type(value)
        if value is MISSING:
            return frame("missing", b"")
        if kind is tuple:
            return sequence(map(self.describe, value))
        if isinstance(value, Type):
            parts = [self.describe(getattr(value, name)) for name in _field_names(kind)]
            return sequence([encode_str(kind.__name__), *parts], "type")
        if isinstance(value, _BY_IDENTITY) or kind in _CONTENTS or hasattr(kind, "__kernel_function__"):
            known = self._references.get(id(value))
            if known is not None:
                return frame("known", encode(known, "a reference"))
        described = _description(value, self.describe)
        if described is not None:
            return described
        try:
            return frame("constant", encode(value, "a constant"))
        except FingerprintError as error:
            raise UnnamedError(str(error)) from error

    def _add(self, value: Any, reference: Reference, depth: int) -> None:
        kind = type(value)
        if kind in _ATOMS or depth > _MOST_DEPTH or id(value) in self._references:
            return
        self._references[id(value)] = reference
        self._held.append(value)
        for name, argument, part in _parts(value):
            self._add(part, (*reference, (name, argument)), depth + 1)
        for name, container in _containers(value):
            self._containers.setdefault(id(container), (name, reference))


_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
# What is in these has edges of its own.
_CONTENTS: dict[type, str] = {list: "list", dict: "dict"}
_BY_IDENTITY = (type, types.FunctionType, types.ModuleType, np.ndarray)


def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


def _parts(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """What is in an object: the name and argument of the step, and what it leads to."""
    if isinstance(value, tuple):
        yield from (("item", index, part) for index, part in enumerate(value))
    kind = type(value)
    for attribute in _ATTRIBUTES.get(kind, ()):
        yield "attribute", attribute, getattr(value, attribute)
    if hasattr(kind, "__kernel_function__"):
        yield "attribute", "__kernel_function__", value.__kernel_function__
    if isinstance(value, functools.partial):
        yield from (("keyword", name, part) for name, part in value.keywords.items())
    if isinstance(value, _BY_IDENTITY) or kind is tuple:
        return
    if is_dataclass(kind):
        yield from (("attribute", name, getattr(value, name, None)) for name in _field_names(kind))
    if kind.__module__ not in ("builtins", "numpy") and not isinstance(value, Type):
        yield "class", "", kind


_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    types.MethodType: ("__func__", "__self__"),
    property: ("fget",),
    functools.cached_property: ("func",),
    functools.partial: ("func", "args"),
}

_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "item": lambda value, index: value[index],
    "attribute": getattr,
    "keyword": lambda value, name: value.keywords[name],
    "class": lambda value, _: type(value),
}


def _containers(value: Any) -> Iterator[tuple[str, Any]]:
    """The dicts and cells that an object has, and what they are called in a `ReadEdge`."""
    if isinstance(value, types.FunctionType):
        yield "globals", value.__globals__
        yield "builtins", getattr(value, "__builtins__")  # noqa: B009 - not every type stub knows it
        if value.__kwdefaults__ is not None:
            yield "keyword defaults", value.__kwdefaults__
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield f"cell {name}", cell
    elif type(value) in _CONTENTS:
        yield _CONTENTS[type(value)], value
    elif isinstance(value, types.ModuleType):
        yield "module", value.__dict__
    elif isinstance(value, type):
        yield "class", class_dict(value)
        if issubclass(value, enum.Enum):
            yield "members", value._member_map_
    elif isinstance(value, functools.partial):
        yield "keywords", value.keywords


def _description(value: Any, describe: Callable[[Any], bytes]) -> bytes | None:
    kind = type(value)
    if isinstance(value, types.FunctionType):
        return sequence([encode_str(_module_name(value)), encode_str(value.__code__.co_qualname)], "function")
    if kind in _CONTENTS:
        return frame(_CONTENTS[kind], b"")
    if isinstance(value, types.ModuleType):
        return frame("module", value.__name__.encode())
    if isinstance(value, type):
        return _description_of_class(value, describe)
    if hasattr(kind, "__kernel_function__"):
        return sequence([describe(value.__kernel_function__)], "kernel")
    if isinstance(value, (np.ndarray, np.generic)):
        contents = value.tobytes() if isinstance(value, np.generic) else b""
        return sequence([describe(typeof(value)), contents], "numpy value")
    if isinstance(value, np.dtype):
        return _description_of_dtype(value)
    if isinstance(value, (np.ufunc, _DISPATCHER)):
        name = value.__name__
        return sequence([encode_str(name), encode_int(getattr(np, name, None) is value)], "numpy function")
    if isinstance(value, _DESCRIPTORS):
        owner = value.__objclass__
        return sequence(map(encode_str, (kind.__name__, owner.__module__, owner.__qualname__, value.__name__)), "slot")
    if kind is _TUPLE_GETTER:
        return frame("tuple getter", encode_int(value.__reduce__()[1][0]))
    if kind in _ATTRIBUTES:
        parts = [describe(getattr(value, name)) for name in _ATTRIBUTES[kind]]
        keywords = sorted(value.keywords.items()) if isinstance(value, functools.partial) else ()
        return sequence([encode_str(kind.__name__), *parts, describe(tuple(keywords))], "wrapper")
    if not isinstance(value, enum.Enum) and is_value_class(kind):
        fields = [describe(getattr(value, name)) for name in field_names(kind)]
        return sequence([describe(kind), *fields], "record")
    return None


def _description_of_class(cls: type, describe: Callable[[Any], bytes]) -> bytes:
    names = [encode_str(cls.__qualname__)]
    if issubclass(cls, enum.Enum):
        # Its members have edges of their own.
        return sequence([*names, *(encode_str(base.__qualname__) for base in cls.__mro__[1:])], "enumeration")
    if not is_value_class(cls):
        return sequence([encode_str(cls.__module__), *names], "class")
    defaults = field_defaults(cls)
    for name in field_names(cls):
        names.append(encode_str(name))
        declared = declared_field_type(cls, name)
        names.append(describe(declared) if declared is not None else b"")
        names.append(describe(defaults[name]) if name in defaults else b"")
    if is_dataclass(cls):
        names += [encode_int(field.kw_only is True) + encode_int(field.init) for field in fields(cls)]
    # Whether it says itself how it is made: there are edges to its other methods.
    names += [encode_int(int(name in vars(cls))) for name in ("__init__", "__new__", "__post_init__")]
    return sequence(names, "value class")


def _description_of_dtype(dtype: np.dtype[Any]) -> bytes:
    if dtype.names is None or dtype.fields is None:
        return frame("dtype", dtype.str.encode())
    fields = [
        encode_str(name) + _description_of_dtype(dtype.fields[name][0]) + struct.pack("<q", dtype.fields[name][1])
        for name in dtype.names
    ]
    return sequence([encode_int(dtype.itemsize), *fields], "dtype")


_DISPATCHER = type(np.where)
_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
)
# Of any named tuple.
_TUPLE_GETTER = type(vars(inspect.FullArgSpec)["args"])


def _module_name(function: types.FunctionType) -> str:
    name = function.__globals__.get("__name__")
    return name if isinstance(name, str) else ""


def _import(module: str, qualified_name: str) -> Any:
    from pkgutil import resolve_name  # noqa: PLC0415 - seldom needed

    try:
        return resolve_name(f"{module}:{qualified_name}")
    except (ImportError, AttributeError, ValueError):
        return None


def _shown(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return f"{type(value).__qualname__} {name}" if isinstance(name, str) else f"a {type(value).__qualname__}"
