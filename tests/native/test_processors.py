# SPDX-License-Identifier: Apache-2.0
"""Processors: their names, what this one is, and that code for another one is never loaded."""

from __future__ import annotations

import ctypes
import itertools
import platform
import subprocess
import sys

import llvmlite.binding as llvm
import pytest

from smelt.targets.native.errors import LinkError
from smelt.targets.native.processors import cpuid, host
from smelt.targets.native.processors.cpuid import Identity, tuning_of
from smelt.targets.native.processors.host import check_runs_here, host_abi, host_machine
from smelt.targets.native.processors.processor import (
    BEYOND,
    LEVELS,
    Processor,
    parse_processor,
    processor_of,
)
from smelt.targets.native.target import host_target, least_target, target_named

pytestmark = pytest.mark.once

is_x86_64 = platform.machine().lower() in ("x86_64", "amd64")
needs_x86_64 = pytest.mark.skipif(not is_x86_64, reason="this processor is no x86-64")

V3 = frozenset(LEVELS["x86-64-v3"].features)
V4 = frozenset(LEVELS["x86-64-v4"].features)


@needs_x86_64
def test_the_features_found_are_those_that_llvm_finds():
    theirs = llvm.get_host_cpu_features()
    ours = cpuid.x86_64_features()
    known = {*LEVELS["x86-64-v4"].features, *BEYOND["x86-64"]}
    assert {name: name in ours for name in known} == {name: theirs[name] for name in known}


@needs_x86_64
def test_the_model_found_is_the_one_that_llvm_finds():
    ours = cpuid.x86_64_tuning()
    if not ours:
        pytest.skip(f"{cpuid.identity()} is none of the models that are known")
    theirs = llvm.get_host_cpu_name()
    # LLVM tells models apart by their features that it schedules alike.
    assert ours == {"cascadelake": "skylake-avx512", "cooperlake": "skylake-avx512", "znver6": "znver5"}.get(
        theirs, theirs
    )


@needs_x86_64
def test_leaves_that_a_processor_does_not_have_are_empty():
    assert cpuid.cpuid(0x0FFFFFFF) == cpuid.cpuid(7, 1 << 20) == cpuid.cpuid(0xC0000000) == (0, 0, 0, 0)
    assert cpuid.cpuid(0)[0] >= 1


@pytest.mark.parametrize(
    ("processor", "model"),
    [
        (Identity("AuthenticAMD", 0x17, 0x01), "znver1"),
        (Identity("AuthenticAMD", 0x17, 0x31), "znver2"),
        (Identity("AuthenticAMD", 0x19, 0x01), "znver3"),
        (Identity("AuthenticAMD", 0x19, 0x11), "znver4"),
        (Identity("AuthenticAMD", 0x19, 0x61), "znver4"),
        (Identity("AuthenticAMD", 0x19, 0x50), "znver3"),
        (Identity("AuthenticAMD", 0x1A, 0x02), "znver5"),
        (Identity("GenuineIntel", 6, 0x55), "skylake-avx512"),
        (Identity("GenuineIntel", 6, 0x8F), "sapphirerapids"),
        (Identity("GenuineIntel", 6, 0xC6), "arrowlake-s"),
        (Identity("GenuineIntel", 15, 0x55), ""),
        (Identity("CentaurHauls", 6, 0x55), ""),
    ],
)
def test_models_are_known_by_their_numbers(processor, model):
    assert tuning_of(processor) == model


@pytest.mark.parametrize("state", [0, 2, 6, 0xE6])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_registers_that_the_system_does_not_save_are_not_used(monkeypatch, state, system):
    class Instructions:
        def cpuid(self, leaf: int, _subleaf: int) -> tuple[int, int, int, int]:
            return (0xFFFFFFFF,) * 4 if leaf not in (0, 0x80000000) else (0xFFFFFFFF, 0, 0, 0)

        def saved_state(self) -> int:
            return state

    monkeypatch.setattr(cpuid, "_instructions", Instructions)
    monkeypatch.setattr(cpuid.sys, "platform", system)
    features = cpuid.x86_64_features()
    assert {"sse4.2", "bmi2", "gfni"} <= features
    assert {name in features for name in ("avx", "avx2", "fma", "f16c", "avxvnni")} == {state >= 6}
    assert ("avx512f" in features) == (state == 0xE6 or (state == 6 and system == "darwin"))


def test_a_process_finds_its_processor_without_llvm():
    program = (
        "import sys\n"
        "from smelt.targets.native.target import host_target\n"
        "print(host_target().cpu)\n"
        "assert not [name for name in sys.modules if name.startswith(('llvmlite', 'smelt.lowering', 'smelt.inference'))]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == host_target().cpu, done.stderr


# Names


@pytest.mark.parametrize(
    "text",
    [
        "x86-64",
        "x86-64-v4",
        "aarch64",
        "apple-m1",
        "x86-64-v3+gfni",
        "x86-64-v3+avxvnni+gfni@alderlake",
        "x86-64@znver3",
        "apple-m1+bf16",
    ],
)
def test_a_processor_is_written_as_it_is_read(text):
    assert str(parse_processor(text)) == text


def test_a_processor_has_one_way_to_be_written():
    assert str(parse_processor("x86-64-v3+gfni+avxvnni+avx2")) == "x86-64-v3+avxvnni+gfni"


@pytest.mark.parametrize(
    "text", ["", "host", "x86-64-v5", "x86_64", "znver3", "x86-64-v3+", "x86-64-v3@", "x86-64-v3 ", "+gfni"]
)
def test_a_processor_that_there_is_not_is_refused_with_those_that_there_are(text):
    with pytest.raises(
        ValueError,
        match=r"there is no processor .*; write one of x86-64, x86-64-v2, x86-64-v3, x86-64-v4, aarch64, apple-m1",
    ):
        parse_processor(text)


@pytest.mark.parametrize("text", ["x86-64-v3+neon", "aarch64+avx2", "aarch64+sve", "x86-64+fast"])
def test_a_feature_that_the_machine_does_not_have_is_refused(text):
    with pytest.raises(ValueError, match=r"has no feature \w+ that smelt knows; it knows \["):
        parse_processor(text)


def test_features_name_the_highest_level_that_they_cover():
    assert processor_of("x86-64", V3, "znver3") == Processor("x86-64-v3", (), "znver3")
    assert processor_of("x86-64", V3 | {"gfni", "aes"}) == Processor("x86-64-v3", ("gfni",))
    assert processor_of("x86-64", V3 - {"movbe"}).level == "x86-64-v2"
    assert "avx2" in processor_of("x86-64", V3 - {"movbe"}).features
    assert processor_of("x86-64", V4 | {"avx512vnni"}) == Processor("x86-64-v4", ("avx512vnni",))
    # The parts of AVX-512 that the first processors had.
    assert processor_of("x86-64", V3 | {"avx512f", "avx512cd"}) == Processor("x86-64-v3")
    assert str(processor_of("aarch64", frozenset(LEVELS["apple-m1"].features) | {"i8mm"})) == "apple-m1+i8mm"
    assert str(processor_of("aarch64", frozenset({"fp-armv8", "neon", "lse"}))) == "aarch64+lse"


def test_each_level_has_all_of_the_one_below():
    names = ["x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
    for below, above in itertools.pairwise(names):
        assert set(LEVELS[below].features) < set(LEVELS[above].features)


def test_targets_are_named_by_processor_and_system():
    assert target_named("native") == target_named("native:host") == host_target()
    assert target_named("native:" + host_target().cpu) == host_target()
    assert target_named("native:x86-64-v3:windows").abi == "windows"
    assert target_named("native:aarch64").abi == target_named("native:apple-m1:windows").abi == "aapcs64"
    assert target_named("native:x86-64-v3").cpu == "x86-64-v3"
    assert parse_processor(least_target().cpu) == Processor(host_machine())


@pytest.mark.parametrize(
    "text", ["", "metal", "cuda:0", "x86-64-v3", "native:x86-64-v3:linux", "native:x86-64:windows:more"]
)
def test_a_target_that_there_is_not_is_refused(text):
    with pytest.raises(
        ValueError, match=f"there is no target '{text}'; write native:host, or native: and one of x86-64,"
    ):
        target_named(text)


# What is loaded


def test_what_this_processor_is_runs_here():
    check_runs_here(host_target().cpu, host_target().abi)
    check_runs_here(least_target().cpu, least_target().abi)


def test_what_needs_features_that_this_processor_lacks_is_not_loaded(monkeypatch):
    monkeypatch.setattr(host, "host_machine", lambda: "x86-64")
    monkeypatch.setattr(host, "host_processor", lambda: Processor("x86-64-v3", (), "znver3"))
    abi = host_abi("x86-64")
    with pytest.raises(
        LinkError,
        match="this code is for x86-64-v4; this processor, x86-64-v3@znver3, has no avx512bw, avx512cd, avx512dq, avx512f, avx512vl",
    ):
        check_runs_here.__wrapped__("x86-64-v4", abi)
    with pytest.raises(
        LinkError, match=r"this code is for x86-64-v2\+gfni; this processor, x86-64-v3@znver3, has no gfni"
    ):
        check_runs_here.__wrapped__("x86-64-v2+gfni", abi)
    with pytest.raises(LinkError, match="this code is for apple-m1; this processor is x86-64"):
        check_runs_here.__wrapped__("apple-m1", "aapcs64")
    other = "windows" if abi == "sysv" else "sysv"
    with pytest.raises(LinkError, match=f"this code calls functions as {other} has it; this system has {abi}"):
        check_runs_here.__wrapped__("x86-64-v2", other)


@pytest.mark.parametrize(("name", "bits"), [("riscv64", 64), ("i686", 32), ("x86_64", 32)])
def test_machines_that_there_is_no_code_for_are_refused(monkeypatch, name, bits):
    monkeypatch.setattr(host.platform, "machine", lambda: name)
    monkeypatch.setattr(host.sys, "maxsize", (1 << (bits - 1)) - 1)
    with pytest.raises(LinkError, match=f"smelt compiles for x86-64 and AArch64, both with 64 bits, not for {name}"):
        host_machine()


def test_the_features_of_aarch64_are_read_from_linux(monkeypatch):
    class Library:
        @staticmethod
        def getauxval(kind: int) -> int:
            return {16: 1 << 0 | 1 << 1 | 1 << 8 | 1 << 10 | 1 << 20, 26: 1 << 14}[kind]

    monkeypatch.setattr(host.sys, "platform", "linux")
    monkeypatch.setattr(host.ctypes, "CDLL", lambda _: Library)
    assert host._aarch64_features() == {"fp-armv8", "neon", "lse", "fullfp16", "dotprod", "bf16"}


def test_llvm_knows_every_level_and_model(object_of, capfd):
    """It would say so on standard error, and take the least processor instead."""
    models = {*cpuid._INTEL_MODELS, *(name for ranges in cpuid._MODELS.values() for _, name in ranges)}
    function = "define void @f() {\n ret void\n}\n"
    for target in (*LEVELS, *(f"x86-64-v3@{model}" for model in sorted(models))):
        object_of(function, f"native:{target}")
    for machine, highest in (("x86-64", "x86-64-v4"), ("aarch64", "apple-m1")):
        features = {*LEVELS[highest].features, *BEYOND[machine]} - set(LEVELS[machine].features)
        object_of(function, f"native:{'+'.join((machine, *sorted(features)))}")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("is_known", "expected"), [(0, "apple-m1+bf16"), (-1, "apple-m1")])
def test_apples_processors_have_at_least_what_the_first_had(monkeypatch, is_known, expected):
    class Library:
        @staticmethod
        def sysctlbyname(name: bytes, value: int, _size: int, _new: None, _new_size: int) -> int:
            ctypes.c_int64.from_address(value).value = name == b"hw.optional.arm.FEAT_BF16"
            return is_known

    monkeypatch.setattr(host.sys, "platform", "darwin")
    monkeypatch.setattr(host.ctypes, "CDLL", lambda _: Library)
    assert str(processor_of("aarch64", host._aarch64_features())) == expected
