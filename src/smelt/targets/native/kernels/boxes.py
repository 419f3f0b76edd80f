# SPDX-License-Identifier: Apache-2.0
"""Loops over a box of the grid, as LLVM IR: what all entry points have that run thread by thread, or group by group, x fastest."""

from __future__ import annotations

_AXES = "xyz"


def loops_begin(at: str, *, before: str, inside: str) -> str:
    """The heads of the loops, from the block `before` to the block `inside`, in which `%{at}x`, `%{at}y` and `%{at}z` are the place.

    A box goes from `%begin_x` to `%end_x` on the axis x, and so on. What runs inside goes on at `%end_of_x`, and all ends at `%done`.
    """
    return _BEGIN.format(at=at, before=before, inside=inside)


def loops_end(at: str, *, steps: tuple[str, str, str]) -> str:
    """The ends of the loops, given how far they go on each axis."""
    return "\n".join(
        f"end_of_{axis}:\n  %next_{axis} = add nsw i64 %{at}{axis}, {step}\n  br label %loop_{axis}"
        for axis, step in zip(_AXES, steps, strict=True)
    )


def group_sizes(at: str) -> str:
    """How many threads the group at that place has on each axis, as `%size_x` and so on: fewer at the end of the box."""
    return "\n".join(
        f"  %left_{axis} = sub i64 %end_{axis}, %{at}{axis}\n"
        f"  %size_{axis} = call i64 @llvm.smin.i64(i64 %left_{axis}, i64 %group_{axis})"
        for axis in _AXES
    )


GROUP_STEPS = ("%group_x", "%group_y", "%group_z")
"""From group to group."""

_BEGIN = """\
  br label %loop_z
loop_z:
  %{at}z = phi i64 [ %begin_z, %{before} ], [ %next_z, %end_of_z ]
  %more_z = icmp slt i64 %{at}z, %end_z
  br i1 %more_z, label %loop_y, label %done
loop_y:
  %{at}y = phi i64 [ %begin_y, %loop_z ], [ %next_y, %end_of_y ]
  %more_y = icmp slt i64 %{at}y, %end_y
  br i1 %more_y, label %loop_x, label %end_of_z
loop_x:
  %{at}x = phi i64 [ %begin_x, %loop_y ], [ %next_x, %end_of_x ]
  %more_x = icmp slt i64 %{at}x, %end_x
  br i1 %more_x, label %{inside}, label %end_of_y
{inside}:"""
