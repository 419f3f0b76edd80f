# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PTH123 - a warm process doesn't import pathlib
"""How many processors this process may keep busy: those that it may run on, and no more than its share of time pays for."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator


def available_cpus() -> int:
    """The number of threads that can run at once, one at least.

    Part of a processor is worth a thread: a group of processes that has the time of 1.5 processors runs two.
    """
    quota = cpu_quota()
    return max(1, allowed_cpus() if quota is None else min(allowed_cpus(), -int(-quota // 1)))


def allowed_cpus() -> int:
    """The number of processors that the system's scheduler may run this process on."""
    # process_cpu_count is of Python 3.13; the affinity is what Linux has, and some of the BSDs.
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(root: str = "/") -> float | None:
    """The time that Linux gives the control groups of this process, in processors; None where nothing is limited, or known.

    Both versions of control groups are looked at, since a system may have both. A group is limited by all that it is in. See
    Documentation/admin-guide/cgroup-v2.rst and cgroup-v1 with scheduler/sched-bwc.rst of Linux. Files are looked for below `root`.
    """
    quotas = [quota for directory in _group_directories(root) if (quota := _quota_of(directory)) is not None]
    return min(quotas, default=None)


def _quota_of(directory: str) -> float | None:
    words = _words(f"{directory}/cpu.max") or [
        word for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us") for word in _words(f"{directory}/{name}")
    ]
    try:
        time, period = map(int, words)
    except ValueError:
        # "max" for no limit; or the files aren't there.
        return None
    return time / period if time > 0 and period > 0 else None


def _group_directories(root: str) -> Iterator[str]:
    """Where the groups of this process that have to do with processors are found, each followed by those that it is in."""
    for mounted_group, mount, kind, options in _mounts(root):
        for controllers, group in _own_groups(root):
            is_of_mount = not controllers if kind == "cgroup2" else "cpu" in options and "cpu" in controllers
            if is_of_mount:
                inner = _relative(group, mounted_group)
                directory = posixpath.join(root, mount.lstrip("/"))
                yield directory
                for part in inner:
                    directory = posixpath.join(directory, part)
                    yield directory


def _own_groups(root: str) -> Iterator[tuple[list[str], str]]:
    """The controllers of each hierarchy, none for that of version 2, and the group of this process in it. See cgroups(7)."""
    for line in _lines(posixpath.join(root, "proc/self/cgroup")):
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        yield controllers.split(",") if controllers else [], group


def _mounts(root: str) -> Iterator[tuple[str, str, str, list[str]]]:
    """Each mounted hierarchy: the group that is seen there, where, its kind and its options. See proc_pid_mountinfo(5)."""
    for line in _lines(posixpath.join(root, "proc/self/mountinfo")):
        before, _, behind = line.partition(" - ")
        fields, (kind, _, options) = before.split(), [*behind.split(" ", 2), "", "", ""][:3]
        if kind in ("cgroup", "cgroup2") and len(fields) > 4:
            yield fields[3], fields[4], kind, options.split(",")


def _relative(group: str, mounted_group: str) -> list[str]:
    """The path from a mounted group to one that it holds; to itself where the two are seen from different namespaces."""
    own, outer = ([part for part in path.split("/") if part not in ("", ".")] for path in (group, mounted_group))
    is_inside = own[: len(outer)] == outer and ".." not in own
    return own[len(outer) :] if is_inside else []


def _words(path: str) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
