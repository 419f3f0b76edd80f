# SPDX-License-Identifier: Apache-2.0
"""Constants and classes as bytes that are the same in every process, on every machine and in every Python version.

Everything is framed, that is, preceded by its length and tagged with its type, so that no two different values give the
same bytes. Nothing here asks `repr`, `id`, `hash`, `pickle` or `marshal`, which all depend on the process or on the version
of Python. What has no stable encoding is refused by name, never guessed.
"""

from __future__ import annotations

import enum
import struct
import types
import typing
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, NewType, TypeVar

from smelt.caching.digests import digest
from smelt.caching.errors import FingerprintError, SourceError
from smelt.caching.sources import function_source
from smelt.caching.syntax import normal_form
from smelt.records import fields, is_dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from smelt.caching.sources import FunctionSource


def encode(value: object, name: str) -> bytes:
    """The bytes that stand for a constant, a class or a type annotation.

    Parameters
    ----------
    value
        What `fingerprint_constant` accepts.
    name
        What to call it in errors.

    Raises
    ------
    FingerprintError
        If the value, or something in it, has no stable encoding.
    """
    try:
        return _encode(value, _Place(name, {}))
    except RecursionError as error:
        raise FingerprintError(f"{name}: it is nested too deeply for a stable fingerprint") from error


def encode_source(source: FunctionSource, *, annotations: bool) -> dict[str, bytes]:
    """The bytes that stand for the text of a function, by named parts: see `normal_form`."""
    parts = normal_form(source, annotations=annotations)
    return {label: sequence([_ATOMS[type(value)](value) for value in part]) for label, part in parts.items()}


def register_fingerprint(cls: type, function: Callable[[Any], object]) -> None:
    """Say how instances of `cls`, and of classes derived from it, are fingerprinted.

    Parameters
    ----------
    cls
        The class. Of those that an object's class derives from, the nearest one counts.
    function
        Gives the constants that stand for an object: whatever `fingerprint_constant` accepts, often a tuple.

    Raises
    ------
    ValueError
        If another function is registered for the class, or the class is one whose fingerprint is settled here.
    """
    if cls in _ATOMS or cls in {tuple, frozenset}:
        raise ValueError(f"how {cls.__qualname__} is fingerprinted is settled")
    if _registered.setdefault(cls, function) is not function:
        raise ValueError(f"{_name_of(cls)} has a registered fingerprint already")


_registered: dict[type, Callable[[Any], object]] = {}


def frame(tag: str, payload: bytes) -> bytes:
    """The payload preceded by its tag and its length."""
    return b"%b %d:%b" % (tag.encode(), len(payload), payload)


def sequence(encoded: Iterable[bytes], tag: str = "tuple") -> bytes:
    """A frame around what is framed already."""
    return frame(tag, b"".join(encoded))


@lru_cache(maxsize=4096)
def encode_str(value: str) -> bytes:
    """The bytes that stand for a string."""
    # It may hold half of a surrogate pair.
    return frame("str", value.encode("utf-8", "surrogatepass"))


def encode_int(value: int) -> bytes:
    """The bytes that stand for an integer."""
    return frame("int", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


_ATOMS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: frame("None", b""),
    type(...): lambda _: frame("Ellipsis", b""),
    bool: lambda value: frame("bool", b"\1" if value else b"\0"),
    int: encode_int,
    float: lambda value: frame("float", struct.pack("<d", value)),
    complex: lambda value: frame("complex", struct.pack("<dd", value.real, value.imag)),
    str: encode_str,
    bytes: lambda value: frame("bytes", value),
}


class _Place(NamedTuple):
    """Where in the whole something stands."""

    path: str
    """How a reader finds it; for errors."""
    known: dict[int, tuple[type, bytes]]
    """The classes encoded so far, by identity."""
    inside: tuple[object, ...] = ()
    """The objects around it."""
    refer: Callable[[type, str], bytes] | None = None
    """In the layout of a class: what stands for another one, given its path."""

    def at(self, path: str) -> _Place:
        return self._replace(path=path)


def _encode(value: Any, place: _Place) -> bytes:
    kind = type(value)
    if kind in _ATOMS:
        return _ATOMS[kind](value)
    custom = _custom_fingerprint(kind)
    if issubclass(kind, type) and custom is None:
        return _encode_class(value, place)
    if any(outer is value for outer in place.inside):
        raise FingerprintError(f"{place.path}: {_described(value)} holds itself, and has no stable fingerprint")
    place = place._replace(inside=(*place.inside, value))
    if kind is tuple:
        return sequence([_encode(item, place.at(f"{place.path}[{index}]")) for index, item in enumerate(value)])
    if kind is frozenset:
        return sequence(sorted([_encode(item, place.at(f"an item of {place.path}")) for item in value]), "frozenset")
    if custom is not None:
        described_by, function = custom
        constants = _encode(function(value), place.at(f"the fingerprint of {place.path}"))
        return sequence([_encode_names(described_by), constants], "custom")
    return _encode_object(value, place)


def _encode_object(value: Any, place: _Place) -> bytes:
    kind = type(value)
    if issubclass(kind, enum.Enum):
        identity = _encode_enum_identity(kind)
        name, content = _encode(value.name, place), _encode(value.value, place.at(f"{place.path}.value"))
        return sequence([identity, name, content], "enum member")
    if kind is range:
        return sequence([encode_int(int(number)) for number in (value.start, value.stop, value.step)], "range")
    if kind is types.FunctionType:
        return _encode_function(value, place)
    if kind is types.BuiltinFunctionType and isinstance(value.__self__, types.ModuleType):
        return sequence([encode_str(value.__self__.__name__), encode_str(value.__qualname__)], "builtin function")
    if kind is types.ModuleType:
        return sequence([encode_str(value.__name__)], "module")
    if _is_annotation(value):
        return _encode_annotation(value, place)
    if (names := _constant_fields(value)) is not None:
        return _encode_record(value, names, place)
    raise FingerprintError(f"{place.path}: {_described(value)} has no stable fingerprint; {_what_to_use_instead(kind)}")


def _encode_function(function: types.FunctionType, place: _Place) -> bytes:
    try:
        source = function_source(function)
    except SourceError as error:
        raise FingerprintError(f"{place.path}: a function without source has no stable fingerprint: {error}") from error
    parts = encode_source(source, annotations=False)
    return sequence([encode_str(label) + part for label, part in parts.items()], "function")


def _encode_record(value: Any, names: Iterable[str], place: _Place) -> bytes:
    encoded = [_encode(type(value), place.at(f"the class of {place.path}"))]
    for name in names:
        try:
            content = getattr(value, name)
        except AttributeError as error:
            raise FingerprintError(f"{place.path}.{name}: the field has no value") from error
        encoded += [encode_str(name), _encode(content, place.at(f"{place.path}.{name}"))]
    return sequence(encoded, "record")


def _encode_class(cls: type, place: _Place) -> bytes:
    if not (issubclass(cls, enum.Enum) or is_dataclass(cls) or _is_named_tuple(cls)):
        return sequence([_encode_names(cls)], "class")
    if place.refer is not None:
        return frame("class referred to", place.refer(cls, place.path))
    if id(cls) not in place.known:
        place.known[id(cls)] = cls, _digest_of_class(cls, place)
    return frame("class", place.known[id(cls)][1])


def _digest_of_class(cls: type, place: _Place) -> bytes:
    """What stands for a class with all classes that it refers to, as by its fields, and these to others, and so maybe back to it.

    Each class gets a digest of its layout, in which names stand for those that it refers to. Where this tells more of them apart than
    their names, it gets another, in which those digests stand for them, and so on: the minimisation of automata by Moore. So it plays
    no part in which order classes are met, nor how often, and two of the same layout count as one.
    """
    met = {id(cls): (cls, place.path)}
    digests: dict[int, bytes] = {}

    def mark(key: int) -> bytes:
        return digests.get(key) or encode_str(met[key][0].__qualname__)

    def refer(other: type, path: str) -> bytes:
        met.setdefault(id(other), (other, path))
        return mark(id(other))

    def layouts() -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        # The first time, more of them are met as this goes.
        while new := [key for key in met if key not in found]:
            if len(met) > _MOST_CLASSES:
                raise FingerprintError(f"{place.path}: it refers to more than {_MOST_CLASSES} classes")
            for key in new:
                one, path = met[key]
                found[key] = digest(_encode_layout(one, place._replace(path=path, inside=(), refer=refer)))
        return found

    finer = layouts()
    while len(set(finer.values())) > len(set(map(mark, met))):
        digests = finer
        finer = layouts()
    whole = sorted({mark(key) + finer[key] for key in met})
    return digest(sequence([frame("digest", one) for one in (mark(id(cls)), *whole)]))


_MOST_CLASSES = 4096
"""Annotations are programs, which may make a new class each time."""


def _encode_layout(cls: type, place: _Place) -> bytes:
    if issubclass(cls, enum.Enum):
        members = [
            encode_str(name) + _encode(member.value, place.at(f"{place.path}.{name}.value"))
            for name, member in cls.__members__.items()
        ]
        return sequence([_encode_enum_identity(cls), *members], "enum class")
    if is_dataclass(cls):
        annotations = {field.name: field.type for field in fields(cls)}
        return sequence([_ATOMS[bool](_is_frozen(cls)), *_encode_fields(cls, annotations, place)], "dataclass")
    # Those of `collections.namedtuple` have no annotations.
    annotations = dict.fromkeys(cls._fields, "object")  # type: ignore[attr-defined]
    return sequence(_encode_fields(cls, annotations, place), "named tuple")


def _encode_names(cls: type) -> bytes:
    return sequence([encode_str(cls.__module__), encode_str(cls.__qualname__)])


def _encode_enum_identity(cls: type[enum.Enum]) -> bytes:
    # What its members are besides: `IntEnum.A + 1` is a number, `Enum.A + 1` an error.
    besides = [kind.__name__ for kind in (int, float, complex, str, bytes, tuple, enum.Flag) if issubclass(cls, kind)]
    return sequence([encode_str(cls.__qualname__), *map(encode_str, besides)])


def _encode_fields(cls: type, annotations: dict[str, Any], place: _Place) -> list[bytes]:
    if not all(isinstance(annotation, type) for annotation in annotations.values()):
        resolved = _resolved_annotations(cls, place)
        annotations = {name: resolved.get(name, object) for name in annotations}
    encoded = [encode_str(cls.__qualname__)]
    for name, annotation in annotations.items():
        encoded += [encode_str(name), _encode_annotation(annotation, place.at(f"{place.path}.{name}"))]
    return encoded


def _resolved_annotations(cls: type, place: _Place) -> dict[str, Any]:
    try:
        try:
            return typing.get_type_hints(cls, include_extras=True)
        except NameError:
            # A class defined in a function that refers to itself, or to a class in its own body, by name.
            return typing.get_type_hints(cls, localns={**vars(cls), cls.__name__: cls}, include_extras=True)
    except Exception as error:
        # Annotations are programs: what they raise is not known here.
        raise FingerprintError(
            f"{place.path}: the annotations of {_name_of(cls)} can't be resolved ({type(error).__name__}: {error}), so it "
            "has no stable fingerprint; define what they name at the top level of the module"
        ) from error


def _encode_annotation(annotation: Any, place: _Place) -> bytes:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None:
        annotation = type(None)
    if isinstance(annotation, TypeVar):
        return sequence([encode_str(annotation.__name__)], "type variable")
    if isinstance(annotation, NewType):
        meaning = _encode_annotation(annotation.__supertype__, place)
        return sequence([encode_str(annotation.__name__), meaning], "new type")
    if isinstance(annotation, _ALIASES):
        return _encode_annotation(annotation.__value__, place)
    if origin is None:
        return _encode(annotation, place)
    if origin is typing.Final:
        return _encode_annotation(arguments[0], place)
    if origin in {typing.Union, types.UnionType}:
        return sequence(sorted({_encode_annotation(argument, place) for argument in arguments}), "union")
    if origin in {typing.Annotated, typing.Literal}:
        encoded = [_encode(argument, place.at(f"{place.path}[{index}]")) for index, argument in enumerate(arguments)]
        return sequence([encode_str("Annotated" if origin is typing.Annotated else "Literal"), *encoded], "form")
    encoded = [
        # The parameters of a callable are a list.
        sequence([_encode_annotation(item, place) for item in argument], "list")
        if isinstance(argument, list)
        else _encode_annotation(argument, place)
        for argument in arguments
    ]
    return sequence([_encode(origin, place), *encoded], "generic")


_ALIASES = (typing.TypeAliasType,) if hasattr(typing, "TypeAliasType") else ()
"""What the `type` statement of Python 3.12 makes."""


def _is_annotation(value: Any) -> bool:
    return typing.get_origin(value) is not None or isinstance(value, (TypeVar, NewType, *_ALIASES))


def _custom_fingerprint(kind: type) -> tuple[type, Callable[[Any], object]] | None:
    """The class that says how objects of class `kind` are fingerprinted, and how; from the nearest of its bases."""
    for base in kind.__mro__:
        if base in _registered:
            return base, _registered[base]
        if (method := vars(base).get("__fingerprint__", _custom_fingerprint)) is not _custom_fingerprint:
            # None takes away what a base has, as it does with `__hash__`.
            return None if method is None else (kind, kind.__fingerprint__)  # type: ignore[attr-defined]
    return None


def _constant_fields(value: Any) -> Iterable[str] | None:
    """The names of all that an immutable record holds; None where it may hold more, or isn't immutable."""
    kind = type(value)
    if _is_named_tuple(kind):
        # A class derived from a named tuple may give its objects attributes besides.
        return None if getattr(value, "__dict__", None) else kind._fields
    # The decorator itself has to be on the class: one derived from a frozen dataclass without it is not frozen.
    if "__dataclass_params__" in vars(kind) and _is_frozen(kind) and not issubclass(kind, _VALUES):
        return [field.name for field in fields(kind)]
    return None


_VALUES = (int, float, complex, str, bytes, bytearray, tuple, frozenset, list, set, dict)
"""Classes whose instances hold something that is no field."""


def _is_frozen(cls: Any) -> bool:
    return bool(cls.__dataclass_params__.frozen)


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def _name_of(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _described(value: object) -> str:
    if isinstance(value, type):
        return f"class {_name_of(value)}"
    return f"an object of class {_name_of(type(value))}"


def _what_to_use_instead(kind: type) -> str:
    if is_dataclass(kind):
        return "decorate its class with @dataclass(frozen=True), or define __fingerprint__ on it"
    simple = {list: "a tuple", set: "a frozenset", dict: "a tuple of pairs or a frozen dataclass", bytearray: "bytes"}
    if kind in simple:
        return f"use {simple[kind]}"
    return "use numbers, strings, tuples, enums or frozen dataclasses, or define __fingerprint__ on its class"
