# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PTH103, PTH105, PTH106, PTH108, PTH111, PTH116, PTH117, PTH118, PTH120, PTH123 - a warm process doesn't import pathlib
"""A directory of small files that many processes share: written whole or not at all, private to the user, bounded in size.

Nothing here raises for what goes wrong with the file system: what can't be read isn't there, and what can't be written is not kept. It
is told once.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import warnings
from collections.abc import Iterator

from smelt.caching import StoreWarning

_MOST_BYTES_OF_FILE = 1 << 30
_USED_AGAIN_AFTER = 3600.0
"""A file that is used is marked as used if it was not for this many seconds."""

_FRESH = 60.0
"""A file that was written in the last so many seconds is not removed to make room."""

_TEMPORARY = ".new"


def default_directory() -> str | None:
    """Where the system has caches of the user; None for a user without home."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return os.path.join(base, "smelt", "Cache") if base else None
    home = os.path.expanduser("~")
    if home == "~":
        return None
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "smelt")
    base = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is to be ignored, says the XDG Base Directory Specification.
    return os.path.join(base if os.path.isabs(base) else os.path.join(home, ".cache"), "smelt")


class Directory:
    """The directory at `path`, which is made when something is first written.

    Files are named by their path from there, with `/` between the parts.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._is_trusted: bool | None = None
        self._has_warned = False

    def read(self, name: str) -> bytes | None:
        """The contents of a file, None if there is none."""
        if not self._can_be_trusted():
            return None
        try:
            with open(self._place(name), "rb") as file:
                status = os.fstat(file.fileno())
                if _can_be_changed_by_others(status) or status.st_size > _MOST_BYTES_OF_FILE:
                    return None
                return file.read(status.st_size)
        except OSError:
            return None

    def write(self, name: str, contents: bytes) -> bool:
        """Write a file, replacing one of that name; whether that was done."""
        path = self._place(name)
        # In the same directory, so that it is renamed within one file system.
        temporary = f"{path}.{os.getpid()}-{os.urandom(4).hex()}{_TEMPORARY}"
        try:
            # Somebody may have removed it; made with its files, others could write to it.
            os.makedirs(self.path, exist_ok=True, mode=0o700)
            if not self._can_be_trusted():
                return False
            os.makedirs(os.path.dirname(path), exist_ok=True, mode=0o700)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(contents)
                os.replace(temporary, path)
            except BaseException:
                _remove(temporary)
                raise
        except OSError as error:
            self.warn(f"can't be written to: {error}")
            return False
        return True

    def mark_as_used(self, name: str) -> None:
        """Have the file outlast those that were used less recently."""
        try:
            path = self._place(name)
            if abs(time.time() - os.stat(path).st_mtime) > _USED_AGAIN_AFTER:
                os.utime(path)
        except OSError:
            # Where nothing can be written, nothing is removed either.
            pass

    def names(self, folder: str) -> list[str]:
        """The files in a folder, the most recently used first."""
        if not self._can_be_trusted():
            return []
        found = [(status.st_mtime_ns, name) for name, status in self._files(folder)]
        return [f"{folder}/{name}" for _, name in sorted(found, reverse=True)]

    def folders(self, folder: str) -> list[str]:
        """The folders in a folder."""
        try:
            with os.scandir(self._place(folder)) as entries:
                return sorted(f"{folder}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            return []

    def remove(self, name: str) -> bool:
        """Remove a file; whether there was one that could be removed."""
        return _remove(self._place(name))

    def prune(self, folder: str, most_bytes: int) -> int:
        """Remove the least recently used files of a folder, and of the folders in it, until they take `most_bytes`.

        What was written just now stays, and so does what somebody reads: where an open file can't be removed it is left, and elsewhere
        its reader keeps it. Returns how many bytes were removed.
        """
        now = time.time()
        found = [
            (status.st_mtime, f"{inner}/{name}", status.st_size)
            for inner in (folder, *self.folders(folder))
            for name, status in self._files(inner, temporary=True)
        ]
        total, removed = sum(size for _, _, size in found), 0
        for used, name, size in sorted(found):
            is_fresh = abs(now - used) < _FRESH
            # What a process that was killed had begun to write.
            is_left_over = name.endswith(_TEMPORARY) and abs(now - used) > _USED_AGAIN_AFTER
            if is_left_over or (total - removed > most_bytes and not is_fresh):
                removed += size if self.remove(name) else 0
        for inner in self.folders(folder):
            try:
                # Succeeds for an empty one.
                os.rmdir(self._place(inner))
            except OSError:
                continue
        return removed

    def warn(self, what: str) -> None:
        """Say once what is wrong with the directory."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"the store {self.path} {what}. Going on without it; what is compiled is kept for this process only",
                StoreWarning,
                stacklevel=2,
            )

    def _place(self, name: str) -> str:
        # Windows takes these slashes as well.
        return f"{self.path}/{name}"

    def _files(self, folder: str, *, temporary: bool = False) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with os.scandir(self._place(folder)) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False) and (temporary or not entry.name.endswith(_TEMPORARY)):
                        yield entry.name, entry.stat(follow_symlinks=False)
        except OSError:
            # Removed meanwhile, or never there.
            return

    def _can_be_trusted(self) -> bool:
        if self._is_trusted is not None:
            return self._is_trusted
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            # It may be made later on.
            return False
        except OSError as error:
            self.warn(f"can't be looked into: {error}")
            self._is_trusted = False
            return False
        self._is_trusted = stat.S_ISDIR(status.st_mode) and not _can_be_changed_by_others(status)
        if not self._is_trusted:
            self.warn("is no directory that only this user can write to")
        return self._is_trusted


def _can_be_changed_by_others(status: os.stat_result) -> bool:
    # Windows keeps what is below the home of a user to that user.
    return hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or bool(status.st_mode & 0o022))


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
