"""Functions of a thread's number that run in a kernel and in Python, on copies of the same arrays, with the same outcome."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.driver.pipeline import typed_function
from smelt.ir.verifier import verify
from smelt.types import typeof


@smelt.kernel
def each_thread(body, arguments):
    body(smelt.grid(1), *arguments)


def verify_all(kernel, arguments):
    """Hold the typed program of a kernel and of all that it calls against the rules of typed programs."""
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    functions = [driver().inferred(job)]
    for code in functions:
        function = typed_function(code)
        verify(function)
        for block in function.blocks:
            calls = (i.attributes["callee"] for i in block.instructions if i.operation == "call")
            functions += [callee for callee in calls if callee not in functions]


@pytest.fixture(scope="session")
def same_as_python():
    """A function that runs `body(i, *arguments)` for each i below `threads` both ways and compares the arrays; it returns them."""

    def run(body, threads, *arguments):
        expected = _copied(arguments)
        for i in range(threads):
            body(i, *expected)
        verify_all(each_thread, (body, arguments))
        each_thread[threads](body, arguments)
        for found, wanted in zip(arguments, expected, strict=True):
            if isinstance(found, np.ndarray):
                np.testing.assert_array_equal(found, wanted)
        return arguments

    return run


def _copied(arguments):
    # Of an array its strides too, and of two arguments with the same memory that they have.
    bases = {}
    copies = []
    for argument in arguments:
        if isinstance(argument, np.ndarray) and argument.base is not None:
            base = argument.base
            twin = bases.setdefault(id(base), base.copy(order="K"))
            offset = argument.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            made = np.ndarray(argument.shape, argument.dtype, twin, offset, argument.strides)
            made.flags.writeable = argument.flags.writeable
            copies.append(made)
        else:
            copies.append(copy.deepcopy(argument))
    return copies
