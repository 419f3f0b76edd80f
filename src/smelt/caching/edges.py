# SPDX-License-Identifier: Apache-2.0
"""Edges: what a code instance depends on, recorded while it is compiled, by the very act of reading it.

An edge is one of

- a `CodeInstance`: its results were used; it is invalidated, so is the dependent,
- a `MethodInstance`: as the code that the same owner has for it, or will have first; and its method must stand,
- a `Dispatch`: looking the call up has the same outcome (None included),
- a `Read`: a name is bound to the same value.

The functions here read a value as Python would and return it together with the edges of all that was looked at on the way, what
was looked up in vain included.
"""

from __future__ import annotations

import enum
import functools
import gc
import types
from typing import Any, NamedTuple, TypeAlias

from smelt.caching.code import CodeInstance
from smelt.caching.dispatch import Dispatch
from smelt.caching.errors import BindingError
from smelt.caching.methods import MethodInstance, function_name
from smelt.caching.namespaces import Namespace
from smelt.caching.places import MISSING, Bases, Cell, FunctionParts, Place, cell_contents, parameter_default
from smelt.records import Record


class Read(Record, eq=False):
    """A value that was read under a name, and where.

    Attributes
    ----------
    kind
        The kind of place; `Namespace` for a dict, whichever way its changes are learnt of.
    container
        The dict, function, cell or class.
    label
        What the place is called in messages.
    name
        The name.
    value
        What it was bound to; `MISSING` if it wasn't.
    """

    kind: type[Place]
    container: Any
    label: str
    name: str
    value: Any

    def __repr__(self) -> str:
        # Without the container and the value, either of which may be large.
        return f"<read of {self.label}.{self.name}>"


Edge: TypeAlias = CodeInstance | MethodInstance | Dispatch | Read


class Observed(NamedTuple):
    """A value, and the edges of code that was compiled for it."""

    value: Any
    edges: tuple[Read, ...]


def read_global(function: types.FunctionType, name: str) -> Observed:
    """What the global `name` means inside `function`: looked up in its module, then among its builtins.

    The value is `MISSING` if it is bound in neither. Raises `BindingError` if `function` is no Python function.
    """
    _check_function(function)
    module = function.__globals__
    label = str(module.get("__name__", "a namespace"))
    if name in module:
        value = module[name]
        return Observed(value, (Read(Namespace, module, label, name, value),))
    builtins: dict[str, Any] = getattr(function, "__builtins__")  # noqa: B009 - not every type stub knows it
    value = builtins.get(name, MISSING)
    edges = (Read(Namespace, module, label, name, MISSING), Read(Namespace, builtins, "builtins", name, value))
    return Observed(value, edges)


def read_attribute(container: types.ModuleType | type, name: str) -> Observed:
    """The attribute `name` of a module or of a class, as it stands in its dict or in the dicts of its bases.

    Of a class that is the object in the class body: a `staticmethod`, say, and not the function in it. The value is `MISSING`
    if there is no such attribute.

    Raises
    ------
    BindingError
        If `container` is neither a module nor a class, or if the attribute is computed when it is read (by a `__getattr__`, a
        property of a metaclass), so that nothing tells when its value changes.
    """
    if isinstance(container, type):
        return _read_class_attribute(container, name)
    if isinstance(container, types.ModuleType):
        return _read_module_attribute(container, name)
    raise BindingError(
        f"attribute {name!r} of {container!r}: only attributes of modules and classes can be depended on; capture the value "
        "itself, or pass it as an argument"
    )


def read_cell(function: types.FunctionType, name: str) -> Observed:
    """What the captured variable `name` of a closure holds, `MISSING` while it is unbound.

    Raises `BindingError` if `function` is no Python function or captures no such variable.
    """
    _check_function(function)
    if name not in function.__code__.co_freevars:
        raise BindingError(f"{function_name(function)} captures no variable {name!r}")
    cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
    value = cell_contents(cell)
    return Observed(value, (Read(Cell, cell, function_name(function), name, value),))


def read_default(function: types.FunctionType, parameter: str) -> Observed:
    """The default of a parameter, `MISSING` if it has none.

    Raises `BindingError` if `function` is no Python function or has no such parameter.
    """
    _check_function(function)
    code = function.__code__
    if parameter not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        raise BindingError(f"{function_name(function)} has no parameter {parameter!r} that could have a default")
    label = function_name(function)
    value = parameter_default(function, parameter)
    edges = [Read(FunctionParts, function, label, f"default of {parameter}", value)]
    if parameter not in code.co_varnames[: code.co_argcount]:
        # This dict can be changed in place as well as replaced. Another dict is a change even where it holds the same default,
        # since it is not the one that is depended on.
        keyword_defaults = function.__kwdefaults__
        edges.append(Read(FunctionParts, function, label, "__kwdefaults__", keyword_defaults))
        if keyword_defaults is not None:
            edges.append(Read(Namespace, keyword_defaults, f"{label}.__kwdefaults__", parameter, value))
    return Observed(value, tuple(edges))


def read_keyword(bound: functools.partial[Any], name: str) -> Observed:
    """The argument that a partial object binds by name, `MISSING` if it binds none of this name."""
    # What else it holds can't be set, but the dict of keywords can be changed in place.
    value = bound.keywords.get(name, MISSING)
    label = f"keywords of a partial {function_name(bound.func)}"
    return Observed(value, (Read(Namespace, bound.keywords, label, name, value),))


def read_code(function: types.FunctionType) -> Observed:
    """The code object of a function, which can be replaced. Raises `BindingError` if `function` is no Python function."""
    _check_function(function)
    value = function.__code__
    return Observed(value, (Read(FunctionParts, function, function_name(function), "__code__", value),))


def _read_module_attribute(module: types.ModuleType, name: str) -> Observed:
    for cls in type(module).__mro__:
        if cls not in (types.ModuleType, object) and vars(cls).keys() & {name, "__getattr__", "__getattribute__"}:
            raise BindingError(
                f"{module.__name__}.{name} is computed by class {cls.__qualname__} whenever it is read; capture the value "
                "itself in a name of your own module"
            )
    namespace = module.__dict__
    if name not in namespace and "__getattr__" in namespace:
        # A module that imports its parts on demand binds them when they are first asked for.
        try:
            getattr(module, name)
        except AttributeError:
            raise BindingError(f"{module.__name__} has no attribute {name}") from None
        if name not in namespace:
            raise BindingError(
                f"{module.__name__}.{name} is computed by the module's __getattr__ whenever it is read; capture the value "
                f"itself: `from {module.__name__} import {name}`"
            )
    value = namespace.get(name, MISSING)
    return Observed(value, (Read(Namespace, namespace, module.__name__, name, value),))


def _read_class_attribute(cls: type, name: str) -> Observed:
    _refuse_computed(cls, name)
    edges: list[Read] = []
    if not _is_immutable(cls):
        edges.append(Read(Bases, cls, function_name(cls), "__mro__", cls.__mro__))
    for base in cls.__mro__:
        value = base.__dict__.get(name, MISSING)
        if not _is_immutable(base):
            edges.append(Read(Namespace, class_dict(base), function_name(base), name, value))
        if value is not MISSING:
            return Observed(value, tuple(edges))
    if issubclass(cls, enum.Enum) and name in cls._member_map_:
        members = cls._member_map_
        value = members[name]
        edges.append(Read(Namespace, members, function_name(cls), name, value))
        return Observed(value, tuple(edges))
    return Observed(MISSING, tuple(edges))


def _refuse_computed(cls: Any, name: str) -> None:
    # The order of type.__getattribute__: a data descriptor of the metaclass, the class and its bases, then the rest of the
    # metaclass and its __getattr__.
    for meta in type(cls).__mro__:
        own = meta.__dict__.get(name, MISSING)
        replaces_reading = "__getattribute__" in meta.__dict__ and meta not in (type, object)
        # In this order: of a class whose metaclass replaces reading nothing can be read.
        stands_in_class = replaces_reading or any(name in base.__dict__ for base in cls.__mro__)
        found_first = own is not MISSING and (not stands_in_class or hasattr(type(own), "__set__"))
        # The one of enumerations finds members, which are looked up here too.
        answers_last = "__getattr__" in meta.__dict__ and not stands_in_class and meta is not enum.EnumMeta
        if found_first or replaces_reading or answers_last:
            raise BindingError(
                f"{function_name(cls)}.{name} is computed by its metaclass {meta.__qualname__} whenever it is read; capture "
                "the value itself in a global name"
            )


def _is_immutable(cls: type) -> bool:
    # Py_TPFLAGS_IMMUTABLETYPE, Include/object.h of CPython: attributes of built-in types can't be set.
    return bool(cls.__flags__ & (1 << 8))


def class_dict(cls: type) -> dict[str, object]:
    """The dict of a class itself."""
    # `cls.__dict__` is a read-only proxy, made anew each time; what it refers to is the dict itself.
    (namespace,) = gc.get_referents(cls.__dict__)
    assert isinstance(namespace, dict)
    return namespace


def _check_function(function: object) -> None:
    if not isinstance(function, types.FunctionType):
        raise BindingError(f"{function!r} is no Python function: it has no globals, cells or defaults to depend on")
