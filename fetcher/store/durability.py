"""How bytes and names are forced to the disk, and when that is believed.

A batch reaches the disk in two steps, with the renames between them: ``sync_files`` before,
``sync_directories`` after. Three ways to take them:

    batch   one syncfs(2) for many files, fsync for few; fsync file by file wherever syncfs cannot
            be believed
    file    fsync of each file and of each directory, never anything of other people's
    none    nothing: survives kill -9, not a power cut

Measured on ext4 (Linux 6.18, virtual disk; milliseconds for a batch, median of 7; "fsync*" starts
the write-back of all files before the first fsync waits; directories: 2 | one per file):

    files            fsync         fsync*       syncfs, fsync of dirs   syncfs twice
    1   x 20 kB      0.6           0.4          0.6                     0.6
    16  x 20 kB      4.5 | 4.5     2.3 | 2.6    1.4 | 2.4               1.2 | 1.0
    256 x 20 kB      56  | 77      24  | 41     10  | 35                10  | 11
    16  x 2 MB       23  | 25      21  | 22     18  | 24                20  | 19
    256 x 2 MB       362 | 357     251 | 312    243 | 307               237 | 270

So for a few files fsync* is as good, and leaves alone what others have in the page cache; for many
small ones syncfs saves half of the time or more, and four system calls a file. On a polite run
batches are of one image, and nothing but that image is flushed.

When syncfs is believed: it reports lost data since Linux 5.8, and what the file system itself says
of its metadata since 5.17 (before that the result of ``sync_fs`` was dropped). It reaches the disk
only on a file system that implements it; FUSE, for one, does not pass it on. Hence the short list.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final, Literal, Protocol

from fetcher.store.system import System

Mode = Literal["batch", "file", "none"]

FEW: Final = 8
"""Files, or directories, from which on one syncfs does it."""
WINDOW: Final = 64
"""Descriptors that are open at once while files are synced one by one."""

SYNCFS_SINCE: Final = (5, 17)
_SYNCFS_TYPES: Final = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0xF2F52010,  # F2FS
    }
)
_TMPFS: Final = 0x01021994
"""Has no disk that anything could reach."""

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY: Final = _READ | os.O_DIRECTORY
_NO_DIRECTORY_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What a file system answers whose directories cannot be synced (CIFS, some FUSE ones): there is
nothing more that could be done, as restic has it too."""


class Durability(Protocol):
    """Both methods block until the disk has it, and raise ``OSError``."""

    def sync_files(self, paths: Sequence[str]) -> None: ...

    def sync_directories(self, paths: Sequence[str]) -> None: ...

    def close(self) -> None: ...


def durability(mode: Mode, root: str, system: System) -> Durability:
    """The way ``mode`` names, for the file system that ``root`` (a directory) is on."""
    if mode == "none":
        return RenameOnly()
    descriptor = system.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    kind = system.file_system_type(descriptor)
    if mode == "batch" and kind in _SYNCFS_TYPES and _reports_losses(system):
        return WholeFileSystem(descriptor, OneByOne(system), system)
    system.close(descriptor)
    return RenameOnly() if kind == _TMPFS else OneByOne(system)


def _reports_losses(system: System) -> bool:
    return system.syncfs is not None and _kernel(system.release) >= SYNCFS_SINCE


def _kernel(release: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class RenameOnly:
    """Leaves it to the kernel when bytes reach the disk."""

    def sync_files(self, paths: Sequence[str]) -> None:
        pass

    def sync_directories(self, paths: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass


class OneByOne:
    """fsync of each; the write-back of a window is started before the first is waited for, so that
    the journal commits once for many.
    """

    def __init__(self, system: System) -> None:
        self._system = system

    def sync_files(self, paths: Sequence[str]) -> None:
        for start in range(0, len(paths), WINDOW):
            self._sync_window(paths[start : start + WINDOW])

    def sync_directories(self, paths: Sequence[str]) -> None:
        for path in paths:
            descriptor = self._system.open(path, _DIRECTORY)
            try:
                self._system.fsync(descriptor)
            except OSError as error:
                if error.errno not in _NO_DIRECTORY_SYNC:
                    raise
            finally:
                self._system.close(descriptor)

    def close(self) -> None:
        pass

    def _sync_window(self, paths: Sequence[str]) -> None:
        with ExitStack() as opened:  # closes all of them, even if closing one fails
            descriptors = []
            for path in paths:
                descriptor = self._system.open(path, _READ)
                opened.callback(self._system.close, descriptor)
                descriptors.append(descriptor)
                if len(paths) > 1:
                    self._start_write_back(descriptor)
            for descriptor in descriptors:
                self._system.fsync(descriptor)

    def _start_write_back(self, descriptor: int) -> None:
        """Linux starts writing what is dirty on POSIX_FADV_DONTNEED (mm/fadvise.c)."""
        if self._system.fadvise is not None:
            with suppress(OSError):  # a hint; fsync is what counts
                self._system.fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


class WholeFileSystem:
    """syncfs for many, fsync for few.

    syncfs says that something was lost, to whoever asks first, and not what. After it has failed,
    any file that was written and not yet synced may be the torn one, whichever thread it belongs
    to; a second syncfs would answer that all is well. So the first failure is final for this store.
    """

    def __init__(self, descriptor: int, one_by_one: OneByOne, system: System) -> None:
        self._descriptor = descriptor  # opened before any write: errors are reported since then
        self._one_by_one = one_by_one
        self._system = system
        self._lock = threading.Lock()
        self._lost: OSError | None = None

    def sync_files(self, paths: Sequence[str]) -> None:
        if len(paths) < FEW:
            self._one_by_one.sync_files(paths)
        else:
            self._sync_all()

    def sync_directories(self, paths: Sequence[str]) -> None:
        if len(paths) < FEW:
            self._one_by_one.sync_directories(paths)
        else:
            self._sync_all()

    def close(self) -> None:
        self._system.close(self._descriptor)

    def _sync_all(self) -> None:
        assert self._system.syncfs is not None  # noqa: S101  durability() has looked
        with self._lock:
            if self._lost is not None:
                raise OSError(self._lost.errno, self._lost.strerror)
            try:
                self._system.syncfs(self._descriptor)
            except OSError as error:
                self._lost = error
                raise
