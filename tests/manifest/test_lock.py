"""One run at a time, across processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fetcher.errors import Exit, LockedError, ManifestUnusableError
from fetcher.manifest.lock import RunLock

HOLD = """
import sys
from pathlib import Path
from fetcher.manifest.lock import RunLock
lock = RunLock.acquire(Path(sys.argv[1]), command="fetcher mirror a.csv", now=1.7e9)
print("held", flush=True)
sys.stdin.read()
lock.release()
"""


@contextmanager
def holder(manifest: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603  this interpreter, and the program above
        [sys.executable, "-c", HOLD, str(manifest)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def take(manifest: Path) -> RunLock:
    return RunLock.acquire(manifest, command="test", now=1.7e9)


def test_a_second_run_is_told_who_holds_it_until_that_ends(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.sqlite"
    with holder(manifest) as process:
        with pytest.raises(LockedError) as caught:
            take(manifest)
        assert caught.value.exit == Exit.UNUSABLE
        for part in (str(process.pid), socket.gethostname(), "2023-11-14T22:13:20Z", "a.csv"):
            assert part in caught.value.sentence
        process.communicate()
        take(manifest).release()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.sqlite"
    with holder(manifest) as process:
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "manifest.sqlite.lock").exists()
    lock = take(manifest)
    assert json.loads((tmp_path / "manifest.sqlite.lock").read_text())["pid"] == os.getpid()
    with pytest.raises(LockedError):
        take(manifest)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_was_removed_is_not_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder removes the file between another's opening and locking it."""
    manifest = tmp_path / "manifest.sqlite"
    path = tmp_path / "manifest.sqlite.lock"
    path.touch()
    real = os.open

    def opened(*args: object) -> int:
        descriptor = real(*args)  # type: ignore[arg-type]
        if path.stat().st_size == 0 and not opened.done:  # type: ignore[attr-defined]
            opened.done = True  # type: ignore[attr-defined]
            path.unlink()
        return descriptor

    opened.done = False  # type: ignore[attr-defined]
    monkeypatch.setattr(os, "open", opened)
    lock = take(manifest)
    with pytest.raises(LockedError):
        take(manifest)
    lock.release()


def test_a_holder_that_has_not_said_who_it_is_holds_too(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.sqlite"
    lock = take(manifest)
    (tmp_path / "manifest.sqlite.lock").write_text("")
    with pytest.raises(LockedError, match="Another run"):
        take(manifest)
    lock.release()


# The lock of DIR, on its place for temporary files.


def take_both(manifest: Path, directory: Path) -> RunLock:
    return RunLock.acquire(manifest, command="test", now=1.7e9, place=directory / ".partial")


def test_another_manifest_is_no_way_into_a_dir_that_is_in_use(tmp_path: Path) -> None:
    directory, elsewhere = tmp_path / "DIR", tmp_path / "elsewhere"
    directory.mkdir()
    elsewhere.mkdir()
    lock = take_both(elsewhere / "a.sqlite", directory)
    with pytest.raises(LockedError, match="works in") as caught:
        take_both(elsewhere / "b.sqlite", directory)
    assert str(directory) in caught.value.sentence
    assert caught.value.exit == Exit.UNUSABLE
    take(elsewhere / "b.sqlite").release()  # refused, it has let go of its own
    lock.release()
    take_both(elsewhere / "b.sqlite", directory).release()
    assert [*directory.iterdir(), *elsewhere.iterdir()] == []


def test_nor_is_a_manifest_that_was_taken_away(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.sqlite"
    lock = take_both(manifest, tmp_path)
    (tmp_path / "manifest.sqlite.lock").unlink()
    with pytest.raises(LockedError, match="works in"):
        take_both(manifest, tmp_path)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_what_lies_there_stays(tmp_path: Path) -> None:
    left = tmp_path / ".partial" / "7"
    left.parent.mkdir()
    left.touch()
    take_both(tmp_path / "manifest.sqlite", tmp_path).release()
    assert left.exists()


def test_a_place_that_was_removed_while_it_was_waited_for_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder ends between another's opening and locking it."""
    place, real = tmp_path / ".partial", fcntl.flock
    removed: list[bool] = []

    def flock(descriptor: int, operation: int) -> None:
        if not removed and os.path.samestat(os.fstat(descriptor), place.lstat()):
            place.rmdir()
            removed.append(True)
        real(descriptor, operation)

    (tmp_path / ".partial").mkdir()
    monkeypatch.setattr(fcntl, "flock", flock)
    lock = take_both(tmp_path / "a.sqlite", tmp_path)
    assert removed
    with pytest.raises(LockedError, match="works in"):
        take_both(tmp_path / "b.sqlite", tmp_path)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_dir_whose_file_system_has_no_locks_is_used_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, manifest = tmp_path / "DIR", tmp_path / "manifest.sqlite"
    directory.mkdir()
    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        place = directory / ".partial"
        if place.exists() and os.path.samestat(place.stat(), os.fstat(descriptor)):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = take_both(manifest, directory)
    with pytest.raises(LockedError, match="holds the manifest"):
        take_both(manifest, directory)
    lock.release()


@pytest.mark.parametrize("there", ["a file", "a link"])
def test_what_is_no_place_is_refused(tmp_path: Path, there: str) -> None:
    place = tmp_path / ".partial"
    if there == "a file":
        place.touch()
    else:
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ManifestUnusableError, match="cannot be the place"):
        take_both(tmp_path / "manifest.sqlite", tmp_path)
    assert not (tmp_path / "manifest.sqlite.lock").exists()


def test_a_lock_that_another_run_has_made_anew_is_left_to_it(tmp_path: Path) -> None:
    manifest, path = tmp_path / "manifest.sqlite", tmp_path / "manifest.sqlite.lock"
    old = take(manifest)
    path.rename(tmp_path / "moved")
    new = take(manifest)
    old.release()
    with pytest.raises(LockedError):
        take(manifest)
    new.release()
    assert not path.exists()
