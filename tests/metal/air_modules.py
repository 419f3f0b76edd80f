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


def scale_arguments():
    """The arguments of `scale`: a buffer, a factor and the thread's position."""
    return [
        buffer(0, 0, "x"),
        buffer(1, 3, "factor", access="read", space=2),
        quantity(2, "thread_position_in_grid"),
    ]


def scale():
    """A metallib whose kernel `scale` multiplies each element of buffer 0 by the factor in buffer 3."""
    return metallib((with_kernel(_SCALE, "scale", scale_arguments()), "scale"))


_SCALE = """
define void @scale(ptr addrspace(1) %x, ptr addrspace(2) %factor, i32 %i) {
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  %a = load float, ptr addrspace(1) %p, align 4
  %b = load float, ptr addrspace(2) %factor, align 4
  %c = fmul float %a, %b
  store float %c, ptr addrspace(1) %p, align 4
  ret void
}
"""


def line():
    """A metallib whose kernel `line` stores a multiple of each thread's position, or -1.

    Its function constants are `flag`, whether it is a multiple, with index 1, and `step` and `slope`, what of, with 4 and 5. The last is
    read by what runs before all kernels.
    """
    arguments = [buffer(0, 0, "out"), quantity(1, "thread_position_in_grid")]
    return metallib((with_kernel(_LINE, "line", arguments), "line"))


_LINE = """
@flag.MTL_FC_INIT_1_b = internal addrspace(2) externally_initialized constant i8 undef, section "air.fc_initializer"
@step.MTL_FC_INIT_4_i = internal addrspace(2) externally_initialized constant i32 undef, section "air.fc_initializer"
@slope.MTL_FC_INIT_5_f = internal addrspace(2) externally_initialized constant float undef, section "air.fc_initializer"
@slope = internal addrspace(2) global float undef
@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] [{ i32, ptr, ptr } { i32 65535, ptr @initialise, ptr null }]
define internal void @initialise() section "air.static_init" {
  %1 = load float, ptr addrspace(2) @slope.MTL_FC_INIT_5_f
  store float %1, ptr addrspace(2) @slope
  ret void
}
define void @line(ptr addrspace(1) %out, i32 %i) {
  %f = load i8, ptr addrspace(2) @flag.MTL_FC_INIT_1_b
  %s = load i32, ptr addrspace(2) @step.MTL_FC_INIT_4_i
  %a = load float, ptr addrspace(2) @slope
  %is = icmp ne i8 %f, 0
  %n = mul i32 %i, %s
  %x = sitofp i32 %n to float
  %y = fmul float %x, %a
  %z = select i1 %is, float %y, float -1.0
  %p = getelementptr float, ptr addrspace(1) %out, i32 %i
  store float %z, ptr addrspace(1) %p
  ret void
}
!air.function_constants = !{!1, !2, !3}
!1 = !{ptr addrspace(2) @flag.MTL_FC_INIT_1_b, !"bool", !"flag", i32 1, i1 true}
!2 = !{ptr addrspace(2) @step.MTL_FC_INIT_4_i, !"int", !"step", i32 4, i1 true}
!3 = !{ptr addrspace(2) @slope.MTL_FC_INIT_5_f, !"float", !"slope", i32 5, i1 true}
"""
