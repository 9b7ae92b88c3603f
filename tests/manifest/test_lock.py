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

from fetcher.errors import Exit, LockedError
from fetcher.manifest.lock import PLACE_LOCK, RunLock

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
    with subprocess.Popen(  # noqa: S603 - this interpreter, and the program above
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


# The lock of DIR.


def take_both(manifest: Path, place: Path) -> RunLock:
    return RunLock.acquire(manifest, command="fetcher mirror b.csv", now=1.7e9, place=place)


def test_another_manifest_is_no_way_into_a_dir_that_is_in_use(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "DIR", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    lock = take_both(elsewhere / "a.sqlite", place)
    with pytest.raises(LockedError, match="works in DIR") as caught:
        take_both(elsewhere / "b.sqlite", place)
    for part in (str(os.getpid()), "2023-11-14T22:13:20Z", "b.csv"):
        assert part in caught.value.sentence
    take(elsewhere / "b.sqlite").release()  # refused, it has let go of its own
    lock.release()
    take_both(elsewhere / "b.sqlite", place).release()
    assert [*place.iterdir(), *elsewhere.iterdir()] == []


def test_nor_is_a_manifest_that_was_taken_away(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.sqlite"
    lock = take_both(manifest, tmp_path)
    (tmp_path / "manifest.sqlite.lock").unlink()
    with pytest.raises(LockedError, match="works in DIR"):
        take_both(manifest, tmp_path)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_dir_whose_file_system_has_no_locks_is_used_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, manifest = tmp_path / "DIR", tmp_path / "manifest.sqlite"
    place.mkdir()
    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        there = place / PLACE_LOCK
        if there.exists() and os.path.samestat(there.stat(), os.fstat(descriptor)):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = take_both(manifest, place)
    with pytest.raises(LockedError, match="holds the manifest"):
        take_both(manifest, place)
    lock.release()


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
