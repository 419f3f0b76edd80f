# SPDX-License-Identifier: Apache-2.0
"""What is compiled for Metal, how often, and what it is linked to."""

from __future__ import annotations

import dataclasses
import re
import threading

import numpy as np
import pytest

import smelt
from smelt import knobs
from smelt._devices import software_runtime
from smelt._wiring import jobs
from smelt.caching import portable_state
from smelt.launch import requests
from smelt.targets.metal.artifact import PRINT_BUFFER
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software.device import SoftwareDevice
from smelt.targets.metal.metallib import read_metallib, write_metallib
from smelt.targets.metal.pipelines import MetalLinker, relocation_table
from smelt.targets.metal.results import MetalResults
from smelt.targets.metal.target import metal_target_named

SOFTWARE, SECOND = "metal:software", "metal:software:1"
TYPES = (smelt.float32[:], float)


def helper(x):
    return x + 1


def program(x, a):
    i = smelt.grid(1)
    x[i] = a * helper(x[i])


@pytest.fixture
def kernel():
    """A kernel that was never compiled, of a function of its own, with a helper of its own."""
    namespace = {**globals(), "helper": type(helper)(helper.__code__, dict(globals()), "helper")}
    return smelt.kernel(type(program)(program.__code__, namespace, "program"))


class Count:
    """How many of some events there were since the count was made."""

    def __init__(self):
        self.before = smelt.stats()

    def __getattr__(self, name):
        return getattr(smelt.stats(), name) - getattr(self.before, name)


def test_the_first_launch_compiles_and_the_second_does_not(kernel):
    x, count = smelt.zeros(4, device=SOFTWARE), Count()
    kernel[4](x, 2.0)
    assert (count.compilations, count.links, count.inferences) == (1, 1, 2)
    kernel[4](x, 2.0)
    kernel[1, 2](x, 2.0)
    assert (count.compilations, count.links, count.inferences) == (1, 1, 2)
    assert x.numpy().tolist() == [14, 14, 6, 6]


def test_another_name_or_option_is_one_more_and_kept_as_well(kernel):
    count = Count()
    found = smelt.metal.mtlfunction(kernel, TYPES)
    others = [{"name": "custom"}, {"opt_level": 1}, {"debug_level": 1}, {"macos": 15}, {"metal": 3.1, "macos": 26}]
    made = [smelt.metal.mtlfunction(kernel, TYPES, **other) for other in others]
    assert (count.compilations, count.inferences) == (6, 2)
    assert len({id(one.pipeline) for one in (found, *made)}) == 6
    assert [smelt.metal.mtlfunction(kernel, TYPES, **other) for other in others] == made
    assert smelt.metal.mtlfunction(kernel, list_of_same_types(), name="custom") is made[0]
    assert count.compilations == 6
    assert made[0].entry == "custom"
    assert found.entry == "program"


def list_of_same_types():
    return (smelt.float32[:], float)


def test_looking_at_the_code_leaves_the_kernel_usable(kernel):
    x = smelt.zeros(1, device=SOFTWARE)
    kernel[1](x, 2.0)
    count = Count()
    assert "fadd" in smelt.code_air(kernel, TYPES)
    smelt.code_typed(kernel, TYPES)
    kernel[1](x, 2.0)
    assert (count.compilations, count.links) == (0, 0)
    assert x[0] == 6


def test_redefining_the_kernel_or_what_it_calls_compiles_once_more(kernel):
    x, count = smelt.zeros(1, device=SOFTWARE), Count()
    first = smelt.metal.mtlfunction(kernel, TYPES)
    kernel[1](x, 2.0)
    assert (x[0], count.compilations) == (2, 1)
    kernel.function.__code__ = program_2.__code__
    kernel[1](x, 2.0)
    assert (x[0], count.compilations, count.links) == (5, 2, 2)
    second = smelt.metal.mtlfunction(kernel, TYPES)
    assert second is not first
    kernel.function.__globals__["helper"].__code__ = helper_2.__code__
    kernel[1](x, 2.0)
    assert (x[0], count.compilations, count.links) == (17, 3, 3)
    assert smelt.metal.mtlfunction(kernel, TYPES) not in (first, second)
    assert count.compilations == 3


def program_2(x, a):
    i = smelt.grid(1)
    x[i] = a + helper(x[i])


def helper_2(x):
    return x + 10


def test_two_devices_share_a_metallib_and_have_two_pipelines(kernel):
    count = Count()
    results = kernel.compile(*TYPES, device=SOFTWARE)
    assert results is kernel.compile(*TYPES, device=smelt.device(SECOND))
    assert (count.compilations, count.links) == (1, 2)
    (first, one), (second, other) = results.pipelines
    assert (first.name, second.name) == (SOFTWARE, SECOND)
    assert one is not other
    for name in (SOFTWARE, SECOND, "cpu"):
        x = smelt.full(2, 3, device=name)
        kernel[2](x, 0.5)
        assert x.numpy().tolist() == [2, 2]
    # The processor has code of its own.
    assert (count.compilations, count.links) == (2, 3)


def test_a_pipeline_is_made_once_however_many_threads_ask(kernel):
    count, ready, found = Count(), threading.Barrier(8), []

    def ask():
        ready.wait()
        found.append(smelt.metal.mtlfunction(kernel, TYPES).pipeline)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert (count.compilations, count.links) == (1, 1)


def test_what_was_inferred_and_not_compiled_has_no_metallib(kernel):
    job = kernel.loaded((smelt.float32[:], smelt.types.weak_float)).job
    job = type(job)(job.instance, smelt.records.replace(job.config, target=metal_target_named("metal")))
    count = Count()
    code = jobs().inferred(job)
    results = jobs().cached_results(MetalResults, job, code)
    assert results.metallib is None
    assert (len(results.pipelines), len(results.reloc_tables), count.compilations) == (0, 0, 0)
    assert kernel.compile(*TYPES, target="metal") is results
    assert (count.compilations, count.links) == (1, 0)
    assert kernel.compile(*TYPES, device=SOFTWARE) is results
    assert (count.compilations, count.links) == (1, 1)


def test_only_what_is_portable_is_ever_written_out(kernel):
    results = kernel.compile(*TYPES, device=SOFTWARE)
    state = portable_state(results)
    assert {"air", "metallib", "entry", "logging_enabled", "relocations"} <= state.keys()
    assert not {"pipelines", "reloc_tables", "functions"} & state.keys()
    assert [function.name for function in read_metallib(state["metallib"]).functions] == [state["entry"]]
    assert state["air"][:4] in (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")


def test_nothing_of_this_process_is_kept_while_modules_are_precompiled(kernel):
    count = Count()
    with requests.collecting():
        found = smelt.metal.mtlfunction(kernel, TYPES)
        assert len(found.results.pipelines) == 0
        found(np.zeros(1, np.float32), 2.0)
    assert (count.compilations, count.links) == (1, 1)
    assert len(found.results.pipelines) == 0
    assert kernel.compile(*TYPES, device=SECOND) is found.results
    assert [device.name for device, _ in found.results.pipelines] == [SECOND]
    assert count.compilations == 1


def test_a_hit_asks_nothing_of_the_compiler(kernel, monkeypatch):
    found = smelt.metal.mtlfunction(kernel, TYPES)

    def refuse(*_):
        raise AssertionError

    for name in ("compiled", "artifact", "inferred", "target_named", "cached_results"):
        monkeypatch.setattr(jobs(), name, refuse)
    assert smelt.metal.mtlfunction(kernel, TYPES) is found
    assert smelt.metal.mtlfunction(kernel, (TYPES[0], TYPES[1])) is found


def test_numbers_are_types_of_their_own(kernel):
    by_integer, by_float = (smelt.metal.mtlfunction(kernel, (smelt.float32[:], number)) for number in (2, 2.0))
    assert by_integer is not by_float
    assert smelt.metal.mtlfunction(kernel, (smelt.float32[:], 2)) is by_integer


def test_a_function_says_what_its_pipeline_can(kernel):
    found = smelt.metal.mtlfunction(kernel, TYPES, SECOND)
    assert found.device is smelt.device(SECOND)
    assert found.pipeline is found.results.pipelines.get(found.device)
    assert (found.max_threads, found.threadgroup_memory, found.execution_width) == (1024, 0, 32)
    assert repr(found) == "<kernel program on metal:software:1>"
    x = np.arange(6, dtype=np.float32)
    found(x, 2.0, groups=2, threads=3)
    assert x.tolist() == [2, 4, 6, 8, 10, 12]
    with pytest.raises(
        smelt.LaunchError, match=r"program was compiled for \(float32\[:\], weak float\), not for \(float64"
    ):
        found(np.zeros(2), 2.0)
    with knobs.DEVICE.set(SECOND):
        assert smelt.metal.mtlfunction(kernel, list_of_same_types()) is found


def test_without_a_device_the_default_of_the_moment_is_meant(kernel):
    first = smelt.metal.mtlfunction(kernel, TYPES)
    named = smelt.metal.mtlfunction(kernel, TYPES, SECOND)
    with knobs.DEVICE.set(SECOND):
        assert smelt.metal.mtlfunction(kernel, TYPES) is named
        assert smelt.metal.mtlfunction(kernel, TYPES) is named
        with knobs.DEVICE.set("metal:software:2"):
            assert smelt.metal.mtlfunction(kernel, TYPES).device is smelt.device("metal:software:2")
        assert smelt.metal.mtlfunction(kernel, TYPES) is named
    assert smelt.metal.mtlfunction(kernel, TYPES) is first


def test_what_a_group_shares_counts():
    def summed(x):
        i, room = smelt.grid(1), smelt.threadgroup_array(64, smelt.float32)
        room[i] = x[i]
        smelt.threadgroup_barrier()
        x[i] = room[63 - i]

    found = smelt.metal.mtlfunction(smelt.kernel(summed), (smelt.float32[:],))
    assert found.threadgroup_memory == 256


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"device": "cpu"}, smelt.LaunchError, "program: mtlfunction is for Metal devices, and cpu is none"),
        ({"device": "metal:9"}, smelt.LaunchError, "there is no device 'metal:9'"),
        ({"macos": 12}, ValueError, "smelt compiles for macOS 14, 15"),
        ({"air": 2.5}, ValueError, "smelt writes AIR .*, not AIR 2.5"),
        ({"air": 2.8}, ValueError, "macOS 14.0 loads AIR up to 2.6, not AIR 2.8: give macos=26"),
        ({"metal": "new"}, ValueError, "metal= is a version like 14 or 14.2, not 'new'"),
        ({"opt_level": 9}, ValueError, "opt_level is 0, 1, 2 or 3"),
    ],
)
def test_what_is_no_device_or_version_is_refused(kernel, given, error, message):
    with pytest.raises(error, match=message):
        smelt.metal.mtlfunction(kernel, TYPES, **given)


def test_what_is_compiled_for_a_newer_system_than_the_device_has_is_refused(kernel):
    device = SoftwareDevice("metal:older", software_runtime())
    device.macos = (15, 2)
    assert smelt.metal.mtlfunction(kernel, TYPES, device, macos=15).device is device
    expected = "program: metal:older has macOS 15.2, which can't load what is compiled for macOS 26.0: give macos=15.2"
    with pytest.raises(smelt.LaunchError, match=re.escape(expected)):
        smelt.metal.mtlfunction(kernel, TYPES, device, macos=26)


def test_a_device_and_a_target_are_two_ways_to_compile(kernel):
    with pytest.raises(TypeError, match="program: give device=, or else target= and options"):
        kernel.compile(*TYPES, device=SOFTWARE, target="metal")
    with pytest.raises(ValueError, match=r"there is no target 'cuda:12'; a target's name begins with native or metal"):
        kernel.compile(*TYPES, target="cuda:12")


# What is damaged


@pytest.fixture
def compiled(kernel):
    """A kernel, and its results, compiled and not linked."""
    return kernel, kernel.compile(*TYPES, target="metal")


def test_a_metallib_without_the_entry_is_refused_by_name(compiled):
    kernel, results = compiled
    results.entry = "another"
    with pytest.raises(DeviceError, match="the metallib of another has no function of that name, but program"):
        MetalLinker().link(results, smelt.device(SOFTWARE))
    assert len(results.pipelines) == 0
    # It is as if nothing had been kept: what was found is compiled again.
    count = Count()
    assert kernel.compile(*TYPES, device=SOFTWARE).entry == "program"
    assert (count.compilations, count.links) == (1, 1)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: data[:-7], lambda data: b"MTLX" + data[4:]])
def test_a_damaged_metallib_is_refused_and_compiled_again(compiled, damage):
    kernel, results = compiled
    whole = results.metallib
    results.metallib = damage(whole)
    with pytest.raises(DeviceError, match="metal:software can't use the metallib of program: "):
        MetalLinker().link(results, smelt.device(SOFTWARE))
    assert kernel.compile(*TYPES, device=SOFTWARE).metallib == whole


def test_what_is_compiled_again_is_linked_again_on_every_device(kernel):
    results = kernel.compile(*TYPES, device=SOFTWARE)
    first = results.pipelines.get(smelt.device(SOFTWARE))
    results.metallib = results.metallib[:-1]
    kernel.compile(*TYPES, device=SECOND)
    assert [device.name for device, _ in results.pipelines] == [SECOND]
    assert smelt.metal.mtlfunction(kernel, TYPES, SOFTWARE, name="program").pipeline is not first


def test_a_damaged_module_is_refused_and_compiled_again(compiled):
    kernel, results = compiled
    library = read_metallib(results.metallib)
    (function,) = library.functions
    broken = dataclasses.replace(function, module=function.module[:-64] + bytes(64))
    results.metallib = write_metallib(dataclasses.replace(library, functions=[broken]))
    with pytest.raises(DeviceError):
        MetalLinker().link(results, smelt.device(SOFTWARE))
    x = smelt.zeros(1, device=SOFTWARE)
    kernel[1](x, 3.0)
    assert x[0] == 3


def test_a_relocation_that_no_device_knows_is_named(compiled):
    _, results = compiled
    results.relocations = ("somewhere",)
    with pytest.raises(DeviceError, match="nothing on metal:software is called somewhere"):
        relocation_table(smelt.device(SOFTWARE), results)


def test_a_table_of_relocations_is_made_once_for_each_device(compiled):
    _, results = compiled
    assert relocation_table(smelt.device(SOFTWARE), results) is None
    results.relocations = (PRINT_BUFFER,)
    table = relocation_table(smelt.device(SOFTWARE), results)
    assert relocation_table(smelt.device(SOFTWARE), results) is table
    assert relocation_table(smelt.device(SECOND), results) is not table
    assert table.addresses == (table.buffers[0].gpu_address,)
    assert len(results.reloc_tables) == 2
    assert relocation_table(smelt.device(SOFTWARE), results, keeps=False) is not table


def test_a_metallib_serves_systems_that_are_not_older_than_what_it_is_for():
    rank = MetalLinker().rank
    wanted = metal_target_named("metal:macos=15")
    assert rank(wanted, metal_target_named("metal:macos=14")) < rank(wanted, wanted)
    assert rank(wanted, metal_target_named("metal:macos=26")) is None
    assert rank(metal_target_named("metal:macos=26,metal=3.1"), metal_target_named("metal:macos=26")) is None
    assert rank(wanted, smelt.kernel(program).config.target) is None
