# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002, N802 - methods are called as Metal calls them, and take what those take
"""Objective-C as pyobjc shows it, with Metal's classes made of the device in software: what is called is taken down, and runs.

An object answers to the selectors that its class has, with an underscore for each colon, and to nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from smelt._devices import software_runtime
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.macos.objective_c import Frameworks
from smelt.targets.metal.devices.software.device import SoftwareDevice
from smelt.targets.metal.metallib import MetallibError

CONSTANTS = {
    "MTLResourceStorageModeShared": 0,
    "MTLResourceUsageRead": 1,
    "MTLResourceUsageWrite": 2,
    "MTLPipelineOptionFailOnBinaryArchiveMiss": 4,
    "MTLCommandBufferStatusCompleted": 4,
    "MTLCommandBufferStatusError": 5,
    "MTLLogLevelDebug": 1,
    "MTLDataTypeBool": 53,
    "MTLDataTypeInt": 29,
    "MTLDataTypeFloat": 3,
    "MTLDataTypeUInt2": 34,
    "MTLDataTypeBFloat": 121,
}


class Call(NamedTuple):
    """A message to an object of a class, or a call of a function of a module."""

    receiver: str
    name: str
    arguments: tuple

    def __str__(self):
        return f"{self.receiver} {self.name}"


class Layer:
    """The frameworks, and what was called of them.

    Attributes
    ----------
    calls
        All calls, in order.
    refused
        Selectors whose calls fail, each with what the NSError says.
    """

    def __init__(self):
        self.calls = []
        self.refused = {}
        self.registered = []
        self.pools = 0
        self.default = Device(self, "Apple M7 (software)", 7)
        self.devices = [Device(self, "eGPU", 9), self.default]

    def frameworks(self):
        objc = SimpleNamespace(
            autorelease_pool=self.autorelease_pool,
            registerMetaDataForSelector=lambda *given: self.registered.append(given),
        )
        metal = SimpleNamespace(
            **CONSTANTS,
            MTLSizeMake=lambda *sizes: self.called("Metal", "MTLSizeMake", sizes, sizes),
            MTLCreateSystemDefaultDevice=lambda: self.called("Metal", "MTLCreateSystemDefaultDevice", (), self.default),
            MTLCopyAllDevices=lambda: self.called("Metal", "MTLCopyAllDevices", (), self.devices),
            MTLBinaryArchiveDescriptor=SimpleNamespace(new=lambda: BinaryArchiveDescriptor(self)),
            MTLComputePipelineDescriptor=SimpleNamespace(new=lambda: ComputePipelineDescriptor(self)),
            MTLLogStateDescriptor=SimpleNamespace(new=lambda: LogStateDescriptor(self)),
            MTLCommandBufferDescriptor=SimpleNamespace(new=lambda: CommandBufferDescriptor(self)),
            MTLFunctionConstantValues=SimpleNamespace(new=lambda: FunctionConstantValues(self)),
        )
        foundation = SimpleNamespace(NSURL=SimpleNamespace(fileURLWithPath_=lambda path: f"file://{path}"))
        dispatch = SimpleNamespace(
            dispatch_data_create=lambda *given: self.called("dispatch", "dispatch_data_create", given, given[0])
        )
        return Frameworks(objc, foundation, metal, dispatch)

    def called(self, receiver, name, arguments, result):
        self.calls.append(Call(receiver, name, arguments))
        return result

    @contextlib.contextmanager
    def autorelease_pool(self):
        self.pools += 1
        yield
        self.pools -= 1


class NSObject:
    """Answers to its selectors: methods whose names have an underscore for each colon, and one at the end."""

    def __init__(self, layer):
        self.__layer = layer

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name.startswith("_") or name in ("retained", "layer") or not callable(found):
            return found
        layer, selector = self.__layer, name.replace("_", ":")

        def call(*arguments):
            assert len(arguments) == selector.count(":"), f"{selector} takes {selector.count(':')} arguments"
            layer.calls.append(Call(f"MTL{type(self).__name__}", selector, arguments))
            if selector in layer.refused:
                return None, NSError(layer.refused[selector])
            return found(*arguments)

        return call


class NSError:
    def __init__(self, text):
        self.text = text

    def localizedDescription(self):
        return self.text


class Device(NSObject):
    def __init__(self, layer, name, number):
        super().__init__(layer)
        self._layer, self._name, self._number = layer, name, number
        self._software = SoftwareDevice(name, software_runtime())

    def name(self):
        return self._name

    def registryID(self):
        return self._number

    def maxThreadgroupMemoryLength(self):
        return 32768

    def newLibraryWithData_error_(self, data, error):
        assert error is None
        try:
            return Library(self._layer, self._software.library(data)), None
        except MetallibError as refused:
            return None, NSError(str(refused))

    def newBufferWithLength_options_(self, length, options):
        assert options == CONSTANTS["MTLResourceStorageModeShared"]
        return None if length > 1 << 40 else Buffer(self._layer, self._software.buffer(length))

    def newBufferWithBytesNoCopy_length_options_deallocator_(self, memory, length, options, deallocator):
        assert (len(memory), options, deallocator) == (length, 0, None)
        return Buffer(self._layer, self._software.buffer_over(memory))

    def newCommandQueue(self):
        return CommandQueue(self._layer, self._software.queue())

    def newComputePipelineStateWithFunction_error_(self, function, error):
        assert error is None
        try:
            return ComputePipelineState(self._layer, function._made()), None
        except DeviceError as refused:
            return None, NSError(str(refused))

    def newComputePipelineStateWithDescriptor_options_reflection_error_(self, descriptor, options, reflection, error):
        assert (options, reflection, error) == (CONSTANTS["MTLPipelineOptionFailOnBinaryArchiveMiss"], None, None)
        if any(descriptor._function._key() in archive._keys for archive in descriptor._archives):
            return ComputePipelineState(self._layer, descriptor._function._made()), None
        return None, NSError("not in any archive")

    def newLogStateWithDescriptor_error_(self, descriptor, error):
        assert error is None
        return LogState(self._layer), None

    def newBinaryArchiveWithDescriptor_error_(self, descriptor, error):
        assert error is None
        if descriptor._url is None:
            return BinaryArchive(self._layer, []), None
        try:
            keys = json.loads(Path(descriptor._url.removeprefix("file://")).read_text())
        except ValueError:
            return None, NSError("this is no archive")
        return BinaryArchive(self._layer, keys), None


class Library(NSObject):
    def __init__(self, layer, software):
        super().__init__(layer)
        self._layer, self._software = layer, software

    def newFunctionWithName_(self, name):
        return Function(self._layer, self._software.function(name), {}) if name in self._software.names else None

    def newFunctionWithName_constantValues_error_(self, name, values, error):
        assert error is None
        return Function(self._layer, self._software.function(name), values._values), None


class FunctionConstantValues(NSObject):
    def __init__(self, layer):
        super().__init__(layer)
        self._values = {}

    def setConstantValue_type_atIndex_(self, value, kind, index):
        assert len(value) == 16
        forms = {53: "?", 29: "<i4", 3: "<f4"}
        self._values[index] = np.frombuffer(value[: np.dtype(forms[kind]).itemsize], forms[kind])[0].item()


class Function(NSObject):
    def __init__(self, layer, software, constants):
        super().__init__(layer)
        self._software, self._constants = software, constants

    def _made(self):
        return self._software.pipeline(self._constants)

    def _key(self):
        said = f"{self._software.kernel!r} {sorted(self._constants.items())}"
        return hashlib.sha256(said.encode()).hexdigest()


class ComputePipelineDescriptor(NSObject):
    def __init__(self, layer):
        super().__init__(layer)
        self._archives, self._function = [], None

    def setComputeFunction_(self, function):
        self._function = function

    def setBinaryArchives_(self, archives):
        self._archives = archives


class BinaryArchiveDescriptor(NSObject):
    def __init__(self, layer):
        super().__init__(layer)
        self._url = None

    def setUrl_(self, url):
        self._url = url


class BinaryArchive(NSObject):
    def __init__(self, layer, keys):
        super().__init__(layer)
        self._keys = keys

    def addComputePipelineFunctionsWithDescriptor_error_(self, descriptor, error):
        assert error is None
        self._keys.append(descriptor._function._key())
        return True, None

    def serializeToURL_error_(self, url, error):
        assert error is None
        Path(url.removeprefix("file://")).write_text(json.dumps(self._keys))
        return True, None


class ComputePipelineState(NSObject):
    def __init__(self, layer, software):
        super().__init__(layer)
        self._software = software

    def maxTotalThreadsPerThreadgroup(self):
        return self._software.max_total_threads_per_threadgroup

    def threadExecutionWidth(self):
        return self._software.thread_execution_width

    def staticThreadgroupMemoryLength(self):
        return self._software.static_threadgroup_memory_length


class Buffer(NSObject):
    def __init__(self, layer, software):
        super().__init__(layer)
        self._software = software

    def gpuAddress(self):
        return self._software.gpu_address

    def contents(self):
        return SimpleNamespace(as_buffer=lambda count: self._software.contents[:count])


class CommandQueue(NSObject):
    def __init__(self, layer, software):
        super().__init__(layer)
        self._layer, self._software = layer, software

    def commandBuffer(self):
        assert self._layer.pools, "a command buffer is autoreleased"
        return CommandBuffer(self._layer, self._software.command_buffer())

    def commandBufferWithDescriptor_(self, descriptor):
        assert self._layer.pools, "a command buffer is autoreleased"
        return CommandBuffer(self._layer, self._software.command_buffer(), descriptor._state)


class CommandBufferDescriptor(NSObject):
    def __init__(self, layer):
        super().__init__(layer)
        self._state = None

    def setLogState_(self, state):
        self._state = state


class LogStateDescriptor(NSObject):
    def setLevel_(self, level):
        assert level == CONSTANTS["MTLLogLevelDebug"]


class LogState(NSObject):
    def __init__(self, layer):
        super().__init__(layer)
        self._handlers = []

    def addLogHandler_(self, handler):
        self._handlers.append(handler)


class CommandBuffer(NSObject):
    def __init__(self, layer, software, state=None):
        super().__init__(layer)
        self._layer, self._software, self._error, self._state = layer, software, None, state

    def computeCommandEncoder(self):
        assert self._layer.pools, "an encoder is autoreleased"
        return ComputeCommandEncoder(self._layer, self._software.compute_encoder())

    def commit(self):
        self._software.commit()

    def waitUntilCompleted(self):
        try:
            self._software.wait_until_completed()
        except DeviceError as error:
            self._error = NSError(str(error))

    def status(self):
        return CONSTANTS["MTLCommandBufferStatusError" if self._error else "MTLCommandBufferStatusCompleted"]

    def error(self):
        return self._error


class ComputeCommandEncoder(NSObject):
    def __init__(self, layer, software):
        super().__init__(layer)
        self._software = software

    def setComputePipelineState_(self, state):
        self._software.set_pipeline(state._software)

    def setBuffer_offset_atIndex_(self, buffer, offset, index):
        self._software.set_buffer(buffer._software, offset, index=index)

    def setBytes_length_atIndex_(self, data, length, index):
        assert len(data) == length
        self._software.set_bytes(data, index)

    def setThreadgroupMemoryLength_atIndex_(self, length, index):
        assert length % 16 == 0, "Metal aborts"
        self._software.set_threadgroup_memory_length(length, index)

    def useResource_usage_(self, buffer, usage):
        assert usage in (1, 3)

    def dispatchThreads_threadsPerThreadgroup_(self, threads, group):
        self._software.dispatch_threads(threads, group)

    def dispatchThreadgroups_threadsPerThreadgroup_(self, groups, group):
        self._software.dispatch_threadgroups(groups, group)

    def endEncoding(self):
        self._software.end_encoding()
