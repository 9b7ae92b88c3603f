"""One run at a time, across processes."""

from __future__ import annotations

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
