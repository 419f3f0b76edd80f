# SPDX-License-Identifier: Apache-2.0
"""Loops over a box of the grid, as LLVM IR: what all entry points have that run row by row, thread by thread, or group by group, x fastest."""

from __future__ import annotations

_AXES = "xyz"


def loops_begin(at: str, *, before: str, inside: str, axes: str = _AXES) -> str:
    """The heads of the loops over these axes, from the block `before` to the block `inside`, in which `%{at}x` and so on are the place.

    A box goes from `%begin_x` to `%end_x` on the axis x, and so on. What runs inside goes on at `%end_of_` of the first axis, and all ends
    at `%done`.
    """
    texts = [f"  br label %loop_{axes[-1]}"]
    for number, axis in reversed(list(enumerate(axes))):
        is_last = axis == axes[-1]
        texts.append(
            _HEAD.format(
                at=at,
                axis=axis,
                outside=before if is_last else f"loop_{axes[number + 1]}",
                inside=f"loop_{axes[number - 1]}" if number else inside,
                end="done" if is_last else f"end_of_{axes[number + 1]}",
            )
        )
    return "\n".join((*texts, f"{inside}:"))


def loops_end(at: str, *, steps: tuple[str, ...], axes: str = _AXES) -> str:
    """The ends of the loops, given how far they go on each axis."""
    return "\n".join(
        f"end_of_{axis}:\n  %next_{axis} = add nsw i64 %{at}{axis}, {step}\n  br label %loop_{axis}"
        for axis, step in zip(axes, steps, strict=True)
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

_HEAD = """\
loop_{axis}:
  %{at}{axis} = phi i64 [ %begin_{axis}, %{outside} ], [ %next_{axis}, %end_of_{axis} ]
  %more_{axis} = icmp slt i64 %{at}{axis}, %end_{axis}
  br i1 %more_{axis}, label %{inside}, label %{end}"""
