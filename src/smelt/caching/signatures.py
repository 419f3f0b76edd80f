# SPDX-License-Identifier: Apache-2.0
"""Signatures: the argument types that a method is for, and which of two signatures is the more specific one.

A signature is a tuple with one entry for each argument:

- a class matches itself and its subclasses (virtual ones of an abstract base class too),
- a union `int | float` matches what one of its members matches,
- `typing.Any` matches everything,
- a `Pattern` matches what its `includes` says, so that a compiler brings its own lattice of types,
- any other hashable object matches what is equal to it and of its class: the values that a compiler uses as types,
- `Variadic(entry)`, in the last place, matches any number of further arguments.

The same entries, `Variadic` apart, are the argument types of a call.
"""

from __future__ import annotations

import abc
import types
import typing
from typing import Any, Protocol, TypeAlias, runtime_checkable

from smelt.caching.constants import are_classes, constant_key
from smelt.caching.errors import SignatureError
from smelt.caching.texts import shown
from smelt.records import Record

Signature: TypeAlias = tuple[Any, ...]
ArgumentTypes: TypeAlias = tuple[Any, ...]


@runtime_checkable
class Pattern(Protocol):
    """A set of types, as an entry of a signature. Hashable; equal patterns match the same types."""

    def includes(self, other: object, /) -> bool:
        """Whether all that `other`, a type or a pattern, describes is described by this pattern too."""
        ...


class Variadic(Record):
    """The last entry of a signature: any number of arguments, none included, that `entry` matches."""

    entry: Any

    def __repr__(self) -> str:
        return f"*{entry_name(self.entry)}"


def check_signature(signature: object) -> Signature:
    """Return `signature` if it is one. Raises `SignatureError` with what is wrong and how to write it."""
    entries = _check_entries(signature, "a signature")
    for entry in entries[:-1]:
        if isinstance(entry, Variadic):
            raise SignatureError(
                f"{describe(entries)}: {entry!r} stands before the end; only the last entry can be variadic"
            )
    if entries and isinstance(entries[-1], Variadic):
        (repeated,) = _check_entries((entries[-1].entry,), "the entry of a Variadic")
        if isinstance(repeated, Variadic):
            raise SignatureError(f"{describe(entries)}: a Variadic of a Variadic; one stands for any number already")
        entries = (*entries[:-1], Variadic(repeated))
    for entry in _leaves(entries):
        _check_subclasses(entry)
    return entries


def check_argument_types(types_: Any) -> ArgumentTypes:
    """Return `types_` if it is a tuple of argument types. Raises `SignatureError` otherwise."""
    if types_.__class__ is tuple and are_classes(types_):
        return types_
    entries = _check_entries(types_, "the argument types of a call")
    for entry in entries:
        if isinstance(entry, Variadic):
            raise SignatureError(
                f"{describe(entries)}: a call has as many arguments as it has; Variadic is for signatures"
            )
    return entries


def matches(signature: Signature, types_: ArgumentTypes) -> bool:
    """Whether a method of this signature takes arguments of these types."""
    if signature and isinstance(signature[-1], Variadic):
        fixed = len(signature) - 1
        rest = signature[-1].entry
        return (
            len(types_) >= fixed
            and all(map(includes, signature[:fixed], types_))
            and all(includes(rest, given) for given in types_[fixed:])
        )
    return len(signature) == len(types_) and all(map(includes, signature, types_))


def includes(entry: Any, other: Any) -> bool:
    """Whether all that `other` describes is described by the signature's entry `entry` too."""
    if entry is other or entry is Any:
        return True
    if other is Any:
        return False
    if isinstance(entry, type) and isinstance(other, type):
        return issubclass(other, entry)
    members = _union_members(other)
    if members:
        return all(includes(entry, member) for member in members)
    members = _union_members(entry)
    if members:
        return any(includes(member, other) for member in members)
    if isinstance(entry, type):
        return False
    if isinstance(entry, Pattern):
        return entry.includes(other)
    return constant_key(entry) == constant_key(other)


def is_as_specific(first: Signature, second: Signature) -> bool:
    """Whether every call that matches `first` matches `second` too."""
    first_rest = first[-1].entry if first and isinstance(first[-1], Variadic) else None
    second_rest = second[-1].entry if second and isinstance(second[-1], Variadic) else None
    first_fixed = first[:-1] if first_rest is not None else first
    second_fixed = second[:-1] if second_rest is not None else second
    if second_rest is None:
        # Only as many arguments as `second` names: `first` must name as many and no more.
        return (
            first_rest is None
            and len(first_fixed) == len(second_fixed)
            and all(map(includes, second_fixed, first_fixed))
        )
    if len(first_fixed) < len(second_fixed):
        return False
    wanted = second_fixed + (second_rest,) * (len(first_fixed) - len(second_fixed))
    return all(map(includes, wanted, first_fixed)) and (first_rest is None or includes(second_rest, first_rest))


def uses_abstract_classes(signature: Signature) -> bool:
    """Whether a class of this signature can gain subclasses by registration, without anything being defined."""
    return any(isinstance(entry, abc.ABCMeta) for entry in _leaves(signature))


def describe(types_: object) -> str:
    """The signature or the argument types as a reader would write them: `(int, float | None, *str)`."""
    if not isinstance(types_, tuple):
        return shown(types_)
    return f"({', '.join(map(entry_name, types_))})"


def entry_name(entry: Any) -> str:
    """One entry of a signature as a reader would write it."""
    if isinstance(entry, type):
        return entry.__qualname__ if entry is not type(None) else "None"
    return "Any" if entry is Any else shown(entry)


def _check_entries(entries: object, what: str) -> tuple[Any, ...]:
    if not isinstance(entries, tuple):
        hint = f"; write ({entry_name(entries)},)" if isinstance(entries, (type, Pattern)) else ""
        raise SignatureError(f"{what} must be a tuple with one entry for each argument, not {entries!r}{hint}")
    entries = tuple(type(None) if entry is None else entry for entry in entries)
    for position, entry in enumerate(entries):
        try:
            hash(entry)
        except TypeError:
            raise SignatureError(
                f"{what}: argument {position} is {entry!r}, which can't be hashed and so is no type"
            ) from None
    return entries


def _check_subclasses(entry: Any) -> None:
    if isinstance(entry, type) and type(entry) is not type:
        try:
            issubclass(object, entry)
        except TypeError as error:
            raise SignatureError(
                f"{entry_name(entry)} can't be in a signature, since it does not tell its subclasses: {error}"
            ) from None


def _leaves(entry: Any) -> list[Any]:
    if isinstance(entry, tuple):
        return [leaf for part in entry for leaf in _leaves(part)]
    if isinstance(entry, Variadic):
        return _leaves(entry.entry)
    members = _union_members(entry)
    return [leaf for member in members for leaf in _leaves(member)] if members else [entry]


def _union_members(entry: Any) -> tuple[Any, ...]:
    # `int | None` and `Optional[int]` have two origins up to Python 3.13 and one from 3.14 on.
    return typing.get_args(entry) if typing.get_origin(entry) in (types.UnionType, typing.Union) else ()
