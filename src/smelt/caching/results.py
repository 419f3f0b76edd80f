# SPDX-License-Identifier: Apache-2.0
"""Results classes: what a compiler hangs on a code instance, split by what may leave the process.

A compiler declares one class and every field of it as portable or session-local:

    class MetalResults(Results):
        metallib: bytes | None = portable()
        entry: str = portable(default="")
        pipelines: LinearCache[Device, Pipeline] = session_local(factory=LinearCache)

Portable fields hold values that mean the same in every process: None, booleans, numbers, strings, bytes, and tuples of
these. All of them are immutable, so what was checked when the field was set stays true. Session-local fields hold whatever
they like, and no function here reads them for writing out: `portable_state` walks the portable declarations only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias, TypeVar, cast, dataclass_transform

from smelt.caching._compat import annotation_texts
from smelt.caching.errors import ResultsError
from smelt.caching.html_tables import html_table

T = TypeVar("T")
R = TypeVar("R", bound="Results")

Portable: TypeAlias = "bool | int | float | complex | str | bytes | tuple[Portable, ...] | None"

_CLASS_VARIABLE = re.compile(r"(\w+\.)?ClassVar\b")
_MOST_SHOWN = 100
"""So many characters of a field are shown."""

_PORTABLE_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})


class Field:
    """The declaration of one field of a results class. Made by `portable` and `session_local`."""

    __slots__ = ("factory", "is_named", "is_portable")

    def __init__(self, factory: Callable[[], Any], *, is_portable: bool, is_named: bool = False) -> None:
        self.factory = factory
        self.is_portable = is_portable
        self.is_named = is_named


def portable(*, default: Any = None) -> Any:
    """Declare a field that survives the process: None, a bool, number, string, bytes, or a tuple of these.

    Anything else is refused when the field is set, with a `ResultsError` that names the field.
    """
    return Field(lambda: default, is_portable=True)


def session_local(*, factory: Callable[[], Any] = lambda: None, is_named: bool = False) -> Any:
    """Declare a field for a handle of this process, which is never written out. `factory` makes its first value.

    With `is_named` the field holds a tuple of objects of the program that was compiled: its functions, arrays that it captured. A store
    may write down the names under which they were read, and look these up again in another process.
    """
    return Field(factory, is_portable=False, is_named=is_named)


@dataclass_transform(kw_only_default=True, field_specifiers=(portable, session_local))
class Results:
    """The base of all results classes. A subclass can be made without arguments and then holds its fields' defaults.

    Raises `ResultsError` when a class is defined with a field that is not declared portable or session-local, when a
    portable field is set to something that is not portable, and when an undeclared field is set.
    """

    declared_fields: ClassVar[Mapping[str, Field]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        declared = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        _refuse_undeclared(cls, declared)
        inherited: dict[str, Field] = {}
        for base in reversed(cls.__mro__[1:]):
            fields = vars(base).get("declared_fields", {}) if issubclass(base, Results) else {}
            _refuse_redeclared(cls, inherited, fields)
            inherited.update(fields)
        _refuse_redeclared(cls, inherited, declared)
        _refuse_hidden(cls, inherited, declared)
        for name, field in declared.items():
            # Instances hold every field; a declaration left on the class would only hide a missing one.
            delattr(cls, name)
            if field.is_portable:
                _check_portable(cls, name, field.factory())
        cls.declared_fields = {**inherited, **declared}

    def __init__(self, **values: Any) -> None:
        for name, field in self.declared_fields.items():
            # What the factory of a declaration gives was checked when the class was made.
            self.__dict__[name] = field.factory()
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        field = self.declared_fields.get(name)
        if field is None:
            raise ResultsError(
                f"{type(self).__qualname__} has no field {name!r}; declare it as portable() or session_local()"
            )
        if field.is_portable:
            _check_portable(type(self), name, value)
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise ResultsError(f"{type(self).__qualname__}.{name} can't be deleted; set it to another value")

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # Pickle and copy get what a store gets.
        return restore, (type(self), portable_state(self))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_summary(self.__dict__.get(name))}" for name in self.declared_fields)
        return f"{type(self).__qualname__}({fields})"

    def _repr_html_(self) -> str:
        rows = [(name, _summary(self.__dict__.get(name))) for name in self.declared_fields]
        return html_table(type(self).__qualname__, rows)


def portable_state(results: Results) -> dict[str, Portable]:
    """The portable fields of `results` by name, and nothing else: what a store may write.

    Raises `ResultsError` if `results` is no results object.
    """
    if not isinstance(results, Results):
        raise ResultsError(f"{results!r} is no results object; its class must be derived from Results")
    state = {name: results.__dict__[name] for name, field in results.declared_fields.items() if field.is_portable}
    for name, value in state.items():
        _check_portable(type(results), name, value)
    return state


def named_fields(results_class: type[Results]) -> tuple[str, ...]:
    """The session-local fields that hold objects of the program, which another process has under the same names."""
    return tuple(name for name, field in results_class.declared_fields.items() if field.is_named)


def restore(results_class: type[R], state: Mapping[str, Portable]) -> R:
    """Make results from what `portable_state` gave, with every session-local field as in a new object.

    Raises `ResultsError` unless `state` has exactly the portable fields of `results_class`: a state that another version of
    the class wrote is not guessed at.
    """
    check_results_class(results_class)
    expected = {name for name, field in results_class.declared_fields.items() if field.is_portable}
    if state.keys() != expected:
        raise ResultsError(
            f"{results_class.__qualname__} has the portable fields {sorted(expected)}, the state has {sorted(state)}"
        )
    return results_class(**cast("dict[str, Any]", dict(state)))


def check_results_class(results_class: object) -> None:
    """Raise `ResultsError` unless `results_class` is a class derived from `Results`."""
    if not (isinstance(results_class, type) and issubclass(results_class, Results) and results_class is not Results):
        raise ResultsError(
            f"{results_class!r} is no results class; derive it from Results and declare its fields as "
            "portable() or session_local()"
        )


def _refuse_undeclared(cls: type, declared: Mapping[str, Field]) -> None:
    for name, text in annotation_texts(cls).items():
        if name not in declared and _CLASS_VARIABLE.match(text) is None:
            raise ResultsError(
                f"{cls.__qualname__}.{name} is neither portable nor session-local; "
                f"write `{name}: {text} = portable()` or `= session_local()`"
            )


def _refuse_redeclared(cls: type, inherited: Mapping[str, Field], declared: Mapping[str, Field]) -> None:
    for name, field in declared.items():
        if hasattr(Results, name):
            raise ResultsError(f"{cls.__qualname__}.{name} can't be a field: every results class has that name already")
        if name in inherited and inherited[name].is_portable != field.is_portable:
            raise ResultsError(f"{cls.__qualname__}.{name} is declared otherwise by a class that it inherits from")


def _refuse_hidden(cls: type, inherited: Mapping[str, Field], declared: Mapping[str, Field]) -> None:
    for name in vars(cls):
        if name in inherited and name not in declared:
            raise ResultsError(
                f"{cls.__qualname__}.{name} hides a field; give it another default with portable(default=...)"
            )


def _check_portable(cls: type, name: str, value: object) -> None:
    offender = _first_not_portable(value)
    if offender is not None:
        kind = type(offender[0])
        raise ResultsError(
            f"{cls.__qualname__}.{name} is portable and can't hold an object of class {kind.__module__}.{kind.__qualname__}"
            f"{'' if offender[0] is value else ' inside a tuple'}: it takes None, bool, int, float, complex, str, bytes "
            "and tuples of these (no subclasses); convert it, or declare the field as session_local()"
        )


def _first_not_portable(value: object) -> tuple[object] | None:
    # Not `__class__`, which a proxy or a mock computes.
    kind = type(value)
    if kind in _PORTABLE_ATOMS:
        return None
    if kind is tuple:
        for item in cast("tuple[object, ...]", value):
            found = _first_not_portable(item)
            if found is not None:
                return found
        return None
    return (value,)


def _summary(value: object) -> str:
    if isinstance(value, bytes) and len(value) > 16:
        return f"<{len(value)} bytes>"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
