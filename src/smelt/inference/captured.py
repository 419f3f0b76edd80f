# SPDX-License-Identifier: Apache-2.0
"""Lists and dicts that a kernel captured. They can't be changed: what is read of them is constant, as long as it stands there.

A list is read as a whole. Of a dict, which does not exist when a kernel runs, each entry is read where it is asked for.
"""

from __future__ import annotations

from typing import Any

from smelt.caching import MISSING
from smelt.caching.contents import read_item, read_items, read_keys
from smelt.inference.context import Context
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, make_tuple
from smelt.types import BoundMethod, Dict, List, Struct, Tuple

_MOST_ITEMS = 64
_METHODS = {"get": dict.get, "keys": dict.keys, "values": dict.values, "items": dict.items}


def captured_list(context: Context, container: list[Any], node: untyped.Node) -> Operand:
    """A list as the operand of its items. Raises `KernelError` if it is too long, or has items that kernels can't have."""
    name = _name_of(node, "a list")
    found = context.observe(read_items(container, name))
    if len(found) > _MOST_ITEMS:
        raise context.error(
            f"a kernel can't use a list of {len(found)} items: each is a constant of its own",
            node,
            help="use a tuple, or a NumPy array",
        )
    if _holds_itself(container):
        raise context.error("a list that holds itself can't be used in a kernel", node, help="use a tuple")
    items = tuple(context.constant(item, node) for item in found)
    return Operand(List(tuple(item.type for item in items)), parts=items)


def _holds_itself(container: list[Any] | tuple[Any, ...], *around: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list is in itself, or in `around`, the lists and tuples that it is in."""
    around = (*around, container)
    inner = [item for item in container if type(item) in (list, tuple)]
    return any(any(item is one for one in around) or _holds_itself(item, *around) for item in inner)


def keys(context: Context, operand: Operand, node: untyped.Node) -> Operand:
    """The keys of a dict, as a tuple."""
    found = context.observe(read_keys(operand.known, _name_of(node, "a dict")))
    return make_tuple(tuple(context.constant(key, node) for key in found))


def has_key(context: Context, operand: Operand, key: Operand, node: untyped.Node) -> bool:
    """Whether a dict has a key."""
    return _read(context, operand, _known_key(context, key, node), node) is not MISSING


def item(context: Context, operand: Operand, key: Operand, node: untyped.Node) -> Operand:
    """What a dict has under a key. Raises `KernelError` if it has nothing."""
    known = _known_key(context, key, node)
    value = _read(context, operand, known, node)
    if value is MISSING:
        raise context.error(
            f"the dict has no key {known!r}",
            node,
            help="test for it with in, or give get a default: d.get(key, default)",
        )
    return context.constant(value, node)


def method(operand: Operand, name: str) -> Operand | None:
    """A method of a dict, bound to it; None if kernels don't have it."""
    function = _METHODS.get(name)
    return None if function is None else Operand(BoundMethod(function, operand.type), parts=(operand,))


def call_method(
    context: Context, function: Any, operand: Operand, arguments: tuple[Operand, ...], node: untyped.Node
) -> Operand:
    """What a method of a dict returns."""
    least, most = (1, 2) if function is dict.get else (0, 0)
    if not least <= len(arguments) <= most:
        raise context.error(f"{function.__qualname__} can't be called with {len(arguments)} arguments", node)
    if function is dict.get:
        value = _read(context, operand, _known_key(context, arguments[0], node), node)
        if value is not MISSING:
            return context.constant(value, node)
        return arguments[1] if len(arguments) == 2 else constant(None)
    names = keys(context, operand, node)
    if function is dict.keys:
        return names
    values = tuple(item(context, operand, key, node) for key in names.parts or ())
    if function is dict.values:
        return make_tuple(values)
    return make_tuple(tuple(map(make_tuple, zip(names.parts or (), values, strict=True))))


def _read(context: Context, operand: Operand, key: Any, node: untyped.Node) -> Any:
    return context.observe(read_item(operand.known, key, _name_of(node, "a dict")))


def _known_key(context: Context, key: Operand, node: untyped.Node) -> Any:
    if isinstance(key.type, (Dict, Struct)):
        # The hash of a record may be computed by its class, from anything.
        raise context.error(
            f"a kernel can't look up a {key.type} in a dict",
            node,
            help="use strings, numbers or members of enumerations as keys",
        )
    if key.is_constant:
        return key.known
    if isinstance(key.type, Tuple) and not isinstance(key.type, List) and key.parts is not None:
        return tuple(_known_key(context, part, node) for part in key.parts)
    raise context.error(
        f"a dict is indexed with constants, not a {key.type} that is known when the kernel runs",
        node,
        help="use an array, or if and elif",
    )


def _name_of(node: untyped.Node, otherwise: str) -> str:
    """What a list or dict is called in the program, as far as it can be seen where it is read."""
    for inner in (node, getattr(node, "value", None), getattr(getattr(node, "function", None), "value", None)):
        name = getattr(inner, "name", None)
        if isinstance(name, str):
            return name
    return otherwise
