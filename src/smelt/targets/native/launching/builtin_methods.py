# SPDX-License-Identifier: Apache-2.0
"""Compiled functions as builtins of Python, with no extension module."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from smelt.targets.native.loader.mapping import MappedCode

_FAST_CALL, _KEYWORDS = 0x80, 0x02
"""METH_FASTCALL and METH_KEYWORDS, Include/methodobject.h of CPython."""


class _Definition(ctypes.Structure):
    """A PyMethodDef, Include/methodobject.h of CPython."""

    _fields_ = (
        ("ml_name", ctypes.c_char_p),
        ("ml_meth", ctypes.c_void_p),
        ("ml_flags", ctypes.c_int),
        ("ml_doc", ctypes.c_char_p),
    )


class BuiltinMethod:
    """An exported function of some code, of this type:

        PyObject *function(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *names)

    which is called with the positional arguments, and behind them those that have names: `PyCFunctionFastWithKeywords`.
    """

    def __init__(self, code: MappedCode, entry: str) -> None:
        self._definition = _Definition(entry.encode(), code.address(entry), _FAST_CALL | _KEYWORDS, None)
        # LIFETIME: builtins may be called as long as the process lives, longer than any module; so neither is ever let go of.
        for held in (code, self._definition):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))

    def of(self, owner: Any) -> Callable[..., Any]:
        """A builtin whose `self` is `owner`."""
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.argtypes, new.restype = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p), ctypes.py_object
        builtin: Callable[..., Any] = new(ctypes.addressof(self._definition), owner, None)
        return builtin
