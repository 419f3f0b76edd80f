# SPDX-License-Identifier: Apache-2.0
"""Small modules of AIR, written for the tests, as metallibs."""

from __future__ import annotations

from smelt.lowering.llvm import module_of_text
from smelt.targets.metal.air import downgrade, wrapped
from smelt.targets.metal.metallib import Function, Library, Version, write_metallib

LAYOUT = (
    "e-p:64:64:64-i1:8:8-i8:8:8-i16:16:16-i32:32:32-i64:64:64-f32:32:32-f64:64:64-v16:16:16-v24:32:32-v32:32:32-v48:64:64-"
    "v64:64:64-v96:128:128-v128:128:128-v192:256:256-v256:256:256-v512:512:512-v1024:1024:1024-n8:16:32"
)
HEAD = f'target datalayout = "{LAYOUT}"\ntarget triple = "air64_v26-apple-macosx14.0.0"\n'


def buffer(parameter, index, name="a", *, access="read_write", space=1, size=4, kind="float"):
    """The description of a buffer, as metadata."""
    return (
        f'!{{i32 {parameter}, !"air.buffer", !"air.location_index", i32 {index}, i32 1, !"air.{access}", !"air.address_space", '
        f'i32 {space}, !"air.arg_type_size", i32 {size}, !"air.arg_type_align_size", i32 {size}, !"air.arg_type_name", !"{kind}", '
        f'!"air.arg_name", !"{name}"}}'
    )


def quantity(parameter, what, kind="uint", name="i"):
    """The description of what the device computes, as metadata."""
    return f'!{{i32 {parameter}, !"air.{what}", !"air.arg_type_name", !"{kind}", !"air.arg_name", !"{name}"}}'


def with_kernel(text, name, arguments, *attributes):
    """A module of AIR with a kernel, given the descriptions of its arguments."""
    first = 100
    nodes = [f"!{first + number} = {argument}" for number, argument in enumerate(arguments)]
    extra = [f"!{first + 50 + number} = {attribute}" for number, attribute in enumerate(attributes)]
    listed = ", ".join(f"!{first + number}" for number in range(len(arguments)))
    more = "".join(f", !{first + 50 + number}" for number in range(len(attributes)))
    return (
        f"{HEAD}{text}\n!air.kernel = !{{!90}}\n!90 = !{{ptr @{name}, !91, !92{more}}}\n!91 = !{{}}\n!92 = !{{{listed}}}\n"
        + "\n".join((*nodes, *extra))
        + "\n"
    )


def metallib(*texts_and_names):
    """A metallib of modules, each with the name of its kernel."""
    functions = []
    for text, name in texts_and_names:
        module = wrapped(downgrade(module_of_text(text)))
        functions.append(Function(name, module, Version(2, 6), Version(3, 1)))
    return write_metallib(Library(functions))


def recent_metallib(text, name):
    """A metallib of a module as a recent LLVM writes it, for what can't be said in LLVM 14, or not by the downgrader."""
    # For an operating system of Apple's, LLVM writes the wrapper too.
    module = module_of_text(text).as_bitcode()
    return write_metallib(Library([Function(name, module, Version(2, 6), Version(3, 1))]))
