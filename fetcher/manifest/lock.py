"""One run at a time for each manifest, and for each DIR.

The lock is ``flock`` on a file beside the manifest, so it ends with the process that holds it,
however that ends; what the file says is only for people. It is not taken on the manifest itself:
a POSIX process that closes any descriptor of a file drops all of its ``fcntl`` locks there, and
those are SQLite's own. For the same reason nothing in this project opens a manifest that may be in
use but through SQLite.

DIR's place for temporary files is locked as well, as a manifest may be anywhere, and may be taken
away: two runs in one DIR number these files alike, and one would name what the other is still
writing. That lock is on the directory itself, so nothing of it is to be seen there.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fetcher.errors import LockedError, ManifestError, ManifestUnusableError, StoreError
from fetcher.killpoints import Point, reached

_LONGEST: Final = 65_536
"""Bytes: more than that is no word of a holder's."""
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_FLOCK: Final = frozenset(
    # The last of a directory on NFS, which has to be open for writing.
    {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, as its file says. ``since`` is ISO 8601."""

    pid: int
    host: str
    since: str
    command: str


class RunLock:
    """Held from ``acquire`` to ``release``. A forked child keeps it too: start workers by spawn."""

    def __init__(self, path: Path, descriptor: int, place: _Place | None) -> None:
        self._path = path
        self._descriptor = descriptor
        self._place = place

    @classmethod
    def acquire(
        cls, manifest: Path, *, command: str, now: float, place: Path | None = None
    ) -> RunLock:
        """``place``: DIR's place for temporary files, to be locked as well. It is made if it is not
        there.

        Raises ``LockedError`` if another run holds the manifest, naming that run's process, or
        works in that DIR; ``ManifestError`` or ``StoreError``.
        """
        path = manifest.with_name(manifest.name + ".lock")
        descriptor = _lock_file(path)
        try:
            held = None if place is None else _Place.lock(place)
            _write(descriptor, path, command, now)
        except BaseException:
            _let_go(path, descriptor)
            raise
        return cls(path, descriptor, held)

    def release(self) -> None:
        if self._place is not None:
            self._place.let_go()
        _let_go(self._path, self._descriptor)


def _lock_file(path: Path) -> int:
    while True:
        descriptor = _open(path)
        try:
            _flock(descriptor, path)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its holder removed the file between our opening and locking it.
        os.close(descriptor)


def _let_go(path: Path, descriptor: int) -> None:
    # Removed while still held: whoever waits on this inode sees that it is no longer the one. But
    # if somebody has taken it away meanwhile, what is there now is another run's.
    if _is_at(descriptor, path):
        path.unlink(missing_ok=True)
    reached(Point.CLOSED)
    os.close(descriptor)


class _Place:
    """A directory that is locked; goes without where its file system has no locks: it need not be
    on a local disk, as the manifest has to be.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def lock(cls, path: Path) -> _Place:
        while True:
            descriptor = _open_directory(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _NO_FLOCK:
                    holder = _holder_of(descriptor)
                    os.close(descriptor)
                    if isinstance(error, BlockingIOError):
                        raise _in_use(path.parent, holder) from error
                    raise
            if _is_at(descriptor, path):
                return cls(path, descriptor)
            # Its holder removed it between our opening and locking it.
            os.close(descriptor)

    def let_go(self) -> None:
        if _is_at(self._descriptor, self._path):
            with suppress(OSError):  # not empty: a later run may use it
                self._path.rmdir()
        os.close(self._descriptor)


def _open_directory(path: Path) -> int:
    try:
        path.mkdir(0o755, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_room(path) from error
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


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, _FLAGS, 0o644)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_room(path) from error
        raise ManifestUnusableError(
            f"Cannot write beside the manifest: {path}: {error.strerror}.",
            hint="Check that the folder exists and is writable. Where it must not be, give "
            "--manifest a copy of the manifest elsewhere.",
        ) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        # Written to, it would be written to under its other name as well.
        os.close(descriptor)
        raise ManifestUnusableError(
            f"{path} is no lock file: it is a pipe or a device, or has another name.",
            hint="Remove it, if no run is on.",
        )
    return descriptor


def _flock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _locked(_read(descriptor), path) from error
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        raise ManifestError(
            f"The file system of {path} knows no locks.",
            hint="Put the manifest on a local disk with --manifest PATH.",
        ) from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _write(descriptor: int, path: Path, command: str, now: float) -> None:
    since = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    holder = Holder(os.getpid(), socket.gethostname(), since, command)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_room(path) from error
        raise


def _read(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, _LONGEST, 0)))
    except (ValueError, TypeError):
        return None  # taken a moment ago, and not written yet


def _locked(holder: Holder | None, path: Path) -> LockedError:
    who = "Another run"
    if holder is not None:
        who = (
            f"Process {holder.pid} on {holder.host}, running since {holder.since} "
            f"({holder.command}),"
        )
    return LockedError(
        f"{who} holds the manifest (lock file {path}).",
        hint="Wait for it, stop it (it loses nothing), or watch it with: fetcher status DIR",
    )


def _no_room(path: Path) -> StoreError:
    return StoreError(
        f"No room left on the disk of {path}.",
        fault_code="disk-full",
        hint="Free some space, then give the same command again.",
    )
