# SPDX-License-Identifier: Apache-2.0
"""Reading bitcode that may be hostile: in a process of its own.

LLVM ends the process that it is in for much that is wrong with bitcode: of flipped bits one in fifteen does it. What LLVM can read is
verified there and comes back as text, of which LLVM says what is wrong with it. The process is started for the first module, with
bounds on its memory and time, and reads all further ones.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from typing import IO

from smelt.targets.metal.devices.errors import DeviceError

MOST_SECONDS = 60
MOST_BYTES = 4 << 30
MOST_CHARACTERS = 1 << 28

# A request is the size of a bitcode in 8 bytes, and the bitcode. The answer is a size in 8 bytes, 0 or 1, and the text or the error.
_PROGRAM = f"""
import sys
try:
    import resource
    for what, most in ((resource.RLIMIT_AS, {MOST_BYTES}), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))
except (ImportError, AttributeError, OSError, ValueError):
    pass
sys.path[:] = {{path!r}}
import llvmlite.binding as llvm
requests, answers = sys.stdin.buffer, sys.stdout.buffer
while size := requests.read(8):
    bitcode = requests.read(int.from_bytes(size, "little"))
    try:
        module = llvm.parse_bitcode(bitcode, llvm.create_context())
        module.verify()
        answer = str(module).encode()
        failed = len(answer) > {MOST_CHARACTERS}
        answer = b"its text is too long" if failed else answer
    except (RuntimeError, UnicodeError) as error:
        failed, answer = True, str(error).encode(errors="replace")
    answers.write((len(answer) + 1).to_bytes(8, "little") + bytes([failed]) + answer)
    answers.flush()
"""


class Disassembler:
    """The process, which is started when it is first needed, and anew after it has ended.

    Parameters
    ----------
    most_seconds
        How long one module may take.
    """

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        atexit.register(self.close)

    def start(self) -> None:
        """Start the process now, for it to be there when it is needed. Raises `DeviceError` if it can't be started."""
        with self._lock:
            self._running()

    def text_of(self, bitcode: bytes, name: str) -> str:
        """The LLVM IR of a module, which the verifier has passed. Raises `DeviceError`, with `name`, for what LLVM can't read."""
        with self._lock:
            answer = self._asked(bitcode)
        if answer is None:
            raise DeviceError(f"the module of {name} is damaged: LLVM ends, or goes on for ever, when it reads it")
        if answer[0]:
            said = answer[1:].decode(errors="replace").strip()
            raise DeviceError(f"the module of {name} is damaged: {said}")
        return answer[1:].decode()

    def _asked(self, bitcode: bytes) -> bytes | None:
        """The answer; None if the process has ended."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._most_seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(len(bitcode).to_bytes(8, "little") + bitcode)
            process.stdin.flush()
            answer = _read(process.stdout, int.from_bytes(_read(process.stdout, 8), "little"))
        except (OSError, EOFError):
            self._end()
            return None
        except BaseException:
            # Interrupted: what comes back now belongs to no question.
            self._end()
            raise
        finally:
            timer.cancel()
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        # A child of this process has the other end of the pipes of its parent.
        if self._process is None or self._owner != os.getpid():
            program = _PROGRAM.replace("{path!r}", repr([path for path in sys.path if path]))
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            command = [sys.executable, "-P", "-c", program]
            try:
                self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing)  # noqa: S603 - this Python
            except OSError as error:
                raise DeviceError(f"a process that reads modules can't be started: {error}") from error
            self._owner = os.getpid()
        return self._process

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._owner == os.getpid():
                self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            process.wait()


def _read(pipe: IO[bytes], size: int) -> bytes:
    """So many bytes. Raises `EOFError` if there aren't."""
    found = pipe.read(size)
    if len(found) < size or not size:
        raise EOFError
    return found


_disassembler = Disassembler()


def start_disassembler() -> None:
    """Start the process that reads modules, if it doesn't run. Raises `DeviceError` if it can't be started."""
    _disassembler.start()


def disassembled(bitcode: bytes, name: str) -> str:
    """The LLVM IR of a module, which the verifier has passed, whatever it is. Raises `DeviceError`, with `name`, for what LLVM can't read."""
    return _disassembler.text_of(bitcode, name)
