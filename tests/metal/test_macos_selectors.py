# SPDX-License-Identifier: Apache-2.0
"""What the macOS device calls, held against the metadata of pyobjc's own wheels for macOS, which are downloaded for it."""

from __future__ import annotations

import ast
import inspect
import mmap
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import smelt
from smelt.sessions.directory import Directory
from smelt.targets.metal.air.kernels import ConstantOfFunction
from smelt.targets.metal.devices.function_constants import _SCALARS, data_type
from smelt.targets.metal.devices.macos.system import SystemVersion, devices_of

pytestmark = pytest.mark.once

WHEELS = ("pyobjc-framework-Metal", "pyobjc-framework-libdispatch")

# Of classes: what they take follows from what the Objective-C runtime says of them, or is registered.
LEFT_OUT = {"setComputeFunction:", "setBinaryArchives:", "setUrl:", "setConstantValue:type:atIndex:"}
LEFT_OUT |= {"setLevel:", "setLogState:"}

KERNEL = """
@step.MTL_FC_INIT_4_i = internal addrspace(2) externally_initialized constant i32 undef, section "air.fc_initializer"
define void @fill(ptr addrspace(1) %out, ptr addrspace(2) %unbound, ptr addrspace(2) %copied, ptr addrspace(3) %shared, i32 %i) {
  %s = load i32, ptr addrspace(2) @step.MTL_FC_INIT_4_i
  %c = load i32, ptr addrspace(2) %copied
  %u = load i32, ptr addrspace(2) %unbound
  %v = add i32 %s, %c
  %w = add i32 %v, %u
  store i32 %w, ptr addrspace(3) %shared
  %r = load i32, ptr addrspace(3) %shared
  %p = getelementptr i32, ptr addrspace(1) %out, i32 %i
  store i32 %r, ptr addrspace(1) %p
  ret void
}
!air.function_constants = !{!1}
!1 = !{ptr addrspace(2) @step.MTL_FC_INIT_4_i, !"int", !"step", i32 4, i1 true}
"""


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    """The selectors, functions and constants that the wheels tell of."""
    folder = tmp_path_factory.mktemp("pyobjc")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
    command += ["--platform=macosx_11_0_universal2", "--python-version=3.12", *WHEELS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' and '.join(WHEELS)} could not be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    selectors, functions, enums = {}, {}, ""
    for path in folder.glob("*.whl"):
        with zipfile.ZipFile(path) as files:
            (name,) = [name for name in files.namelist() if name.endswith("/_metadata.py")]
            # Read, not run.
            tree = ast.parse(files.read(name))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "r":
                selectors.update(literal_of(node))
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "functions":
                functions.update(
                    (ast.literal_eval(key), ast.literal_eval(value))
                    for key, value in zip(node.value.keys, node.value.values, strict=True)
                    if "sel" not in ast.unparse(value)
                )
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "enums":
                enums += node.value.value if isinstance(node.value, ast.Constant) else ""
    return selectors, functions, {name: int(value) for name, value in re.findall(r"(\w+)@(\d+)", enums)}


def literal_of(call):
    try:
        _, selector, described = map(ast.literal_eval, call.args)
    except ValueError:
        # What depends on the processor; none of ours does.
        return {}
    return {selector.decode(): described}


@pytest.fixture
def called(air, objective_c, tmp_path):
    """Every call of a program that uses all there is."""
    arguments = [
        air.buffer(0, 0, "out", kind="int"),
        air.buffer(1, 1, "unbound", access="read", space=2, kind="int"),
        air.buffer(2, 2, "copied", access="read", space=2, kind="int"),
        air.buffer(3, 0, "shared", space=3, kind="int"),
        air.quantity(4, "thread_position_in_grid"),
    ]
    plain = air.with_kernel("define void @plain() {\n  ret void\n}", "plain", [])
    data = air.metallib((air.with_kernel(KERNEL, "fill", arguments), "fill"), (plain, "plain"))
    layer = objective_c.Layer()
    device = devices_of(layer.frameworks(), SystemVersion((14, 5), "23F79"), Directory(tmp_path / "cache"))[0]
    for archive in (device.archive, None):
        device.archive = archive
        library = device.library(data)
        library.function("plain").pipeline({})
        pipeline = library.function("fill").pipeline({"step": 5})
        buffer = device.buffer_over(memoryview(mmap.mmap(-1, mmap.PAGESIZE)))
        commands = device.queue().command_buffer()
        encoder = commands.compute_encoder()
        encoder.set_pipeline(pipeline)
        encoder.set_buffer(buffer, 0, index=0)
        encoder.set_bytes(np.int32(2).tobytes(), index=2)
        encoder.set_threadgroup_memory_length(4, index=0)
        encoder.use_resource(buffer, is_written=True)
        encoder.dispatch_threads((5, 1, 1), (2, 1, 1))
        encoder.dispatch_threadgroups((3, 1, 1), (2, 1, 1))
        encoder.end_encoding()
        commands.commit()
        commands.wait_until_completed()
        assert np.frombuffer(buffer.contents, np.int32)[:7].tolist() == [7, 7, 7, 7, 7, 7, 0]
    assert "metal:0" in repr(device)
    commands.handle._software.wait_until_completed = _faults
    with pytest.raises(smelt.metal.DeviceError, match="fault"):
        commands.wait_until_completed()
    device.library(logging(air)).function("logs").pipeline({})
    device.queue().command_buffer()
    layer.default._name = "another"
    device = devices_of(layer.frameworks(), SystemVersion((14, 5), "23F79"), Directory(tmp_path / "cache"))[0]
    device.library(data).function("plain").pipeline({})
    device.archive.save()
    device = devices_of(layer.frameworks(), SystemVersion((14, 5), "23F79"), Directory(tmp_path / "cache"))[0]
    assert device.archive.hits == 0
    return layer.calls


def logging(air):
    text = """
declare void @air.os_log(ptr addrspace(2), ptr addrspace(2), i32, ptr addrspace(2), ptr, i64)
@form = private addrspace(2) constant [3 x i8] c"hi\\00"
define void @logs() {
  call void @air.os_log(ptr addrspace(2) null, ptr addrspace(2) null, i32 0, ptr addrspace(2) @form, ptr null, i64 0)
  ret void
}
"""
    return air.metallib((air.with_kernel(text, "logs", []), "logs"))


def _faults():
    raise smelt.metal.DeviceError("a fault")


def test_every_selector_is_one_of_metals_and_gets_what_it_takes(metadata, called):
    selectors, _, _ = metadata
    messages = [call for call in called if call.receiver.startswith("MTL")]
    assert {call.name for call in messages} - selectors.keys() == LEFT_OUT
    assert len({call.name for call in messages}) > 30
    for call in messages:
        if call.name not in LEFT_OUT:
            check(call, selectors[call.name].get("arguments", {}))


def check(call, described):
    for place, given in enumerate(call.arguments, start=2):
        said = described[place]
        kind, modifier = said.get("type", b"@?"), said.get("type_modifier")
        if kind in (b"Q", b"q"):
            assert isinstance(given, int), call
            assert given >= 0, call
        elif kind == b"{MTLSize=QQQ}":
            assert len(given) == 3, call
        elif kind == b"^v":
            # pyobjc takes as many bytes as the argument says that is named.
            assert modifier == b"n", call
            assert len(given) == call.arguments[said["c_array_length_in_arg"] - 2], call
        elif kind == b"^@":
            # An error comes back as a result; other pointers to objects may be null.
            assert given is None, call
            assert (place == len(call.arguments) + 1) == (modifier == b"o"), call
        elif kind == b"@?" and given is not None:
            # The block itself is the first that a block gets.
            assert len(inspect.signature(given).parameters) == len(said["callable"]["arguments"]) - 1, call
        elif kind == b"@?":
            pass
        else:
            assert kind == b"@", call
            assert not isinstance(given, int), call


def test_results_are_what_is_made_of_them(metadata):
    selectors, _, _ = metadata
    numbers = ("gpuAddress", "registryID", "maxTotalThreadsPerThreadgroup", "threadExecutionWidth")
    for name in (*numbers, "staticThreadgroupMemoryLength", "maxThreadgroupMemoryLength"):
        assert selectors[name]["retval"]["type"] == b"Q"
    assert selectors["contents"]["retval"] == {"type": b"^v", "c_array_of_variable_length": True}
    for name in ("newCommandQueue", "commandBuffer", "computeCommandEncoder", "newBufferWithLength:options:", "error"):
        assert selectors[name]["retval"]["type"] == b"@"
    for name in ("serializeToURL:error:", "addComputePipelineFunctionsWithDescriptor:error:"):
        assert selectors[name]["retval"]["type"] == b"Z"


def test_every_function_is_there_and_gets_what_it_takes(metadata, called):
    _, functions, _ = metadata
    names = {call.name for call in called if not call.receiver.startswith("MTL")}
    assert names == {"MTLSizeMake", "MTLCreateSystemDefaultDevice", "MTLCopyAllDevices", "dispatch_data_create"}
    assert functions["MTLSizeMake"] == (b"{MTLSize=QQQ}QQQ",)
    for name in ("MTLCreateSystemDefaultDevice", "MTLCopyAllDevices"):
        assert functions[name] == (b"@", "", {"retval": {"already_cfretained": True}})
    signature, _, described = functions["dispatch_data_create"]
    # The bytes, how many, the queue and the block that frees them; both may be nil.
    assert signature == b"@^vQ@@?"
    assert described["arguments"][0] == {"c_array_length_in_arg": 1, "type_modifier": "n"}
    assert described["retval"] == {"already_retained": True}


def test_constants_have_the_values_that_they_have_here(metadata, objective_c):
    _, _, enums = metadata
    assert {name: enums.get(name) for name in objective_c.CONSTANTS} == objective_c.CONSTANTS
    for scalar in _SCALARS:
        for count in ("", "2", "3", "4"):
            assert data_type(ConstantOfFunction("v", scalar + count, "n", 0)) in enums
