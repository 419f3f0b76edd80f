# SPDX-License-Identifier: Apache-2.0
"""Flat code in memory: never writable and executable at once, there as long as somebody holds it, and freed then."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from smelt.targets.native.errors import LinkError
from smelt.targets.native.loader import pages
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import provide, resolve
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.machine_code.flattening import flatten

pytestmark = pytest.mark.once

ObjectOf = Callable[..., bytes]

ADDING = "define i64 @f(i64 %x) {\n %y = add i64 %x, 41\n ret i64 %y\n}"
CALLING = "declare i64 @smelt_test_outside(i64)\ndefine i64 @g(i64 %x) {\n %y = call i64 @smelt_test_outside(i64 %x)\n ret i64 %y\n}"

needs_maps = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="no /proc/self/maps: only Linux tells what is mapped"
)


def protections(address: int, size: int = 1) -> set[str]:
    """How the pages from an address on are mapped, as Linux writes it; nothing for what is not mapped."""
    found = set()
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, protection, *_ = line.split()
        start, end = (int(number, 16) for number in span.split("-"))
        if start < address + size and address < end:
            found.add(protection)
    return found


def call(code: MappedCode, name: str, value: int) -> int:
    result: int = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address(name))(value)
    return result


@needs_maps
def test_memory_is_written_first_and_executable_then_never_both(monkeypatch, object_of):
    flat = flatten(object_of(ADDING + CALLING.replace("@smelt_test_outside", "@labs")))
    before, write = [], pages._write

    def observed(base: int, written: bytes) -> None:
        before.append(protections(base, flat.size))
        write(base, written)

    monkeypatch.setattr(pages, "_write", observed)
    code = MappedCode(flat, resolve)
    assert before == [{"rw-p"}]
    assert protections(code.address("f")) == {"r-xp"}
    assert (call(code, "f", 1), call(code, "g", -5)) == (42, 5)


@needs_maps
def test_memory_is_freed_when_nobody_holds_it(object_of):
    code = MappedCode(flatten(object_of(ADDING)), resolve)
    address = code.address("f")
    assert protections(address)
    ended = weakref.ref(code)
    del code
    gc.collect()
    assert ended() is None
    assert "r-xp" not in protections(address)


def test_code_is_there_while_it_runs(object_of):
    """The caller holds on to it: what drops every other reference doesn't end it."""
    entered, leave = threading.Event(), threading.Event()

    @ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    def wait(value: int) -> int:
        entered.set()
        leave.wait(30)
        return value + 1

    flat = flatten(object_of(CALLING))
    found: list[int] = []

    def run() -> None:
        code = MappedCode(flat, lambda _: ctypes.cast(wait, ctypes.c_void_p).value or 0)
        found.append(call(code, "g", 1))

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(30)
    gc.collect()
    leave.set()
    thread.join(30)
    assert found == [2]


@needs_maps
def test_two_thousand_loads_leave_the_process_as_it_was(object_of):
    flat = flatten(object_of(ADDING))
    MappedCode(flat, resolve)
    gc.collect()

    def mapped() -> int:
        return len(Path("/proc/self/maps").read_bytes().splitlines())

    before = mapped()
    for number in range(2000):
        code = MappedCode(flat, resolve)
        assert number % 100 or call(code, "f", number) == number + 41
    del code
    gc.collect()
    assert mapped() <= before + 2


def test_what_is_not_exported_has_no_address(object_of):
    code = MappedCode(flatten(object_of(ADDING)), resolve)
    with pytest.raises(LinkError, match="this code exports no g; it has f"):
        code.address("g")


@needs_maps
def test_a_missing_symbol_is_told_before_there_is_memory(monkeypatch, object_of):
    taken: list[int] = []
    monkeypatch.setattr(pages, "executable", lambda size, _: taken.append(size))
    with pytest.raises(LinkError, match="this process has no smelt_test_outside, which compiled code refers to"):
        MappedCode(flatten(object_of(CALLING)), resolve)
    assert taken == []


def test_memory_that_there_is_not_is_a_link_error():
    with pytest.raises(LinkError, match=r"the system gives no \d+ bytes of memory that can be executed"):
        pages.executable(1 << 60, lambda _: b"")


def test_memory_whose_contents_fail_is_given_back(monkeypatch):
    given, returned = [], []
    system = pages._system()
    free = system.free
    monkeypatch.setattr(system, "free", lambda base, size: (returned.append((base, size)), free(base, size)))

    def fail(base: int) -> bytes:
        given.append((base, 4096))
        raise KeyError("contents")

    with pytest.raises(KeyError, match="contents"):
        pages.executable(4096, fail)
    assert given == returned != []


def test_many_threads_load_at_once(object_of):
    flat = flatten(object_of(ADDING + CALLING.replace("@smelt_test_outside", "@labs")))
    found: list[int] = []

    def load() -> None:
        for number in range(50):
            code = MappedCode(flat, resolve)
            found.append(call(code, "f", call(code, "g", -number)) - number)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [41] * 400


def test_code_that_is_held_to_the_end_leaves_the_process_in_peace():
    program = (
        "import ctypes\n"
        "from smelt.targets.native.machine_code.flat import FlatCode\n"
        "from smelt.targets.native.loader.mapping import MappedCode\n"
        "code = MappedCode(FlatCode('x86-64', bytes(8), (('f', 0),)), lambda name: 0)\n"
        "keep = [code]; keep.append(keep)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Symbols


@pytest.mark.parametrize(
    "name",
    [
        "sin",
        "atan2f",
        "fmod",
        "erf",
        "memcpy",
        "memmove",
        "memset",
        "malloc",
        "free",
        "Py_IncRef",
        "PyExc_ValueError",
        "_Py_NoneStruct",
    ],
)
def test_the_c_library_and_python_are_found(name):
    assert resolve(name) == resolve(name) != 0


def test_variables_of_python_are_found_where_they_are():
    assert resolve("_Py_NoneStruct") == id(None)
    assert ctypes.c_void_p.from_address(resolve("PyExc_ValueError")).value == id(ValueError)


def test_what_is_provided_comes_first_and_stays(object_of):
    @ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    def outside(value: int) -> int:
        return value * 3

    address = ctypes.cast(outside, ctypes.c_void_p).value or 0
    provide("smelt_test_provided", address)
    provide("smelt_test_provided", address)
    code = MappedCode(flatten(object_of(CALLING.replace("outside", "provided"))), resolve)
    assert call(code, "g", 14) == 42
    with pytest.raises(LinkError, match="smelt_test_provided was provided with another address before"):
        provide("smelt_test_provided", address + 8)


def test_pointers_and_table_are_written_where_the_code_lies():
    flat = FlatCode("x86-64", bytes(16), (("f", 8),), ("a", "b"), ((8, 3),))
    code = MappedCode(flat, {"a": 11, "b": 22}.__getitem__)
    base = code.address("f") - 8
    words = [ctypes.c_uint64.from_address(base + 8 * number).value for number in range(4)]
    assert words == [0, base + 3, 11, 22]
