"""One run at a time for each DIR: a lock on its place for temporary files.

A manifest may be anywhere, and may be taken away: two runs in one DIR would number these files
alike, and one would name what the other is still writing. The lock is on the directory itself, so
nothing of it is to be seen there.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from fetcher.errors import LockedError, ManifestUnusableError, StoreError

NO_FLOCK: Final = frozenset(
    # The last of a directory on NFS, which has to be open for writing.
    {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
)
"""What a file system says that has no locks."""


class DirectoryLock:
    """A directory that is locked; goes without where its file system has no locks: it need not be
    on a local disk, as the manifest has to be.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> DirectoryLock:
        """``path`` is made if it is not there. Raises ``LockedError``, ``ManifestUnusableError`` or
        ``StoreError``.
        """
        while True:
            descriptor = _open(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in NO_FLOCK:
                    holder = _holder_of(descriptor)
                    os.close(descriptor)
                    if isinstance(error, BlockingIOError):
                        raise _in_use(path.parent, holder) from error
                    raise
            if is_at(descriptor, path):
                return cls(path, descriptor)
            # Its holder removed it between our opening and locking it.
            os.close(descriptor)

    def let_go(self) -> None:
        if is_at(self._descriptor, self._path):
            with suppress(OSError):  # not empty: a later run may use it
                self._path.rmdir()
        os.close(self._descriptor)


def _open(path: Path) -> int:
    try:
        path.mkdir(0o755, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise no_room(path) from error
        raise ManifestUnusableError(
            f"{path} cannot be the place for temporary files: {error.strerror}.",
            hint=f"Check that {path.parent} is writable, and what {path.name} is there.",
        ) from error


def _holder_of(descriptor: int) -> int | None:
    """The process that has locked this file; ``None`` where the system does not tell (proc(5))."""
    found = os.fstat(descriptor)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            _, kind, _, _, pid, where, *_ = line.split()
            if kind == "FLOCK" and where == f"{device}:{found.st_ino}" and int(pid) > 0:
                return int(pid)
    return None


def _in_use(directory: Path, holder: int | None) -> LockedError:
    who = "Another run" if holder is None else f"Process {holder}"
    return LockedError(
        f"{who} works in {directory}, with another manifest, or one that was taken away.",
        hint="Wait for it, or stop it (it loses nothing). Two at a time want a DIR each.",
    )


def is_at(descriptor: int, path: Path) -> bool:
    """Whether what is open is what lies there."""
    try:
        there = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def no_room(path: Path) -> StoreError:
    return StoreError(
        f"No room left on the disk of {path}.",
        fault_code="disk-full",
        hint="Free some space, then give the same command again.",
    )
