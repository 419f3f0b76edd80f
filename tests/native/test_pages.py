# SPDX-License-Identifier: Apache-2.0
"""Pages for code on systems that this one may not be: what they are asked for, and in which order."""

from __future__ import annotations

import ctypes
import importlib.util
import mmap
import platform
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from smelt.targets.native.errors import LinkError
from smelt.targets.native.loader import pages

pytestmark = pytest.mark.once

SIZE = 100
Asked = list[tuple[Any, ...]]


class Memory:
    """Memory that foreign functions give out, and what they were asked for."""

    def __init__(self) -> None:
        self.asked: Asked = []
        self.memory = mmap.mmap(-1, 4096)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))

    def function(self, name: str, result: Any) -> Any:
        def called(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            return result(*arguments) if callable(result) else result

        return called

    def written(self) -> bytes:
        return ctypes.string_at(self.base, 4)


def pages_on(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> ModuleType:
    """The module as it is on another system."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert pages.__file__ is not None
    spec = importlib.util.spec_from_file_location("pages_elsewhere", pages.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def windows(memory: Memory, allocated: Any, is_protected: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        VirtualAlloc=memory.function("VirtualAlloc", allocated),
        VirtualProtect=memory.function("VirtualProtect", is_protected),
        VirtualFree=memory.function("VirtualFree", 1),
        FlushInstructionCache=memory.function("FlushInstructionCache", 1),
        GetCurrentProcess=memory.function("GetCurrentProcess", -1),
    )


def test_windows_is_asked_for_memory_that_is_protected_before_it_runs(monkeypatch):
    memory = Memory()
    kernel = windows(memory, memory.base)
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: kernel, raising=False)
    module = pages_on(monkeypatch, "win32", "AMD64")
    assert module.executable(SIZE, lambda base: f"{base == memory.base:d}234".encode()) == memory.base
    assert memory.written() == b"1234"
    module.free(memory.base, SIZE)
    names = [name for name, *_ in memory.asked]
    assert names == ["GetCurrentProcess", "VirtualAlloc", "VirtualProtect", "FlushInstructionCache", "VirtualFree"]
    # Committed and reserved, to read and write; to execute and read; given back whole.
    assert memory.asked[1][2:] == (SIZE, 0x3000, 0x04)
    assert memory.asked[2][1:4] == (memory.base, SIZE, 0x20)
    assert memory.asked[3][1:] == (-1, memory.base, SIZE)
    assert memory.asked[4][1:] == (memory.base, 0, 0x8000)


def test_windows_that_refuses_is_a_link_error_and_keeps_its_memory(monkeypatch):
    memory = Memory()
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 8, raising=False)
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: windows(memory, None), raising=False)
    with pytest.raises(LinkError, match="the system gives no 100 bytes of memory that can be executed") as raised:
        pages_on(monkeypatch, "win32", "AMD64").executable(SIZE, lambda _: b"")
    assert raised.value.errno == 8
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: windows(memory, memory.base, 0), raising=False)
    with pytest.raises(LinkError, match="the system gives no 100 bytes"):
        pages_on(monkeypatch, "win32", "AMD64").executable(SIZE, lambda _: b"")
    assert memory.asked[-1][0] == "VirtualFree"


def test_windows_gets_its_memory_back_where_there_is_nothing_to_write(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    memory = Memory()
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: windows(memory, memory.base), raising=False)
    with pytest.raises(KeyboardInterrupt):
        pages_on(monkeypatch, "win32", "AMD64").executable(SIZE, interrupted)
    assert [name for name, *_ in memory.asked[-2:]] == ["VirtualAlloc", "VirtualFree"]


def posix(memory: Memory, **more: Any) -> SimpleNamespace:
    functions = {"mmap": memory.base, "mprotect": 0, "munmap": 0, **more}
    return SimpleNamespace(**{name: memory.function(name, result) for name, result in functions.items()})


@pytest.mark.skipif(sys.platform == "win32", reason="the numbers of POSIX's mmap are those of this system's")
def test_apple_silicon_lets_a_thread_write_where_it_can_not_execute_meanwhile(monkeypatch):
    memory = Memory()
    library = posix(memory, sys_icache_invalidate=None)
    python = SimpleNamespace(pthread_jit_write_protect_np=memory.function("pthread_jit_write_protect_np", None))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    monkeypatch.setattr(ctypes, "PyDLL", lambda *_, **__: python)
    module = pages_on(monkeypatch, "darwin", "arm64")

    def contents(base: int) -> bytes:
        memory.asked.append(("contents", base))
        return b"5678"

    assert module.executable(SIZE, contents) == memory.base
    assert memory.written() == b"5678"
    (_, _, size, protection, flags, *_), *rest = memory.asked
    assert (size, protection, flags & 0x800) == (SIZE, 7, 0x800)
    # What is written is made before: while the thread can write it can't execute.
    assert rest == [
        ("contents", memory.base),
        ("pthread_jit_write_protect_np", 0),
        ("pthread_jit_write_protect_np", 1),
        ("sys_icache_invalidate", memory.base, SIZE),
    ]
    module.free(memory.base, SIZE)
    assert memory.asked[-1] == ("munmap", memory.base, SIZE)


@pytest.mark.skipif(sys.platform == "win32", reason="the numbers of POSIX's mmap are those of this system's")
@pytest.mark.parametrize("has_function", [True, False])
def test_linux_on_aarch64_makes_the_processor_see_new_code(monkeypatch, has_function):
    memory = Memory()
    own = posix(memory)
    compiler = {"__clear_cache": memory.function("__clear_cache", None)} if has_function else {}

    class Compiler:
        def __getitem__(self, name: str) -> Any:
            if name not in compiler:
                raise AttributeError(name)
            return compiler[name]

    monkeypatch.setattr(ctypes, "CDLL", lambda name, **_: own if name is None else Compiler())
    module = pages_on(monkeypatch, "linux", "aarch64")
    assert module.executable(SIZE, lambda _: b"9") == memory.base
    assert [name for name, *_ in memory.asked[:2]] == ["mmap", "mprotect"]
    assert memory.asked[0][3] == mmap.PROT_READ | mmap.PROT_WRITE
    assert memory.asked[1][1:] == (memory.base, SIZE, mmap.PROT_READ | mmap.PROT_EXEC)
    assert memory.asked[2:] == ([("__clear_cache", memory.base, memory.base + SIZE)] if has_function else [])


@pytest.mark.skipif(sys.platform == "win32", reason="the numbers of POSIX's mmap are those of this system's")
def test_a_system_that_refuses_to_execute_gets_its_memory_back(monkeypatch):
    memory = Memory()
    library = posix(memory, mprotect=-1)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    with pytest.raises(LinkError, match="the system gives no 100 bytes of memory that can be executed"):
        pages_on(monkeypatch, "linux", "x86_64").executable(SIZE, lambda _: b"")
    assert [name for name, *_ in memory.asked] == ["mmap", "mprotect", "munmap"]
