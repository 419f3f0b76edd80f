# SPDX-License-Identifier: Apache-2.0
"""A kernel of a compiled Metal library, run on NumPy arrays: on a Mac, or in software on any machine.

    python examples/metal_library.py FILE.metallib    # what kernels are in it, and what they take
    python examples/metal_library.py [--size PIXELS]

Without a file it writes one, as Apple's tools would have compiled it from such a source, and draws a Julia set with it:

    constant int iterations [[function_constant(0)]];
    kernel void julia(device int* counts [[buffer(0)]], constant float2& c [[buffer(1)]],
                      uint2 here [[thread_position_in_grid]], uint2 size [[threads_per_grid]]);
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

import smelt
from smelt.targets.metal.air import downgrade, wrapped
from smelt.targets.metal.metallib import Function, FunctionConstant, Library, Version, write_metallib

ITERATIONS = 60
SHADES = " .:-=+*#%@"

JULIA = """
target triple = "air64_v26-apple-macosx14.0.0"
@iterations.MTL_FC_INIT_0_i = internal addrspace(2) externally_initialized constant i32 undef, section "air.fc_initializer"

define void @julia(ptr addrspace(1) %counts, ptr addrspace(2) %c, <2 x i32> %here, <2 x i32> %size) {
entry:
  %limit = load i32, ptr addrspace(2) @iterations.MTL_FC_INIT_0_i
  %c_both = load <2 x float>, ptr addrspace(2) %c
  %c_real = extractelement <2 x float> %c_both, i32 0
  %c_imaginary = extractelement <2 x float> %c_both, i32 1
  %positions = uitofp <2 x i32> %here to <2 x float>
  %sizes = uitofp <2 x i32> %size to <2 x float>
  %fractions = fdiv <2 x float> %positions, %sizes
  %scaled = fmul <2 x float> %fractions, <float 3.0, float 3.0>
  %start = fsub <2 x float> %scaled, <float 1.5, float 1.5>
  %start_real = extractelement <2 x float> %start, i32 0
  %start_imaginary = extractelement <2 x float> %start, i32 1
  br label %step
step:
  %real = phi float [ %start_real, %entry ], [ %next_real, %inside ]
  %imaginary = phi float [ %start_imaginary, %entry ], [ %next_imaginary, %inside ]
  %count = phi i32 [ 0, %entry ], [ %next_count, %inside ]
  %real_squared = fmul float %real, %real
  %imaginary_squared = fmul float %imaginary, %imaginary
  %distance = fadd float %real_squared, %imaginary_squared
  %is_inside = fcmp ole float %distance, 4.0
  %is_below = icmp slt i32 %count, %limit
  %goes_on = and i1 %is_inside, %is_below
  br i1 %goes_on, label %inside, label %done
inside:
  %difference = fsub float %real_squared, %imaginary_squared
  %next_real = fadd float %difference, %c_real
  %product = fmul float %real, %imaginary
  %doubled = fadd float %product, %product
  %next_imaginary = fadd float %doubled, %c_imaginary
  %next_count = add i32 %count, 1
  br label %step
done:
  %x = extractelement <2 x i32> %here, i32 0
  %y = extractelement <2 x i32> %here, i32 1
  %width = extractelement <2 x i32> %size, i32 0
  %row = mul i32 %y, %width
  %index = add i32 %row, %x
  %place = getelementptr i32, ptr addrspace(1) %counts, i32 %index
  store i32 %count, ptr addrspace(1) %place
  ret void
}

!air.kernel = !{!0}
!air.function_constants = !{!7}
!0 = !{ptr @julia, !1, !2}
!1 = !{}
!2 = !{!3, !4, !5, !6}
!3 = !{i32 0, !"air.buffer", !"air.location_index", i32 0, i32 1, !"air.read_write", !"air.address_space", i32 1, !"air.arg_type_size", i32 4, !"air.arg_type_align_size", i32 4, !"air.arg_type_name", !"int", !"air.arg_name", !"counts"}
!4 = !{i32 1, !"air.buffer", !"air.buffer_size", i32 8, !"air.location_index", i32 1, i32 1, !"air.read", !"air.address_space", i32 2, !"air.arg_type_size", i32 8, !"air.arg_type_align_size", i32 8, !"air.arg_type_name", !"float2", !"air.arg_name", !"c"}
!5 = !{i32 2, !"air.thread_position_in_grid", !"air.arg_type_name", !"uint2", !"air.arg_name", !"here"}
!6 = !{i32 3, !"air.threads_per_grid", !"air.arg_type_name", !"uint2", !"air.arg_name", !"size"}
!7 = !{ptr addrspace(2) @iterations.MTL_FC_INIT_0_i, !"int", !"iterations", i32 0, i1 true}
"""


def write_julia(path):
    """Compile the kernel to a metallib."""
    module = wrapped(downgrade(llvm.parse_assembly(JULIA)))
    kernel = Function("julia", module, air=Version(2, 6), language=Version(3, 1))
    kernel.declare_constants((FunctionConstant("iterations", kind=29, index=0),))
    path.write_bytes(write_metallib(Library([kernel], system=Version(14, 0))))


def julia_in_numpy(size, c):
    """The same counts, with NumPy."""
    axis = (np.arange(size, dtype=np.float32) / np.float32(size)) * np.float32(3) - np.float32(1.5)
    real, imaginary = (part.copy() for part in np.meshgrid(axis, axis))
    counts = np.zeros((size, size), np.int32)
    for _ in range(ITERATIONS):
        inside = real * real + imaginary * imaginary <= 4
        product = real[inside] * imaginary[inside]
        real[inside] = real[inside] ** 2 - imaginary[inside] ** 2 + c[0]
        imaginary[inside] = product + product + c[1]
        counts[inside] += 1
    return counts


def show_library(path):
    """Print what a library has."""
    library = smelt.metal.library(path)
    print(f"{path.name}: {len(library.functions)} functions, on {library.device.name}")
    for name in library.functions[:20]:
        print(f"  {name}")
    if len(library.functions) > 20:
        print(f"  and {len(library.functions) - 20} more; smelt inspect {path} shows what they take")


def draw(size):
    """Draw a Julia set with a kernel from a file."""
    c = np.array([-0.8, 0.156], np.float32)
    counts = np.zeros((size, size), np.int32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "julia.metallib"
        write_julia(path)
        show_library(path)
        # The five lines that this is about.
        library = smelt.metal.library(path)
        julia = library.function("julia", constants={"iterations": ITERATIONS})
        julia({0: counts, 1: c}, threads=(size, size), threads_per_threadgroup=(16, 16))
    assert (counts == julia_in_numpy(size, c)).all(), "the kernel and NumPy differ"
    step = max(1, size // 32)
    for row in counts[::step, :: max(1, step // 2)]:
        print("".join(SHADES[min(count * len(SHADES) // ITERATIONS, len(SHADES) - 1)] for count in row))
    print(f"{size} x {size} points, {counts.sum()} steps, as NumPy counts them")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE.metallib")
    parser.add_argument("--size", type=int, default=200, metavar="PIXELS")
    chosen = parser.parse_args()
    if chosen.file is None:
        draw(chosen.size)
    else:
        show_library(chosen.file)


if __name__ == "__main__":
    main()
