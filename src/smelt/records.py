# SPDX-License-Identifier: Apache-2.0
"""Records: immutable values with named fields, like frozen dataclasses with slots, which cost almost nothing to define.

`@dataclass` compiles the methods of each class when its module is imported: in a process that finds its kernels in the store, that would
be a third of all that it does. The methods of records are those of one base class. Everything that a warm process imports uses records.

    class Position(Record):
        line: int
        column: int = 0

Fields are annotated names, in order, those of base classes first; the module needs `from __future__ import annotations`. Two records are
equal if they are of one class and their fields are; `class Node(Record, eq=False)` is compared by identity. Methods that a class defines
itself stand. The functions of `dataclasses` (`fields`, `replace`, `is_dataclass`...) take records too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, dataclass_transform

_MISSING = object()


class Field:
    """What is declared of a field: as that of `dataclasses`, as far as it goes."""

    __slots__ = ("compare", "default", "metadata", "name", "repr", "type")

    def __init__(self, default: Any, compare: bool, repr: bool, metadata: Mapping[str, Any]) -> None:  # noqa: A002
        self.name, self.type = "", ""
        self.default, self.compare, self.repr, self.metadata = default, compare, repr, metadata


def field(
    *,
    default: Any = _MISSING,
    compare: bool = True,
    repr: bool = True,  # noqa: A002 - as in `dataclasses`
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Declare more of a field than its type: as the function of this name in `dataclasses`."""
    return Field(default, compare, repr, metadata or {})


class _Parameters:
    """What `dataclasses` notes of the arguments of its decorator, as far as anybody asks."""

    __slots__ = ("eq", "frozen")

    def __init__(self, *, eq: bool) -> None:
        self.frozen, self.eq = True, eq


class _DataclassFields:
    """What the functions of `dataclasses` look for on a class. It is made when it is first looked for."""

    def __get__(self, record: object, cls: RecordType) -> Any:
        from dataclasses import field as dataclass_field, make_dataclass  # noqa: PLC0415 - what records are there to avoid

        declared = []
        for own in cls.record_fields.values():
            default = {} if own.default is _MISSING else {"default": own.default}
            made = dataclass_field(repr=own.repr, compare=own.compare, metadata=own.metadata, **default)
            declared.append((own.name, own.type, made))
        fields = make_dataclass(cls.__name__, declared).__dataclass_fields__  # type: ignore[attr-defined]
        cls.__dataclass_fields__ = fields  # type: ignore[attr-defined]
        return fields


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class RecordType(type):
    """The class of classes of records."""

    record_fields: dict[str, Field]

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], *, eq: bool = True) -> RecordType:
        """Make a class of records. Raises `TypeError` if a field without a default stands after one that has one."""
        fields = {
            own: _declared(own, kind, body.pop(own, _MISSING))
            for own, kind in body.get("__annotations__", {}).items()
            if not kind.startswith("ClassVar")
        }
        body["__slots__"] = tuple(fields)
        for base in reversed(bases):
            if isinstance(base, RecordType):
                fields = base.record_fields | fields
        has_default = [own.default is not _MISSING for own in fields.values()]
        if has_default != sorted(has_default):
            raise TypeError(f"{name}: a field without a default stands after one that has one")
        if not eq:
            body = {"__eq__": object.__eq__, "__hash__": object.__hash__} | body
        compared = [own for own, declared in fields.items() if declared.compare] or ["__class__"]
        body |= {
            "record_fields": fields,
            # Of two names and more it gives a tuple, whose items are compared by identity first.
            "_compared": attrgetter(*compared) if len(compared) > 1 else attrgetter(compared[0], compared[0]),
            "__match_args__": tuple(fields),
            "__dataclass_params__": _Parameters(eq=eq),
            "__dataclass_fields__": _DataclassFields(),
        }
        made = super().__new__(cls, name, bases, body)
        made._setters = tuple(getattr(made, own).__set__ for own in fields)
        return made

    _setters: tuple[Callable[[Any, Any], None], ...]


def _declared(name: str, kind: str, value: Any) -> Field:
    declared = value if isinstance(value, Field) else field(default=value)
    declared.name, declared.type = name, kind
    return declared


class Record(metaclass=RecordType):
    """The base of all records."""

    _compared: ClassVar[Any]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init__(self, *values: Any, **named: Any) -> None:
        cls = self.__class__
        if named or len(values) != len(cls._setters):
            values = _bound(cls, values, named)
        for put, value in zip(cls._setters, values):  # noqa: B905 - as many
            put(self, value)
        if cls.__post_init__ is not _no_check:
            self.__post_init__()

    def __post_init__(self) -> None:
        """Check the fields, in classes that have something to check."""

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        compared = self._compared
        return compared(self) == compared(other)  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        return hash(self._compared(self))

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name, own in type(self).record_fields.items() if own.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__qualname__} is immutable: {name!r} can't be assigned")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__qualname__} is immutable: {name!r} can't be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in type(self).record_fields)


_no_check = Record.__post_init__

R = TypeVar("R", bound=Record)


def replace(record: R, **changes: Any) -> R:
    """A record of the same class with some fields changed. Raises `TypeError` for a field that there isn't."""
    cls = type(record)
    return cls(**{name: getattr(record, name) for name in cls.record_fields} | changes)


def fields(cls: Any) -> tuple[Any, ...]:
    """The fields of a class of records or a dataclass, as the function of this name in `dataclasses`, which isn't imported for records."""
    if isinstance(cls, RecordType):
        return tuple(cls.record_fields.values())
    from dataclasses import fields as dataclass_fields  # noqa: PLC0415 - whoever has a dataclass has imported it

    return dataclass_fields(cls)


def defaults_of_fields(cls: Any) -> dict[str, Any]:
    """The defaults of those fields of a class of records or a dataclass that have one."""
    if isinstance(cls, RecordType):
        return {own.name: own.default for own in cls.record_fields.values() if own.default is not _MISSING}
    from dataclasses import MISSING  # noqa: PLC0415 - as in `fields`

    return {own.name: own.default for own in fields(cls) if own.default is not MISSING}


def is_dataclass(cls: type) -> bool:
    """Whether a class is one of records or a dataclass, or is derived from one."""
    return hasattr(cls, "__dataclass_params__")


def _bound(cls: RecordType, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    fields = cls.record_fields
    if len(values) > len(fields):
        raise TypeError(f"{cls.__qualname__} takes {len(fields)} values, and {len(values)} were given")
    given = dict(zip(fields, values, strict=False))
    for name, value in named.items():
        if name in given or name not in fields:
            what = "given twice" if name in given else f"no field; there are {', '.join(fields)}"
            raise TypeError(f"{cls.__qualname__}: {name!r} is {what}")
        given[name] = value
    missing = [name for name, own in fields.items() if name not in given and own.default is _MISSING]
    if missing:
        raise TypeError(f"{cls.__qualname__}: no value for {', '.join(missing)}")
    return tuple(given.get(name, own.default) for name, own in fields.items())
