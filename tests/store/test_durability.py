"""When syncfs is believed, and what its failure means."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from fetcher.errors import StoreError
from fetcher.store import LocalStore
from fetcher.store.durability import (
    FEW,
    WINDOW,
    OneByOne,
    RenameOnly,
    WholeFileSystem,
    durability,
)
from fetcher.store.system import System, file_system_type
from tests.conformance.store_suite import data
from tests.fakes.system import EXT4, Recorder

TMPFS, FUSE, OVERLAY = 0x01021994, 0x65735546, 0x794C7630


@pytest.mark.parametrize(
    ("mode", "file_system", "release", "syncfs", "expected"),
    [
        ("batch", EXT4, "6.18.44-generic", True, WholeFileSystem),
        ("batch", EXT4, "5.17.0", True, WholeFileSystem),
        ("batch", EXT4, "5.16.20", True, OneByOne),
        ("batch", EXT4, "4.19.0-rc1+", True, OneByOne),
        ("batch", EXT4, "unheard of", True, OneByOne),
        ("batch", EXT4, "6.1.0", False, OneByOne),
        ("batch", FUSE, "6.1.0", True, OneByOne),
        ("batch", OVERLAY, "6.1.0", True, OneByOne),
        ("batch", 0, "23.5.0", False, OneByOne),
        ("batch", TMPFS, "6.1.0", True, RenameOnly),
        ("file", EXT4, "6.1.0", True, OneByOne),
        ("file", TMPFS, "6.1.0", True, RenameOnly),
        ("none", EXT4, "6.1.0", True, RenameOnly),
    ],
)
def test_choice(  # noqa: PLR0917  one parameter a column
    tmp_path: Path, mode: Any, file_system: int, release: str, syncfs: Any, expected: type
) -> None:
    recorder = Recorder(file_system=file_system)
    more = {} if syncfs else {"syncfs": None}
    chosen = durability(mode, str(tmp_path), recorder.system(release=release, **more))
    assert type(chosen) is expected
    chosen.close()
    assert recorder.open_descriptors == 0


@pytest.mark.parametrize(("file_system", "quick"), [(TMPFS, True), (EXT4, False)])
def test_a_store_is_quick_where_there_is_no_disk(
    tmp_path: Path, file_system: int, *, quick: bool
) -> None:
    store = LocalStore(tmp_path, system=Recorder(file_system=file_system).system())
    store.prepare()
    assert store.is_quick is quick
    store.close()


def test_the_real_calls_work_here(tmp_path: Path) -> None:
    system = System()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    if system.syncfs is not None:
        system.syncfs(descriptor)
        assert file_system_type(descriptor) != 0
    os.close(descriptor)


@pytest.mark.skipif(System().syncfs is None, reason="no syncfs(2)")
def test_a_failed_call_raises_its_errno() -> None:
    system = System()
    assert system.syncfs is not None
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        system.syncfs(-1)
    assert caught.value.errno == errno.EBADF
    assert file_system_type(-1) == 0


def test_a_lost_write_condemns_every_batch_after_it(tmp_path: Path) -> None:
    """syncfs tells of a loss once, to whoever asks first; the loss may be another thread's."""
    answers = iter([OSError(errno.EIO, "Input/output error"), None, None])

    def syncfs(_: int) -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    store = LocalStore(tmp_path, system=Recorder().system(syncfs=syncfs))
    store.prepare()
    batches = [
        [
            store.stage(f"images/a/{batch}-{n}.jpg", data(b"image"), name=f"{batch}-{n}")
            for n in range(FEW)
        ]
        for batch in range(2)
    ]
    for batch in batches:
        with pytest.raises(StoreError) as caught:
            store.publish(batch)
        assert caught.value.fault_code == "disk-error"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.close()


def test_descriptors_are_bounded_and_write_back_starts_first(tmp_path: Path) -> None:
    paths = [str(tmp_path / str(n)) for n in range(2 * WINDOW + 1)]
    for path in paths:
        Path(path).write_bytes(b"x")
    recorder = Recorder()
    most = 0
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        nonlocal most
        most = max(most, recorder.open_descriptors)
        fsync(descriptor)

    OneByOne(recorder.system(fsync=watched)).sync_files(paths)
    assert most == WINDOW
    assert recorder.open_descriptors == 0
    assert sorted(recorder.paths("fsync")) == sorted(paths)
    first = recorder.names().index("fsync")
    assert recorder.names()[:first].count("fadvise") == WINDOW


def test_a_hint_that_is_refused_is_no_error(tmp_path: Path) -> None:
    def fadvise(*_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    for more in ({"fadvise": fadvise}, {"fadvise": None}):
        recorder = Recorder()
        paths = [str(tmp_path / name) for name in "ab"]
        for path in paths:
            Path(path).write_bytes(b"x")
        OneByOne(recorder.system(**more)).sync_files(paths)
        assert recorder.paths("fsync") == paths


@pytest.mark.parametrize(
    ("number", "tolerated"),
    [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False), (errno.ENOSPC, False)],
)
def test_a_file_system_may_be_unable_to_sync_directories(
    tmp_path: Path, number: int, tolerated: Any
) -> None:
    recorder = Recorder(fail_at=1, number=number)
    one_by_one = OneByOne(recorder.system())
    if tolerated:
        one_by_one.sync_directories([str(tmp_path)])
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            one_by_one.sync_directories([str(tmp_path)])
    assert recorder.names() == ["open", "fsync", "close"]
    assert recorder.open_descriptors == 0


def test_a_link_is_not_synced_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"directory|symbolic"):
        OneByOne(System()).sync_directories([str(tmp_path / "link")])
