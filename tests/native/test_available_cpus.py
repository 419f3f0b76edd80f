# SPDX-License-Identifier: Apache-2.0
"""How many processors a process may keep busy, read from files as Linux has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smelt.targets.native.processors import available_cpus as cpus

pytestmark = pytest.mark.once

ONE_V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw shared:13 - cgroup2 cgroup2 rw\n"
)


@pytest.fixture
def system(tmp_path):
    def make(mounts: str, groups: str, **files: str) -> Path:
        written = {"proc/self/mountinfo": mounts, "proc/self/cgroup": groups, **files}
        for name, contents in written.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(contents)
        return tmp_path

    return make


def test_a_group_of_version_2_is_limited_by_its_quota(system):
    root = system(ONE_V2, "0::/user.slice/job\n", **{"sys/fs/cgroup/user.slice/job/cpu.max": "150000 100000\n"})
    assert cpus.cpu_quota(root) == 1.5


def test_a_group_is_limited_by_the_groups_that_it_is_in(system):
    root = system(
        ONE_V2,
        "0::/user.slice/job\n",
        **{
            "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/cpu.max": "300000 100000\n",
        },
    )
    assert cpus.cpu_quota(root) == 3


def test_the_least_of_several_limits_counts(system):
    root = system(
        ONE_V2,
        "0::/a/b\n",
        **{"sys/fs/cgroup/a/b/cpu.max": "800000 100000\n", "sys/fs/cgroup/a/cpu.max": "50000 25000\n"},
    )
    assert cpus.cpu_quota(root) == 2


def test_a_container_sees_its_own_group_as_the_root(system):
    root = system(ONE_V2, "0::/\n", **{"sys/fs/cgroup/cpu.max": "400000 100000\n"})
    assert cpus.cpu_quota(root) == 4


def test_a_group_of_version_1_is_limited_by_its_quota(system):
    root = system(
        V1,
        "5:memory:/jobs/big\n3:cpu,cpuacct:/jobs/one\n0::/\n",
        **{
            "sys/fs/cgroup/cpu,cpuacct/jobs/one/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/jobs/one/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/jobs/big/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/jobs/big/cpu.cfs_period_us": "100000\n",
        },
    )
    assert cpus.cpu_quota(root) == 2.5


def test_a_quota_of_minus_one_limits_nothing(system):
    root = system(
        V1,
        "3:cpu,cpuacct:/\n",
        **{
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    assert cpus.cpu_quota(root) is None


def test_a_mount_may_show_a_part_of_the_hierarchy(system):
    mounts = "32 31 0:29 /docker/1234 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
    files = {
        "sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/inner/cpu.cfs_period_us": "100000\n",
    }
    assert cpus.cpu_quota(system(mounts, "4:cpu:/docker/1234/inner\n", **files)) == 1


def test_of_a_group_that_is_not_seen_the_mounted_one_counts(system):
    mounts = "32 31 0:29 /docker/1234 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
    files = {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}
    assert cpus.cpu_quota(system(mounts, "4:cpu:/../elsewhere\n", **files)) == 2


def test_nothing_is_known_without_these_files(tmp_path):
    assert cpus.cpu_quota(tmp_path) is None


@pytest.mark.parametrize("contents", ["", "max", "a b\n", "100000\n", "100000 0\n", "0 100000\n", "1 2 3\n"])
def test_what_is_no_quota_limits_nothing(system, contents):
    assert cpus.cpu_quota(system(ONE_V2, "0::/\n", **{"sys/fs/cgroup/cpu.max": contents})) is None


@pytest.mark.parametrize("text", ["", "nonsense\n", "1:\n", ":::\n"])
def test_files_that_say_something_else_limit_nothing(system, text):
    assert cpus.cpu_quota(system(text, text)) is None


@pytest.mark.parametrize(
    ("allowed", "quota", "expected"),
    [(8, None, 8), (8, 2.0, 2), (8, 2.5, 3), (2, 16.0, 2), (8, 0.1, 1), (1, None, 1)],
)
def test_as_many_threads_as_processors_and_time_are_enough_for(monkeypatch, allowed, quota, expected):
    monkeypatch.setattr(cpus, "allowed_cpus", lambda: allowed)
    monkeypatch.setattr(cpus, "cpu_quota", lambda: quota)
    assert cpus.available_cpus() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no os.sched_setaffinity")
def test_a_process_that_is_bound_to_one_processor_has_one():
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from smelt.targets.native.processors.available_cpus import available_cpus\n"
        "print(available_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1\n"
