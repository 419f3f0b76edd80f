# SPDX-License-Identifier: Apache-2.0
"""What the device in software keeps for later processes, and what kernels log."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import smelt
from smelt._devices import software_runtime
from smelt.caching import portable_state
from smelt.metal import Checks
from smelt.targets.metal.devices.software.artifacts import KernelCode, SoftwareResults
from smelt.targets.metal.devices.software.device import SoftwareDevice
from smelt.targets.metal.devices.software.loggers import formatted
from smelt.targets.metal.devices.software.optimisation import code_of
from smelt.targets.metal.devices.software.pipeline import Runtime
from smelt.targets.metal.devices.software.shared_code import REPORTS, ROWS, SharedCode
from smelt.targets.metal.devices.software.shared_functions import text_of
from smelt.targets.native.errors import LinkError
from smelt.targets.native.loader.symbols import resolve

pytestmark = pytest.mark.once

SUM = """
@shared = internal addrspace(3) global [64 x float] undef, align 4
declare void @air.wg.barrier(i32, i32) convergent
define void @mirror(ptr addrspace(1) %x, i32 %i, i32 %inner, i32 %size) {
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %s = getelementptr [64 x float], ptr addrspace(3) @shared, i32 0, i32 %inner
  store float %v, ptr addrspace(3) %s
  call void @air.wg.barrier(i32 2, i32 1)
  %last = sub i32 %size, 1
  %other = sub i32 %last, %inner
  %t = getelementptr [64 x float], ptr addrspace(3) @shared, i32 0, i32 %other
  %w = load float, ptr addrspace(3) %t
  store float %w, ptr addrspace(1) %p
  ret void
}
"""


def mirror(air):
    arguments = [
        *(air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")),
        *(air.quantity(2, "thread_index_in_threadgroup"), air.quantity(3, "threads_per_threadgroup")),
    ]
    return air.metallib((air.with_kernel(SUM, "mirror", arguments), "mirror"))


PROGRAM = """
import sys
import numpy as np
import smelt
kernel = smelt.metal.library(sys.argv[1]).function("mirror")
x = np.arange(100, dtype=np.float32)
kernel({0: x}, threads=100, threads_per_threadgroup=50)
assert x.tolist() == [*range(49, -1, -1), *range(99, 49, -1)]
try:
    kernel({0: x}, threads=101, threads_per_threadgroup=50)
except smelt.metal.DeviceError as error:
    print(error)
print("llvmlite" in sys.modules, smelt.stats().llvm_loaded)
"""


def test_a_second_process_links_from_the_store_and_loads_no_llvm(air, tmp_path):
    path = tmp_path / "mirror.metallib"
    path.write_bytes(mirror(air))
    environment = {**os.environ, "SMELT_CACHE_DIR": str(tmp_path / "cache"), "SMELT_STORE": "on"}
    said = []
    for _ in range(2):
        command = [sys.executable, "-c", PROGRAM, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert not done.stderr
        said.append(done.stdout.splitlines())
    assert said[0][0] == said[1][0]
    assert "mirror: the thread at (100, 0, 0) reads 4 bytes at offset 400 of buffer 0 (x)" in said[0][0]
    assert [lines[1] for lines in said] == ["True True", "False False"]


def test_opening_the_public_module_loads_no_llvm():
    program = "import sys, smelt.metal; smelt.device('metal:software').queue(); print('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def counting():
    """A runtime that counts what it compiles."""
    compiled = []

    def compile_kernel(source, checks, results):
        compiled.append((source.kernel.name, dict(source.values), checks))
        software_runtime().code._compile(source, checks, results)

    return Runtime(KernelCode(compile_kernel), software_runtime().shared), compiled


def test_a_kernel_is_compiled_once_for_its_module_constants_and_checks(air):
    data = mirror(air)
    runtime, compiled = counting()
    for name in ("first", "second"):
        for _ in range(2):
            SoftwareDevice(name, runtime).library(data).function("mirror").pipeline({})
    assert len(compiled) == 1
    device = SoftwareDevice("third", runtime)
    device.with_settings(seconds=5.0).library(data).function("mirror").pipeline({})
    assert len(compiled) == 1
    for checks in (Checks(bounds=False), Checks(races=True), Checks(uninitialised=True)):
        device.with_settings(checks=checks).library(data).function("mirror").pipeline({})
    assert [checks for _, _, checks in compiled] == [
        *(Checks(), Checks(bounds=False), Checks(races=True)),
        Checks(uninitialised=True),
    ]


def test_one_kernel_gives_one_sequence_of_bytes(air):
    function = smelt.device("metal:software").library(mirror(air)).function("mirror")
    sources = []
    runtime = Runtime(KernelCode(lambda source, *_: sources.append(source)), software_runtime().shared)
    with pytest.raises(AssertionError):
        SoftwareDevice("none", runtime).library(mirror(air)).function("mirror").pipeline({})
    states = []
    for _ in range(2):
        results = SoftwareResults()
        software_runtime().code._compile(sources[0], Checks(), results)
        states.append(portable_state(results))
    assert states[0] == states[1]
    assert states[0]["works_together"]
    assert function.kernel.name == "mirror"


ALONE = """
define void @twice(ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %w = fadd float %v, %v
  store float %w, ptr addrspace(1) %p
  ret void
}
"""


def test_what_all_kernels_call_is_compiled_when_it_is_needed_and_once(air):
    compiled = []

    def compile_text(text, _opt_level):
        compiled.append(text)
        return code_of(text)

    runtime = Runtime(software_runtime().code, SharedCode(text_of, compile_text))
    device = SoftwareDevice("metal:apart", runtime)
    assert not compiled
    arguments = [air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")]
    alone = air.metallib((air.with_kernel(ALONE, "twice", arguments), "twice"))
    for _ in range(2):
        x = np.arange(100, dtype=np.float32)
        smelt.metal.library(alone, device=device).function("twice")({0: x}, threads=100)
        assert x.tolist() == list(range(0, 200, 2))
    of_rows = len(compiled)
    assert sorted(map(text_of, (REPORTS, ROWS))) == sorted(compiled)
    for expected in ([*range(98, -1, -2), *range(198, 98, -2)], list(range(0, 200, 2))):
        function = smelt.metal.library(mirror(air), device=device).function("mirror")
        function({0: x}, threads=100, threads_per_threadgroup=50)
        assert x.tolist() == expected
    assert len(set(compiled)) == len(compiled)
    assert len(compiled) <= of_rows + 1


def test_threads_that_need_it_at_once_get_the_same_addresses():
    shared = SharedCode(text_of, lambda text, _opt_level: code_of(text))
    together = threading.Barrier(4)

    def address(_number):
        together.wait()
        return shared.resolve("smelt.run_rows")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(address, range(4)))
    assert found == [shared.resolve("smelt.run_rows")] * 4


def test_what_kernels_call_besides_is_searched_in_the_process():
    shared = software_runtime().shared
    assert shared.resolve("malloc") == resolve("malloc")
    with pytest.raises(LinkError, match=r"this process has no smelt\.nothing, which compiled code refers to"):
        shared.resolve("smelt.nothing")


# Logging

LOGGED = """
@text = internal addrspace(2) constant [30 x i8] c"%d of %u: %.2f %% %5lld|%-4x|\\00", align 1
declare void @air.os_log(ptr addrspace(2), ptr addrspace(2), i32, ptr addrspace(2), ptr, i64)
declare void @llvm.va_start(ptr)
declare void @llvm.va_end(ptr)
define internal void @metal_os_log(...) {
  %place = alloca ptr
  call void @llvm.va_start(ptr %place)
  %list = load ptr, ptr %place
  call void @air.os_log(ptr addrspace(2) null, ptr addrspace(2) inttoptr (i64 -1 to ptr addrspace(2)), i32 LEVEL, ptr addrspace(2) @text, ptr %list, i64 28)
  call void @llvm.va_end(ptr %place)
  ret void
}
define void @logs(i32 %i) {
  %f = sitofp i32 %i to double
  %half = fmul double %f, 5.0e-1
  %minus = sub i32 0, %i
  %wide = sext i32 %minus to i64
  call void (...) @metal_os_log(i32 %minus, i32 %i, double %half, i64 %wide, i32 255)
  ret void
}
"""


def logging(air, text=LOGGED, level=0, **settings):
    module = air.with_kernel(text.replace("LEVEL", str(level)), "logs", [air.quantity(0, "thread_position_in_grid")])
    return smelt.metal.library(air.recent_metallib(module, "logs"), **settings).function("logs")


def test_what_a_kernel_logs_is_shown_in_the_order_of_its_threads(air, capsys):
    logs = logging(air)
    logs({}, threads=3)
    assert capsys.readouterr().out.splitlines() == [
        *("0 of 0: 0.00 %     0|ff  |", "-1 of 1: 0.50 %    -1|ff  |"),
        "-2 of 2: 1.00 %    -2|ff  |",
    ]
    logging(air, level=16)({}, threads=1)
    assert capsys.readouterr().out == "error: 0 of 0: 0.00 %     0|ff  |\n"


def test_whoever_asks_gets_what_is_logged_and_may_raise(air):
    texts = []
    logging(air, level=2, show=lambda text, level: texts.append((level, text)))({}, threads=2)
    assert [level for level, _ in texts] == ["debug", "debug"]

    def refuse(text, level):
        raise OSError(f"{level}: {text[0]}")

    with pytest.raises(OSError, match="default: 0"):
        logging(air, show=refuse)({}, threads=3)


def test_a_format_that_is_no_constant_is_refused(air):
    text = """
declare void @air.os_log(ptr addrspace(2), ptr addrspace(2), i32, ptr addrspace(2), ptr, i64)
define void @logs(ptr addrspace(2) %form) {
  %list = alloca i64
  call void @air.os_log(ptr addrspace(2) null, ptr addrspace(2) null, i32 0, ptr addrspace(2) %form, ptr %list, i64 0)
  ret void
}
"""
    module = air.with_kernel(text, "logs", [air.buffer(0, 0, "form", space=2, size=1)])
    with pytest.raises(smelt.metal.DeviceError, match="it logs with a format that is only known when it runs"):
        smelt.metal.library(air.metallib((module, "logs"))).function("logs")


@pytest.mark.parametrize(
    ("form", "arguments", "text"),
    [
        ("%%|%i|%+5d|%05u", np.array([-3, 4, 7], np.int32), "%|-3|   +4|00007"),
        ("%g %e %a", np.array([0.5, 1e10, 1.0]), f"0.5 1.000000e+10 {(1.0).hex()}"),
        ("%hd %hhu %c", np.array([70000, 300, 65], np.int32), "4464 44 A"),
        ("%p %zx", np.array([4096, 255], np.int64), "0x1000 ff"),
        ("%d %d", np.array([1], np.int32), "1 %d"),
        ("%s %n", np.array([], np.int32), "%s %n"),
    ],
)
def test_formats(form, arguments, text):
    assert formatted(form, arguments.tobytes()) == text


def test_settings_are_for_devices_in_software(air):
    class Other:
        name = "metal:7"

        def library(self, data):
            raise AssertionError(data)

    with pytest.raises(
        smelt.metal.DeviceError, match="metal:7 has no seconds; a device in software has: metal:software"
    ):
        smelt.metal.library(mirror(air), Other(), seconds=1.0)
    with pytest.raises(smelt.metal.DeviceError, match="metal:software has no second; its settings are checks, seconds"):
        smelt.metal.library(mirror(air), second=1.0)


def test_a_metallib_is_for_metal_devices(air):
    with pytest.raises(smelt.LaunchError, match="a metallib is for Metal devices, and cpu is none"):
        smelt.metal.library(mirror(air), "cpu")
