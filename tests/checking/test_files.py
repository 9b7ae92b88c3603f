"""One file against its record, however the system gives its bytes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fetcher.checking.files import Examiner, Record
from fetcher.checking.together import Together
from fetcher.demo.images import md5_of

DATA = bytes(range(256)) * 40
RECORD = Record("images/a/a.jpg", len(DATA), md5_of(DATA))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images/a").mkdir(parents=True)
    (tmp_path / RECORD.path).write_bytes(DATA)
    return tmp_path


def kind(root: Path, record: Record = RECORD, together: Together | None = None) -> str:
    observed = Examiner(str(root), together).examine(record)
    return "" if observed is None else observed.kind


@pytest.mark.parametrize("small", [1, 7, len(DATA) - 1, len(DATA), len(DATA) + 1, 1 << 20])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data, ""),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data + b"x", "overlong"),
        (lambda data: b"x" + data[1:], "altered"),
        (lambda _: b"", "empty"),
    ],
)
def test_what_is_seen_does_not_depend_on_how_much_is_read_at_once(
    small: int,
    change: Callable[[bytes], bytes],
    expected: str,
    root: Path,
) -> None:
    (root / RECORD.path).write_bytes(change(DATA))
    assert kind(root, together=Together(1, small)) == expected


@pytest.mark.parametrize("most", [1, 100, len(DATA) - 1])
def test_a_read_that_gives_less_than_there_is_is_no_end(
    most: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.readv

    def readv(descriptor: int, buffers: Sequence[bytearray]) -> int:
        return real(descriptor, [memoryview(buffers[0])[:most]])

    monkeypatch.setattr(os, "readv", readv)
    assert kind(root) == ""
    assert kind(root, RECORD._replace(md5=md5_of(b""))) == "altered"


@pytest.mark.parametrize("call", ["open", "readv"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_what_cannot_be_read_says_why(
    call: str, number: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fails)
    observed = Examiner(str(root)).examine(RECORD)
    assert observed is not None
    assert (observed.kind, observed.detail) == ("unreadable", os.strerror(number))


@pytest.mark.parametrize(
    ("size", "md5", "expected"),
    [
        (None, None, ""),
        (len(DATA), None, ""),
        (5, None, "overlong"),
        (None, RECORD.md5, ""),
        (None, md5_of(b""), "altered"),
        (5, RECORD.md5, "overlong"),
    ],
)
def test_only_what_is_recorded_is_compared(
    size: int | None, md5: str | None, expected: str, root: Path
) -> None:
    assert kind(root, Record(RECORD.path, size, md5)) == expected


@pytest.mark.parametrize("device", ["zero", "null"])
def test_a_device_is_told_and_not_read_on_be_it_without_end_or_empty(device: str) -> None:
    observed = Examiner("/dev").examine(Record(device, 5, RECORD.md5))
    assert observed is not None
    assert observed.kind == "special"


def test_a_folder_that_comes_and_goes_is_looked_at_again(root: Path) -> None:
    examiner = Examiner(str(root))
    assert examiner.examine(RECORD) is None
    (root / "images/a").rename(root / "images/b")
    observed = examiner.examine(RECORD)
    assert observed is not None
    assert observed.kind == "missing"
    (root / "images/b").rename(root / "images/a")
    examiner.forget()
    assert examiner.examine(RECORD) is None


def test_a_worker_ends_with_its_input(root: Path) -> None:
    command = [sys.executable, "-m", "fetcher.checking.worker", str(root)]
    with subprocess.Popen(  # noqa: S603  our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        out, _ = worker.communicate(
            b'[[7, "images/a/a.jpg", 3, "x", null], [8, "images/a/b.jpg", 1, "y", null]]\n[]\n',
            timeout=60,
        )
    assert worker.returncode == 0
    first, second = out.splitlines()
    assert first.startswith(b'[20480, [[7, "images/a/a.jpg", "x", null, "overlong"')
    assert b'[8, "images/a/b.jpg", "y", null, "missing"' in first
    assert second == b"[0, []]"
