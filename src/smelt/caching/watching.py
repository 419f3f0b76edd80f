# SPDX-License-Identifier: Apache-2.0
"""Watched dicts: CPython 3.12 and later calls back before a dict that is watched changes (PyDict_Watch in the C API). One watcher serves the process; at exit it is taken away.

The callback is Python, and a thread may be suspended anywhere in Python. Between the callback and the change itself no other
thread may compile code for the old value, since nobody would tell that code of the change. So the callback ends with the
test that the name is not watched, or no longer, and nothing stands between that test and the return: CPython hands the
interpreter lock on only where a function starts, a loop turns or a call has returned. From the return to the change there is
only C code. The same argument carries `_end`. A build of CPython without the interpreter lock has no such
guarantee, and namespaces are compared there.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from smelt.caching.locking import exclusively, tidy_up
from smelt.caching.places import MISSING
from smelt.caching.watched_names import WatchedNames

if TYPE_CHECKING:
    from smelt.caching.namespaces import WatchedNamespace

# enum PyDict_WatchEvent, Include/cpython/dictobject.h of CPython 3.12.
_ADDED, _MODIFIED, _DELETED, _CLONED, _CLEARED, _DEALLOCATED = range(6)

# int (*PyDict_WatchCallback)(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *new_value)
_Callback = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class _Holder(weakref.ref["WatchedNamespace"]):
    """The namespace that answers for the dict at an address, until that namespace dies.

    Its death ends the watch by the callback of this reference and not by `__del__`, during which others could still get hold
    of the namespace, and would use one that is not told of anything any more.
    """

    __slots__ = ("address",)

    address: int


_namespaces: dict[int, _Holder] = {}
_watched_names: dict[tuple[int, str], _Holder] = {}
# The same names, for compiled code.
_names = WatchedNames()

# Which thread is in the callback for which name.
_being_rebound: dict[tuple[int, str], int] = {}


class Subscription:
    """What one namespace has watched."""

    __slots__ = ("_holder",)

    def __init__(self, namespace: WatchedNamespace) -> None:
        self._holder = _Holder(namespace, _end)
        # LIFETIME: the namespace holds the dict, so the address stays the dict's own while it is a key.
        self._holder.address = id(namespace.container)
        _namespaces[self._holder.address] = self._holder
        ctypes.pythonapi.PyDict_Watch(_watcher, namespace.container)

    def add(self, name: str) -> None:
        _watched_names[self._holder.address, name] = self._holder
        _names.add(self._holder.address, name)

    def remove(self, name: str) -> None:
        _remove(self._holder, name)


def _remove(holder: _Holder, name: str) -> None:
    key = (holder.address, name)
    if key in _watched_names and _watched_names[key] is holder:
        del _watched_names[key]
        tidy_up(partial(_settle_name, *key))


def _settle_name(address: int, name: str) -> None:
    if (address, name) not in _watched_names:
        _names.remove(address, name)


def _end(holder: weakref.ref[WatchedNamespace]) -> None:
    # Stop watching, unless another namespace has come to answer for the same dict meanwhile.
    assert isinstance(holder, _Holder)
    address = holder.address
    for name in [name for (_, name), other in tuple(_watched_names.items()) if other is holder]:
        _remove(holder, name)
    if _watcher is None:
        return
    # LIFETIME: the namespace that is dying lets go of the dict after this.
    container = _object_at(address)
    unwatch = ctypes.pythonapi.PyDict_Unwatch
    # Each test and what follows from it are one step for other threads, see above.
    if address in _namespaces and _namespaces[address] is holder:
        unwatch(_watcher, container)
    if address in _namespaces and _namespaces[address] is holder:
        del _namespaces[address]


def is_available() -> bool:
    """Whether dicts can be watched in this process."""
    return _watcher is not None


def table_of_names() -> int:
    """The address of the description of the table of watched names, for compiled callbacks: see `watched_names`."""
    return ctypes.addressof(_names.description)


def use_compiled_callback(address: int) -> bool:
    """Have a compiled callback called before the one here; it passes on at least what concerns a name of `table_of_names`.

    The code at the address has to stay for as long as the process lives. False, and nothing changes, where dicts can't be watched.
    """
    global _watcher
    with exclusively():
        if _watcher is None:
            return False
        _names.use_callback(ctypes.cast(_callback, ctypes.c_void_p).value or 0)
        try:
            watcher = ctypes.pythonapi.PyDict_AddWatcher(_Callback(address))
        except RuntimeError:
            # CPython has eight watchers, and other packages took them.
            return False
        living = [namespace for holder in tuple(_namespaces.values()) if (namespace := holder()) is not None]
        # At each moment one of them watches, and for some both: to be told twice does no harm.
        for namespace in living:
            ctypes.pythonapi.PyDict_Watch(watcher, namespace.container)
        former, _watcher = _watcher, watcher
        for namespace in living:
            ctypes.pythonapi.PyDict_Unwatch(former, namespace.container)
        ctypes.pythonapi.PyDict_ClearWatcher(former)
        return True


def is_being_rebound(container: dict[str, object], name: str) -> bool:
    """Whether this very thread is about to rebind `name`, so that what stands there is its old value still."""
    return _being_rebound.get((id(container), name)) == threading.get_ident()


def _on_event(event: int, address: int, key_address: int | None, value_address: int | None) -> int:
    if event in (_ADDED, _MODIFIED, _DELETED):
        key = _object_at(key_address)
        # An exact string: a subclass may hash and compare as it likes.
        name = str.__str__(key) if isinstance(key, str) else ""
        value = MISSING if event == _DELETED else _object_at(value_address)
        while True:
            if (address, name) not in _watched_names:
                return 0
            if _tell(address, name, value):
                return 0
    if event in (_CLONED, _CLEARED):
        source = _object_at(key_address) if event == _CLONED else {}
        for name in [name for holder, name in tuple(_watched_names) if holder == address]:
            while (address, name) in _watched_names and not _tell(address, name, source.get(name, MISSING)):
                pass
    return 0


def _tell(address: int, name: str, value: object) -> bool:
    """Tell the binding of its new value. True if it is still watched then, since what depends on it may stay."""
    # For as long as this thread is here, also in the listeners that are told.
    _being_rebound[address, name] = threading.get_ident()
    try:
        with exclusively():
            reference = _watched_names.get((address, name))
            namespace = reference() if reference is not None else None
            binding = namespace.bindings.get(name) if namespace is not None else None
            if binding is None:
                _watched_names.pop((address, name), None)
                _names.remove(address, name)
                return False
            binding.update(value)
            return binding.place.bindings.get(name) is binding
    except BaseException as error:  # noqa: BLE001 - the program that rebinds a name must not meet our listeners' errors
        _Unraisable(error)
        return False
    finally:
        _being_rebound.pop((address, name), None)


class _Unraisable:
    """Gives an error to `sys.unraisablehook`, whose argument only the interpreter can make, by raising it in a finalizer."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


def _object_at(address: int | None) -> Any:
    # The interpreter holds the key and the value during the callback.
    return ctypes.cast(address, ctypes.py_object).value if address else None


def _add_watcher() -> int | None:
    if sys.implementation.name != "cpython" or sys.version_info < (3, 12):
        return None
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    try:
        add = ctypes.pythonapi.PyDict_AddWatcher
    except AttributeError:
        return None
    add.argtypes, add.restype = (_Callback,), ctypes.c_int
    try:
        watcher: int = add(_callback)
    except RuntimeError:
        # "no more dict watcher IDs available": CPython has eight, and other packages took them.
        return None
    for function in (ctypes.pythonapi.PyDict_Watch, ctypes.pythonapi.PyDict_Unwatch):
        function.argtypes, function.restype = (ctypes.c_int, ctypes.py_object), ctypes.c_int
    ctypes.pythonapi.PyDict_ClearWatcher.argtypes = (ctypes.c_int,)
    # Not at interpreter shutdown, when the dicts of modules are emptied and little of Python is left to call back to.
    atexit.register(_remove_watcher)
    return watcher


def _remove_watcher() -> None:
    global _watcher
    watcher, _watcher = _watcher, None
    ctypes.pythonapi.PyDict_ClearWatcher(watcher)


# LIFETIME: the interpreter calls this until the watcher is removed at exit, so the module holds it.
_callback = _Callback(_on_event)
_watcher = _add_watcher()
