# SPDX-License-Identifier: Apache-2.0
"""The machine code of launches: compiled once, kept by the code cache as anything that is compiled, loaded into this process.

It depends on the ABIs of Python and NumPy, which kernels don't; so it hangs on code instances of its own, whose owner names them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from smelt.caching import CodeInstance, ResultStore
from smelt.targets.native.launching import object_layouts as layouts
from smelt.targets.native.launching.builtin_methods import BuiltinMethod
from smelt.targets.native.launching.dispatch import CompiledGuard, Launch
from smelt.targets.native.launching.dispatch_code import LAUNCH, dispatch_text
from smelt.targets.native.launching.guard_code import IS_CURRENT
from smelt.targets.native.launching.stub_code import UNPACK, unpack_text
from smelt.targets.native.launching.stub_shapes import arrays_of, shapes_of
from smelt.targets.native.loader.helper_code import Compile, HelperCode
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import provide
from smelt.types import Type


class Stub(NamedTuple):
    """What checks and unpacks the arguments of a launch.

    Attributes
    ----------
    code
        What holds the code.
    address
        The function, see `stub_code`.
    objects
        What it is given of this process.
    arrays
        How many arrays there are in each value.
    """

    code: MappedCode
    address: int
    objects: tuple[object, ...]
    arrays: tuple[int, ...]


class Stubs:
    """The stubs of this process."""

    def __init__(self, compile_text: Compile, store: ResultStore | None = None) -> None:
        self._code = HelperCode(("smelt launch stubs", *layouts.interface_versions()), compile_text, store)
        for cls in _named_classes():
            provide(f"numpy.{cls.__name__}", id(cls))

    def stub(self, kinds: Sequence[Type], values: Sequence[Any], given: int) -> Stub | None:
        """The stub for values of these types, of which the first `given` are arguments; None where there can be none."""
        found = shapes_of(kinds, values)
        if found is None:
            return None
        shapes, objects = found
        code = self._code.mapped(unpack_text, 0, shapes, given, len(objects))
        if code is None:
            return None
        counts = tuple(map(arrays_of, shapes))
        return Stub(code, code.address(UNPACK), (*objects, *values[given:]), counts)

    def launcher(self, launch: Launch) -> Callable[..., None]:
        """A builtin that launches, or calls `launch` where it can't."""
        return self._method.of(launch)

    def is_current(self, code: CodeInstance) -> Callable[[], bool]:
        """A function that says whether code is valid still: fast, and as good as `CacheView.get`, but that it may say no without need."""
        guard, words = code.guard, code.words()
        return (lambda: False) if words is None else self._check.of(CompiledGuard(code, guard, words))

    @functools.cached_property
    def _method(self) -> BuiltinMethod:
        return BuiltinMethod(self._dispatch_code, LAUNCH)

    @functools.cached_property
    def _check(self) -> BuiltinMethod:
        return BuiltinMethod(self._dispatch_code, IS_CURRENT)

    @property
    def _dispatch_code(self) -> MappedCode:
        code = self._code.mapped(dispatch_text, 1)
        assert code is not None
        return code


_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NUMBERS = ("bool", *_INTEGERS, "float16", "float32", "float64", "complex64", "complex128")


def _named_classes() -> set[type]:
    return {np.ndarray, *(cls for name in _NUMBERS for cls in layouts.scalar_classes(name))}
