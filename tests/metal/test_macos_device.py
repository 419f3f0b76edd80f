# SPDX-License-Identifier: Apache-2.0
"""The Metal device of macOS, through an Objective-C that takes down what is called and runs it in software."""

from __future__ import annotations

import ctypes
import gc
import mmap
import plistlib
import sys

import numpy as np
import pytest

import smelt
from smelt.targets.metal.devices.host_memory import HostMemory, extent_of
from smelt.targets.metal.devices.macos import devices_of_system, objective_c as bridge
from smelt.targets.metal.devices.macos.system import SystemVersion, devices_of, system_version

pytestmark = pytest.mark.once

SHARED = """
define void @shared(ptr addrspace(1) %out, ptr addrspace(3) %a, i32 %i) {
  store float 2.0, ptr addrspace(3) %a
  %v = load float, ptr addrspace(3) %a
  %p = getelementptr float, ptr addrspace(1) %out, i32 %i
  store float %v, ptr addrspace(1) %p
  ret void
}
"""


@pytest.fixture
def layer(objective_c):
    return objective_c.Layer()


@pytest.fixture
def device(layer):
    return devices_of(layer.frameworks(), SystemVersion((14, 5), "23F79"))[0]


@pytest.fixture(scope="module")
def scale_library(air):
    return air.scale()


@pytest.fixture(scope="module")
def line_library(air):
    return air.line()


@pytest.fixture(scope="module")
def shared_library(air):
    arguments = [air.buffer(0, 0, "out"), air.buffer(1, 0, "a", space=3), air.quantity(2, "thread_position_in_grid")]
    return air.metallib((air.with_kernel(SHARED, "shared", arguments), "shared"))


def test_the_default_device_is_the_first_and_each_is_listed_once(layer):
    found = devices_of(layer.frameworks(), SystemVersion((14, 5), "23F79"))
    assert [(device.name, device.handle.name()) for device in found] == [
        ("metal:0", "Apple M7 (software)"),
        ("metal:1", "eGPU"),
    ]
    assert repr(found[0]) == "<device metal:0, Apple M7 (software)>"
    assert (found[0].macos, found[0].max_threadgroup_memory_length) == ((14, 5), 32768)
    layer.default = None
    assert [device.handle.name() for device in devices_of(layer.frameworks(), SystemVersion((14, 5), ""))] == [
        "eGPU",
        "Apple M7 (software)",
    ]


def test_a_kernel_runs_with_exactly_these_calls(layer, device, scale_library):
    kernel = smelt.metal.library(scale_library, device=device).function("scale")
    x = np.arange(10, dtype=np.float32)
    kernel({0: x, 3: np.float32(2.5)}, threads=8, threads_per_threadgroup=4)
    assert x.tolist() == [0, 2.5, 5, 7.5, 10, 12.5, 15, 17.5, 8, 9]
    assert [str(call) for call in layer.calls] == [
        "Metal MTLCreateSystemDefaultDevice",
        "Metal MTLCopyAllDevices",
        "MTLDevice registryID",
        "MTLDevice registryID",
        "MTLDevice registryID",
        "MTLDevice registryID",
        "MTLDevice maxThreadgroupMemoryLength",
        "MTLDevice maxThreadgroupMemoryLength",
        "dispatch dispatch_data_create",
        "MTLDevice newLibraryWithData:error:",
        "MTLLibrary newFunctionWithName:",
        "MTLDevice newComputePipelineStateWithFunction:error:",
        "MTLComputePipelineState maxTotalThreadsPerThreadgroup",
        "MTLComputePipelineState threadExecutionWidth",
        "MTLComputePipelineState staticThreadgroupMemoryLength",
        "MTLDevice newCommandQueue",
        "MTLDevice newBufferWithLength:options:",
        "MTLBuffer gpuAddress",
        "MTLBuffer contents",
        "MTLDevice newBufferWithLength:options:",
        "MTLBuffer gpuAddress",
        "MTLBuffer contents",
        "MTLCommandQueue commandBuffer",
        "MTLCommandBuffer computeCommandEncoder",
        "MTLComputeCommandEncoder setComputePipelineState:",
        "MTLComputeCommandEncoder setBuffer:offset:atIndex:",
        "MTLComputeCommandEncoder setBuffer:offset:atIndex:",
        "Metal MTLSizeMake",
        "Metal MTLSizeMake",
        "MTLComputeCommandEncoder dispatchThreads:threadsPerThreadgroup:",
        "MTLComputeCommandEncoder endEncoding",
        "MTLCommandBuffer commit",
        "MTLCommandBuffer waitUntilCompleted",
        "MTLCommandBuffer status",
        "MTLBuffer contents",
    ]
    created = layer.calls[8]
    assert created.arguments == (scale_library, len(scale_library), None, None)
    (dispatched,) = [call for call in layer.calls if call.name.startswith("dispatchThreads:")]
    assert dispatched.arguments == ((8, 1, 1), (4, 1, 1))
    assert layer.pools == 0


def test_arrays_may_be_in_fortrans_order_and_read_only_ones_are_read(device, scale_library):
    kernel = smelt.metal.library(scale_library, device=device).function("scale")
    x = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    factor = np.full(1, 2, np.float32)
    factor.flags.writeable = False
    kernel({0: x, 3: factor}, threads=6)
    assert x.tolist() == [[0, 2, 4], [6, 8, 10]]


def test_memory_that_overlaps_is_copied_once(device):
    memory = np.arange(100, dtype=np.uint8)
    parts = [memory, memory[10:20], memory[50:60], memory[:0]]
    on_device = HostMemory(device, [extent_of(part, is_written=True)[0] for part in parts])
    places = on_device.places
    assert places[0].buffer is places[1].buffer is places[2].buffer
    assert [place.offset for place in places[:3]] == [0, 10, 50]
    places[0].buffer.contents[55] = 7
    on_device.bring_back()
    assert memory[55] == 7


def test_what_a_threadgroup_shares_is_not_bound(device, air):
    arguments = [air.buffer(0, 0, "out"), air.buffer(1, 2, "a", space=3), air.quantity(2, "thread_position_in_grid")]
    data = air.metallib((air.with_kernel(SHARED, "shared", arguments), "shared"))
    kernel = smelt.metal.library(data, device=device).function("shared")
    out = np.zeros(3, np.float32)
    with pytest.raises(smelt.metal.DeviceError, match=r"shared has no buffer 2; it has 0 \(out\)"):
        kernel({0: out, 2: out}, threads=3, threadgroup_memory={2: 16})
    kernel({0: out}, threads=3, threadgroup_memory={2: 16})
    assert out.tolist() == [2, 2, 2]


@pytest.mark.parametrize("value", [np.float64(2.5), np.int32(2), np.float16(2)])
def test_a_scalar_of_another_type_is_refused(device, scale_library, value):
    kernel = smelt.metal.library(scale_library, device=device).function("scale")
    with pytest.raises(smelt.metal.DeviceError) as error:
        kernel({0: np.zeros(4, np.float32), 3: value}, threads=4)
    said = f"scale, buffer 3 (factor): the kernel takes a float, which is NumPy's float32, not {value.dtype}"
    assert str(error.value) == said


def encoder_of(device, library, name, constants=()):
    pipeline = device.library(library).function(name).pipeline(dict(constants))
    commands = device.queue().command_buffer()
    encoder = commands.compute_encoder()
    encoder.set_pipeline(pipeline)
    return commands, encoder


def finish(commands, encoder):
    encoder.end_encoding()
    commands.commit()
    commands.wait_until_completed()


def test_buffers_are_bound_where_they_begin_and_bytes_are_copied(layer, device, scale_library):
    commands, encoder = encoder_of(device, scale_library, "scale")
    buffer = device.buffer(40)
    seen = np.frombuffer(buffer.contents, np.float32)
    assert seen.tolist() == [0.0] * 10
    seen[:] = 1
    encoder.set_buffer(buffer, 8, index=0)
    encoder.set_bytes(np.float32(3).tobytes(), index=3)
    encoder.use_resource(buffer, is_written=False)
    encoder.use_resource(buffer, is_written=True)
    encoder.dispatch_threadgroups((3, 1, 1), (2, 1, 1))
    finish(commands, encoder)
    assert seen.tolist() == [1, 1, 3, 3, 3, 3, 3, 3, 1, 1]
    calls = [(call.name, call.arguments[1:]) for call in layer.calls if call.receiver == "MTLComputeCommandEncoder"]
    assert ("setBuffer:offset:atIndex:", (8, 0)) in calls
    assert ("setBytes:length:atIndex:", (4, 3)) in calls
    assert [arguments for name, arguments in calls if name == "useResource:usage:"] == [(1,), (3,)]
    assert [name for name, _ in calls if name.startswith("dispatch")] == ["dispatchThreadgroups:threadsPerThreadgroup:"]


def test_memory_of_whole_pages_is_used_in_place(layer, device):
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    whole = memoryview(memory)
    buffer = device.buffer_over(whole)
    assert buffer.gpu_address == ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))
    assert "newBufferWithBytesNoCopy:length:options:deallocator:" in [call.name for call in layer.calls]
    assert device.buffer_over(whole[: mmap.PAGESIZE + 1]) is None
    assert device.buffer_over(whole[1 : mmap.PAGESIZE + 1]) is None
    assert device.buffer_over(whole[:0]) is None
    assert device.buffer_over(memoryview(bytes(mmap.PAGESIZE))) is None


def test_what_is_seen_of_a_buffer_outlives_it(device):
    buffer = device.buffer(4)
    contents = buffer.contents
    contents[:] = b"abcd"
    assert repr(buffer) == "<buffer of 4 bytes>"
    assert contents.obj.buffer is buffer.handle
    del buffer
    gc.collect()
    assert bytes(contents) == b"abcd"
    assert len(device.buffer(0).contents) == 0


def test_a_buffer_that_is_not_bound_is_zeros(layer, device, scale_library):
    commands, encoder = encoder_of(device, scale_library, "scale")
    buffer = device.buffer(16)
    buffer.contents[:] = b"\x3f" * 16
    encoder.set_buffer(buffer, 0, index=0)
    encoder.dispatch_threads((4, 1, 1), (4, 1, 1))
    finish(commands, encoder)
    assert bytes(buffer.contents) == bytes(16)
    bound = [call.arguments[2] for call in layer.calls if call.name == "setBuffer:offset:atIndex:"]
    assert bound == [0, 3]


def test_function_constants_are_given_by_index_with_their_types(layer, device, line_library):
    out = np.zeros(5, np.float32)
    library = smelt.metal.library(line_library, device=device)
    library.function("line", {"flag": True, 4: -3, "slope": 0.1})({0: out}, threads=5)
    assert (out == (np.arange(5) * -3).astype(np.float32) * np.float32(0.1)).all()
    given = [call.arguments for call in layer.calls if call.name == "setConstantValue:type:atIndex:"]
    assert given == [
        (b"\1".ljust(16, b"\0"), 53, 1),
        ((-3).to_bytes(4, "little", signed=True).ljust(16, b"\0"), 29, 4),
        (np.float32(0.1).tobytes().ljust(16, b"\0"), 3, 5),
    ]
    with pytest.raises(smelt.metal.DeviceError, match="line needs values for its function constants flag, slope"):
        library.function("line", {4: 1})


def test_threadgroup_memory_is_rounded_up_to_what_metal_takes(layer, device, shared_library):
    out = np.zeros(3, np.float32)
    kernel = smelt.metal.library(shared_library, device=device).function("shared")
    kernel({0: out}, threads=3, threadgroup_memory={0: 17})
    assert out.tolist() == [2, 2, 2]
    (call,) = [call for call in layer.calls if call.name == "setThreadgroupMemoryLength:atIndex:"]
    assert call.arguments == (32, 0)
    with pytest.raises(smelt.metal.DeviceError, match=r"shared needs threadgroup memory 0 \(a\): say how many bytes"):
        kernel({0: out}, threads=3)
    with pytest.raises(smelt.metal.DeviceError, match=r"shared has no threadgroup memory 1; it has 0 \(a\)"):
        kernel({0: out}, threads=3, threadgroup_memory={0: 16, 1: 16})
    with pytest.raises(smelt.metal.DeviceError, match="threadgroup memory 0 of shared can't have -16 bytes"):
        kernel({0: out}, threads=3, threadgroup_memory={0: -16})
    with pytest.raises(
        smelt.metal.DeviceError, match="a threadgroup of shared needs 32784 bytes of memory; it has 32768"
    ):
        kernel({0: out}, threads=3, threadgroup_memory={0: 32769})


@pytest.mark.parametrize(
    ("threads", "group", "message"),
    [
        ((0, 1, 1), (1, 1, 1), r"scale: a grid has at least one thread on each axis, not \(0, 1, 1\) by \(1, 1, 1\)"),
        ((1, 1, 1), (1, 0, 1), "at least one thread on each axis"),
        ((2**32, 1, 1), (1, 1, 1), "scale: a grid has at most 4294967295 threads on an axis, not 4294967296"),
        ((9, 9, 9), (33, 32, 1), "scale takes at most 1024 threads in a threadgroup, not 1056"),
    ],
)
def test_a_dispatch_that_can_not_be_is_refused_before_metal_sees_it(
    layer, device, scale_library, threads, group, message
):
    _, encoder = encoder_of(device, scale_library, "scale")
    with pytest.raises(smelt.metal.DeviceError, match=message):
        encoder.dispatch_threads(threads, group)
    if threads[0] < 2**32:
        with pytest.raises(smelt.metal.DeviceError, match=message.split(",")[0]):
            encoder.dispatch_threadgroups(threads, group)
    del encoder
    gc.collect()
    names = [call.name for call in layer.calls]
    assert not any(name.startswith("dispatchThread") for name in names)
    assert names[-1] == "endEncoding"


def test_what_is_done_in_the_wrong_order_is_refused(device, layer, scale_library):
    pipeline = device.library(scale_library).function("scale").pipeline({})
    other = devices_of(layer.frameworks(), SystemVersion((14, 5), ""))[1]
    commands = device.queue().command_buffer()
    encoder = commands.compute_encoder()
    with pytest.raises(smelt.metal.DeviceError, match="metal:0: no pipeline was set"):
        encoder.dispatch_threads((1, 1, 1), (1, 1, 1))
    with pytest.raises(smelt.metal.DeviceError, match="was made for another device"):
        other.queue().command_buffer().compute_encoder().set_pipeline(pipeline)
    with pytest.raises(smelt.metal.DeviceError, match="metal:0: buffer 0 has 4 bytes, and none at 5"):
        encoder.set_buffer(device.buffer(4), 5, 0)
    with pytest.raises(smelt.metal.DeviceError, match="4097 bytes for buffer 0: at most 4096 are copied, use a buffer"):
        encoder.set_bytes(bytes(4097), 0)
    with pytest.raises(smelt.metal.DeviceError, match="metal:0: this command buffer was never committed"):
        commands.wait_until_completed()
    encoder.end_encoding()
    with pytest.raises(smelt.metal.DeviceError, match="metal:0: this encoder has ended"):
        encoder.dispatch_threads((1, 1, 1), (1, 1, 1))
    commands.commit()
    with pytest.raises(smelt.metal.DeviceError, match="metal:0: this command buffer was committed before"):
        commands.commit()


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("newLibraryWithData:error:", "metal:0 doesn't take the library: too new"),
        ("newFunctionWithName:constantValues:error:", "metal:0 can't give line its function constants: too new"),
        ("newComputePipelineStateWithFunction:error:", "metal:0 can't compile line: too new"),
    ],
)
def test_what_metal_says_of_an_error_is_passed_on(layer, device, line_library, selector, message):
    layer.refused[selector] = "too new"
    with pytest.raises(smelt.metal.DeviceError, match=message):
        device.library(line_library).function("line").pipeline({1: True, 4: 1, 5: 1.0})


def test_an_error_without_a_reason_is_one_too():
    with pytest.raises(smelt.metal.DeviceError, match="a library: no reason is given"):
        bridge.answer((None, None), "a library")
    assert bridge.answer((3, None), "a number") == 3


def test_a_function_that_metal_does_not_find_is_an_error(device, scale_library):
    library = device.library(scale_library)
    function = library.function("scale")
    library.handle = type("Empty", (), {"newFunctionWithName_": staticmethod(lambda _: None)})()
    with pytest.raises(smelt.metal.DeviceError, match="metal:0 finds no function scale in the library"):
        function.pipeline({})
    with pytest.raises(smelt.metal.MetallibError, match="the library has no function 'other'; it has scale"):
        library.function("other")
    assert library.names == ("scale",)


def test_what_goes_wrong_on_the_device_is_raised_by_everyone_who_waits(device, scale_library):
    commands, encoder = encoder_of(device, scale_library, "scale")
    encoder.end_encoding()
    commands.commit()
    commands.handle._software.wait_until_completed = _faults
    for _ in range(2):
        with pytest.raises(smelt.metal.DeviceError, match="metal:0: page fault at 0x10"):
            commands.wait_until_completed()


def _faults():
    raise smelt.metal.DeviceError("page fault at 0x10")


def test_no_memory_and_no_queue_are_errors(device):
    with pytest.raises(MemoryError, match="metal:0 has no memory of"):
        device.buffer(1 << 50)
    device.handle = type("Tired", (), {"newCommandQueue": staticmethod(lambda: None)})()
    with pytest.raises(smelt.metal.DeviceError, match="metal:0 makes no more command queues"):
        device.queue()


LOGS = """
@form = private addrspace(2) constant [4 x i8] c"hi\\0A\\00"
declare void @air.os_log(ptr addrspace(2), ptr addrspace(2), i32, ptr addrspace(2), ptr, i64)
define void @logs(ptr addrspace(1) %x) {
  call void @air.os_log(ptr addrspace(2) null, ptr addrspace(2) null, i32 0, ptr addrspace(2) @form, ptr null, i64 0)
  ret void
}
"""


@pytest.fixture(scope="module")
def logs_library(air):
    return air.metallib((air.with_kernel(LOGS, "logs", [air.buffer(0, 0, "x")]), "logs"))


def test_what_kernels_log_is_shown(layer, device, logs_library, capsys):
    pipeline = device.library(logs_library).function("logs").pipeline({})
    commands = device.queue().command_buffer()
    assert [call.name for call in layer.calls if "Log" in call.name or call.name == "setLevel:"] == [
        "setLevel:",
        "newLogStateWithDescriptor:error:",
        "addLogHandler:",
        "setLogState:",
    ]
    assert layer.calls[-1].name == "commandBufferWithDescriptor:"
    # One log state will do for all.
    device.library(logs_library).function("logs").pipeline({})
    assert sum(call.name == "newLogStateWithDescriptor:error:" for call in layer.calls) == 1
    assert pipeline.device is device
    # As Metal does, from the handler that it was given.
    (handler,) = commands.handle._state._handlers
    handler(None, None, 3, "thread 5")
    handler("subsystem", "category", 4, "no luck")
    assert capsys.readouterr().out == "thread 5\nerror: no luck\n"


def test_what_showing_a_log_raises_is_raised_by_who_waits(device, logs_library, monkeypatch):
    device.library(logs_library).function("logs").pipeline({})
    commands = device.queue().command_buffer()
    monkeypatch.setattr(sys, "stdout", None)
    (handler,) = commands.handle._state._handlers
    handler(None, None, 3, "nobody listens")

    class Full:
        def write(self, text):
            raise OSError(f"no room for {text!r}")

    monkeypatch.setattr(sys, "stdout", Full())
    handler(None, None, 3, "x")
    handler(None, None, 3, "y")
    commands.commit()
    with pytest.raises(OSError, match="no room for 'x"):
        commands.wait_until_completed()
    commands.wait_until_completed()


def test_a_device_without_logs_says_so_and_runs_the_kernel(layer, device, logs_library):
    layer.refused["newLogStateWithDescriptor:error:"] = "virtual devices have none"
    with pytest.warns(
        smelt.metal.DeviceWarning, match=r"not shown on Apple M7 \(software\): virtual devices have none"
    ):
        device.library(logs_library).function("logs").pipeline({})
    device.queue().command_buffer()
    assert layer.calls[-1].name == "commandBuffer"


# The system


def test_the_version_of_the_system_is_read(tmp_path):
    path = tmp_path / "SystemVersion.plist"
    for said, expected in [("14.5", (14, 5)), ("26.0.1", (26, 0)), ("16.2", (26, 2)), ("15", (15, 0))]:
        path.write_bytes(plistlib.dumps({"ProductVersion": said, "ProductBuildVersion": "23F79"}))
        assert system_version(path) == (expected, "23F79")
    for damaged in (
        b"",
        b"not a plist",
        plistlib.dumps({}),
        plistlib.dumps({"ProductVersion": "x"}),
        plistlib.dumps([]),
    ):
        path.write_bytes(damaged)
        with pytest.raises(smelt.metal.DeviceError, match="the version of macOS can't be read from"):
            system_version(path)
    with pytest.raises(smelt.metal.DeviceError, match="No such file"):
        system_version(tmp_path / "other")


@pytest.mark.skipif(sys.platform == "darwin", reason="this is macOS, which has Metal devices")
def test_elsewhere_there_are_no_devices(monkeypatch):
    assert devices_of_system() == ()
    # Nor are there without pyobjc.
    bridge.frameworks.cache_clear()
    monkeypatch.setitem(sys.modules, "objc", None)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert devices_of_system() == ()
    with pytest.raises(smelt.metal.DeviceError, match=r"need pyobjc \(.*\): pip install pyobjc-framework-Metal"):
        bridge.frameworks()


def test_pyobjc_is_told_what_the_pointer_to_a_constant_points_to(monkeypatch, layer):
    found = layer.frameworks()
    for name, module in (("objc", found.objc), ("Foundation", found.foundation), ("Metal", found.metal)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "dispatch", found.dispatch)
    bridge.frameworks.cache_clear()
    try:
        assert bridge.frameworks() == found
    finally:
        bridge.frameworks.cache_clear()
    assert layer.registered == [
        (
            b"MTLFunctionConstantValues",
            b"setConstantValue:type:atIndex:",
            {"arguments": {2: {"type_modifier": b"n", "c_array_of_fixed_length": 16}}},
        )
    ]
