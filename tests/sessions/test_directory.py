# SPDX-License-Identifier: Apache-2.0
"""The directory that processes share: whole files, private ones, and no errors whatever happens to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from smelt.caching import StoreWarning
from smelt.sessions.directory import Directory, default_directory
from smelt.sessions.locks import locked

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


def test_files_are_read_back_and_private(tmp_path):
    directory = Directory(tmp_path / "store")
    assert directory.read("a/b") is None
    assert directory.write("a/b", b"contents")
    assert directory.read("a/b") == b"contents"
    assert directory.write("a/b", b"others")
    assert directory.read("a/b") == b"others"
    assert directory.names("a") == ["a/b"]
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "store/a/b").stat().st_mode & 0o777 == 0o600


def test_what_is_being_written_is_not_there_yet(tmp_path, monkeypatch):
    directory = Directory(tmp_path / "store")
    seen = []
    replace = os.replace

    def watched(path, target):
        seen.extend([directory.names("a"), directory.read("a/b"), Path(path).read_bytes()])
        return replace(path, target)

    monkeypatch.setattr(os, "replace", watched)
    directory.write("a/b", b"contents")
    assert seen == [[], None, b"contents"]


def test_a_file_that_was_not_finished_is_removed(tmp_path, monkeypatch):
    directory = Directory(tmp_path / "store")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.warns(StoreWarning, match="can't be written to: .*No space left on device"):
        assert not directory.write("a/b", b"contents")
    assert list((tmp_path / "store/a").iterdir()) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not directory.write("a/b", b"said once")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files as POSIX has them")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_can_write_to_is_left_alone(tmp_path, mode):
    (tmp_path / "a").mkdir(mode=0o700)
    tmp_path.joinpath("a/b").write_bytes(b"planted")
    tmp_path.chmod(mode)
    directory = Directory(tmp_path)
    with pytest.warns(StoreWarning, match="is no directory that only this user can write to") as told:
        assert directory.read("a/b") is None
    # Which is not said again.
    assert not directory.write("a/c", b"contents")
    assert directory.names("a") == []
    assert len(told) == 1


@pytest.mark.skipif(not is_root, reason="only root can give a directory to another user")
def test_a_directory_of_another_user_is_left_alone(tmp_path):
    directory = Directory(tmp_path)
    directory.write("a", b"contents")
    os.chown(tmp_path, 12345, 12345)
    with pytest.warns(StoreWarning, match="is no directory that only this user can write to"):
        assert Directory(tmp_path).read("a") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files as POSIX has them")
def test_a_file_that_others_can_write_to_is_not_read(tmp_path):
    directory = Directory(tmp_path / "store")
    directory.write("a", b"contents")
    (tmp_path / "store/a").chmod(0o622)
    assert directory.read("a") is None


def test_a_directory_in_place_of_which_there_is_a_file_costs_one_warning(tmp_path):
    (tmp_path / "store").write_text("a file")
    directory = Directory(tmp_path / "store")
    with pytest.warns(StoreWarning, match="is no directory"):
        assert directory.read("a") is None
    assert not directory.write("a", b"contents")


def test_a_directory_that_was_removed_is_made_again(tmp_path):
    directory = Directory(tmp_path / "store")
    directory.write("a", b"contents")
    (tmp_path / "store/a").unlink()
    (tmp_path / "store").rmdir()
    assert directory.read("a") is None
    umask = os.umask(0)
    try:
        assert directory.write("a", b"again")
    finally:
        os.umask(umask)
    assert Directory(tmp_path / "store").read("a") == b"again"


def test_the_least_recently_used_files_go_first(tmp_path):
    directory = Directory(tmp_path / "store")
    for index in range(10):
        directory.write(f"a/{index}/file", bytes(100))
        os.utime(tmp_path / f"store/a/{index}/file", (1000 + index, 1000 + index))
    directory.mark_as_used("a/0/file")
    assert directory.prune("a", 300) == 700
    assert directory.folders("a") == ["a/0", "a/8", "a/9"]


def test_what_was_written_just_now_stays_and_what_was_left_over_goes(tmp_path):
    directory = Directory(tmp_path / "store")
    directory.write("a/b/new", bytes(1000))
    left_over = tmp_path / "store/a/b/file.1-2.new"
    left_over.write_bytes(bytes(10))
    assert directory.prune("a", 1) == 0
    os.utime(left_over, (1000, 1000))
    assert directory.prune("a", 10**6) == 10
    assert directory.names("a/b") == ["a/b/new"]


def test_clocks_that_run_ahead_keep_nothing_forever(tmp_path):
    directory = Directory(tmp_path / "store")
    for index in range(4):
        directory.write(f"a/{index}/file", bytes(100))
        os.utime(tmp_path / f"store/a/{index}/file", (4e9 + index, 4e9 + index))
    assert directory.prune("a", 200) == 200


def test_what_is_used_is_marked_where_it_was_not_lately(tmp_path):
    directory = Directory(tmp_path / "store")
    directory.write("a/b", b"contents")
    path, now = tmp_path / "store/a/b", time.time()
    for before, is_marked in ((now - 600, False), (now - 7200, True), (now + 7200, True)):
        os.utime(path, (before, before))
        directory.mark_as_used("a/b")
        assert (abs(path.stat().st_mtime - before) > 1) == is_marked
    directory.mark_as_used("a/nothing")


def test_a_reader_keeps_what_is_removed(tmp_path):
    directory = Directory(tmp_path / "store")
    directory.write("a/b/file", b"contents")
    with (tmp_path / "store/a/b/file").open("rb") as reader:
        os.utime(tmp_path / "store/a/b/file", (1000, 1000))
        directory.prune("a", 0)
        assert reader.read() == b"contents"


def test_the_default_is_where_the_system_has_caches(monkeypatch, tmp_path):
    monkeypatch.setattr(os.path, "expanduser", lambda _: str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_directory() == str(tmp_path / ".cache/smelt")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert default_directory() == str(tmp_path / "elsewhere/smelt")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_directory() == str(tmp_path / ".cache/smelt")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_directory() == str(tmp_path / "Library/Caches/smelt")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert default_directory() == str(tmp_path / "smelt/Cache")

    monkeypatch.setattr(sys, "platform", "linux")
    # As it stands where nothing says which directory that is.
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert default_directory() is None


# Locks

HOLDER = """
import sys, time
from pathlib import Path
from smelt.sessions.locks import locked
with locked(sys.argv[1]) as is_held:
    print(is_held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("holder")
def test_a_lock_that_another_process_holds_is_not_got(tmp_path):
    with locked(str(tmp_path / "lock"), most_seconds=0) as is_held:
        assert not is_held


def test_a_lock_is_got_when_its_holder_is_done(holder, tmp_path):
    holder.stdin.close()
    with locked(str(tmp_path / "lock")) as is_held:
        assert is_held


def test_a_holder_that_was_killed_blocks_nobody(holder, tmp_path):
    holder.kill()
    with locked(str(tmp_path / "lock")) as is_held:
        assert is_held


def test_where_there_can_be_no_lock_one_goes_on_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with locked(str(tmp_path / "file/lock")) as is_held:
        assert not is_held

    def unsupported(_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("smelt.sessions.locks._try_to_lock", unsupported)
    with locked(str(tmp_path / "lock")) as is_held:
        assert not is_held
