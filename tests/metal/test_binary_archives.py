# SPDX-License-Identifier: Apache-2.0
"""Machine code that later processes find: binary archives, on an Objective-C that runs in software."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.caching import StoreWarning
from smelt.sessions.directory import Directory
from smelt.targets.metal.devices.macos import archives
from smelt.targets.metal.devices.macos.system import SystemVersion, devices_of

pytestmark = pytest.mark.once

KERNEL = """
define void @NAME(ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  store float NUMBER, ptr addrspace(1) %p, align 4
  ret void
}
"""


@pytest.fixture(scope="module")
def library(air):
    arguments = [air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")]
    texts = [
        (name, KERNEL.replace("NAME", name).replace("NUMBER", number))
        for name, number in (("one", "1.0"), ("two", "2.0"))
    ]
    return air.metallib(*((air.with_kernel(text, name, arguments), name) for name, text in texts))


@pytest.fixture
def files(tmp_path):
    return Directory(tmp_path / "cache")


def session(objective_c, files, build="23F79"):
    """What a process has: a device of its own with what earlier ones kept."""
    layer = objective_c.Layer()
    return layer, devices_of(layer.frameworks(), SystemVersion((14, 5), build), files)[0]


def run(device, library, name):
    x = np.zeros(3, np.float32)
    smelt.metal.library(library, device=device).function(name)({0: x}, threads=3)
    return x.tolist()


def counts(device):
    return device.archive.hits, device.archive.misses


def compilations(layer):
    return sum(call.name == "newComputePipelineStateWithFunction:error:" for call in layer.calls)


def test_code_is_found_by_later_processes(objective_c, files, library):
    layer, first = session(objective_c, files)
    assert run(first, library, "one") == [1, 1, 1]
    assert run(first, library, "one") == [1, 1, 1]
    assert (counts(first), compilations(layer)) == ((1, 1), 1)
    assert first.archive.save()
    layer, second = session(objective_c, files)
    assert run(second, library, "one") == [1, 1, 1]
    assert (counts(second), compilations(layer)) == ((1, 0), 0)
    # What is new there is added.
    assert run(second, library, "two") == [2, 2, 2]
    assert second.archive.save()
    layer, third = session(objective_c, files)
    assert [run(third, library, name) for name in ("one", "two")] == [[1, 1, 1], [2, 2, 2]]
    assert (counts(third), compilations(layer)) == ((2, 0), 0)


def test_these_are_the_calls(objective_c, files, library):
    layer, device = session(objective_c, files)
    device.library(library).function("one").pipeline({})
    device.archive.save()
    about = re.compile("Archive|Pipeline|serialize")
    names = [str(call) for call in layer.calls if about.search(call.name)]
    assert names == [
        "MTLDevice newBinaryArchiveWithDescriptor:error:",
        "MTLDevice newBinaryArchiveWithDescriptor:error:",
        "MTLComputePipelineDescriptor setBinaryArchives:",
        "MTLDevice newComputePipelineStateWithDescriptor:options:reflection:error:",
        "MTLDevice newComputePipelineStateWithFunction:error:",
        "MTLBinaryArchive addComputePipelineFunctionsWithDescriptor:error:",
        "MTLBinaryArchive serializeToURL:error:",
    ]
    (asked,) = [call for call in layer.calls if call.name.startswith("newComputePipelineStateWithDescriptor:")]
    assert asked.arguments[1:] == (4, None, None)


def test_each_device_and_each_build_of_the_system_has_its_own(objective_c, files, library):
    layer = objective_c.Layer()
    layer.default._name = "Apple M7/Max ∞"
    devices = devices_of(layer.frameworks(), SystemVersion((14, 5), "23F79"), files)
    assert [device.archive.name for device in devices] == ["archives/Apple_M7_Max__-23F79", "archives/eGPU-23F79"]
    run(devices[0], library, "one")
    devices[0].archive.save()
    for build, hits in (("23F79", 1), ("23G80", 0)):
        layer = objective_c.Layer()
        layer.default._name = "Apple M7/Max ∞"
        (device, _) = devices_of(layer.frameworks(), SystemVersion((14, 5), build), files)
        run(device, library, "one")
        assert counts(device) == (hits, 1 - hits)


def test_nothing_is_written_where_nothing_is_new(objective_c, files, library):
    _, device = session(objective_c, files)
    assert device.archive.save()
    assert not Path(files.path).exists()
    run(device, library, "one")
    device.archive.save()
    (path,) = (Path(files.path) / "archives").iterdir()
    before = path.stat().st_mtime_ns, path.stat().st_ino
    _, device = session(objective_c, files)
    run(device, library, "one")
    assert device.archive.save()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


@pytest.mark.parametrize("damage", ["cut off", "changed", "not Metal's", "empty"])
def test_a_damaged_file_is_discarded_and_made_anew(objective_c, files, library, damage):
    _, device = session(objective_c, files)
    run(device, library, "one")
    device.archive.save()
    path = Path(files.path) / device.archive.name
    good = path.read_bytes()
    path.write_bytes(
        {
            "cut off": good[:-1],
            "changed": good[:-1] + b"?",
            "not Metal's": hashlib.sha256(b"junk").digest() + b"junk",
            "empty": b"",
        }[damage]
    )
    layer, device = session(objective_c, files)
    # Only what is whole is shown to Metal at all.
    assert any(call.name == "setUrl:" for call in layer.calls) == (damage == "not Metal's")
    assert run(device, library, "one") == [1, 1, 1]
    assert counts(device) == (0, 1)
    assert device.archive.save()
    assert path.read_bytes() == good
    _, device = session(objective_c, files)
    run(device, library, "one")
    assert counts(device) == (1, 0)


def test_without_room_for_temporary_files_kernels_are_compiled(objective_c, files, library, monkeypatch):
    _, device = session(objective_c, files)
    run(device, library, "one")
    device.archive.save()

    def full(*arguments, **options):
        raise OSError(arguments, options)

    monkeypatch.setattr(archives.tempfile, "TemporaryDirectory", full)
    _, device = session(objective_c, files)
    assert run(device, library, "one") == [1, 1, 1]
    assert counts(device) == (0, 1)
    assert not device.archive.save()


def test_a_damaged_file_is_replaced_even_if_nothing_is_compiled(objective_c, files):
    _, device = session(objective_c, files)
    path = Path(files.path) / device.archive.name
    files.write(device.archive.name, b"junk")
    _, device = session(objective_c, files)
    assert device.archive.save()
    contents = path.read_bytes()
    assert hashlib.sha256(contents[32:]).digest() == contents[:32]


def test_the_file_is_replaced_as_a_whole_and_is_this_users(objective_c, files, library, monkeypatch):
    _, device = session(objective_c, files)
    run(device, library, "one")
    device.archive.save()
    path = Path(files.path) / device.archive.name
    good = path.read_bytes()
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    _, device = session(objective_c, files)
    run(device, library, "two")

    def fails(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.warns(StoreWarning, match="can't be written to: no space left on device"):
        assert not device.archive.save()
    assert path.read_bytes() == good
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    monkeypatch.undo()
    # It is tried again.
    assert device.archive.save()
    assert path.read_bytes() != good


def test_what_goes_wrong_in_metal_costs_a_compilation_only(objective_c, files, library):
    for selector in ("newBinaryArchiveWithDescriptor:error:", "serializeToURL:error:"):
        layer = objective_c.Layer()
        layer.refused[selector] = "no archives here"
        device = devices_of(layer.frameworks(), SystemVersion((14, 5), "23F79"), files)[0]
        assert run(device, library, "one") == [1, 1, 1]
        assert device.archive.save() == selector.startswith("new")
        assert not Path(files.path).exists()
    layer, device = session(objective_c, files)
    layer.refused["addComputePipelineFunctionsWithDescriptor:error:"] = "no code of this sort"
    assert run(device, library, "one") == [1, 1, 1]
    assert device.archive.save()
    assert not Path(files.path).exists()
    layer.refused["newComputePipelineStateWithFunction:error:"] = "the back end crashed"
    with pytest.raises(smelt.metal.DeviceError, match="metal:0 can't compile two: the back end crashed"):
        run(device, library, "two")


PROGRAM = """
import importlib.util, sys
from smelt.sessions.directory import Directory
from smelt.targets.metal.devices.macos.system import SystemVersion, devices_of
from pathlib import Path
specification = importlib.util.spec_from_file_location("objective_c", sys.argv[1])
objective_c = importlib.util.module_from_spec(specification)
specification.loader.exec_module(objective_c)
device = devices_of(objective_c.Layer().frameworks(), SystemVersion((14, 5), "23F79"), Directory(Path(sys.argv[2])))[0]
device.library(Path(sys.argv[3]).read_bytes()).function("one").pipeline({})
print(device.archive.hits, device.archive.misses)
"""


def test_it_is_written_when_the_process_ends(files, library, tmp_path):
    path = tmp_path / "a.metallib"
    path.write_bytes(library)
    beside = Path(__file__).with_name("objective_c.py")
    command = [sys.executable, "-c", PROGRAM, str(beside), str(files.path), str(path)]
    printed = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert printed == ["0 1\n", "1 0\n"]


def program(name, folder, **environment):
    """What a program of this folder prints, in a process of its own, in another folder."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(name))],
        env={**os.environ, "PYTHONPATH": str(Path(smelt.__file__).parents[1]), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_kernel_of_smelts_own_finds_its_machine_code_in_the_next_process(tmp_path):
    kept = {"SMELT_STORE": "on", "SMELT_CACHE_DIR": str(tmp_path)}
    first, second = (program("macos_program.py", tmp_path, **kept, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == ["cpu metal:0 metal:1 metal:software", "True 1", "0 1"]
    assert second == ["cpu metal:0 metal:1 metal:software", "True 0", "1 0"]


def test_metallibs_are_the_same_bytes_in_every_process(tmp_path):
    # Each compiles anew: in another place, with another order of sets.
    printed = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        printed.append(program("stable_program.py", folder, PYTHONHASHSEED=seed, SMELT_STORE="off"))
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 4
    assert {len(digest) for digest in printed[0]} == {64}
