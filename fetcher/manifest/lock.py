"""One run at a time for each manifest, and for each DIR.

The lock is ``flock`` on a file beside the manifest, so it ends with the process that holds it,
however that ends; what the file says is only for people. It is not taken on the manifest itself:
a POSIX process that closes any descriptor of a file drops all of its ``fcntl`` locks there, and
those are SQLite's own. For the same reason nothing in this project opens a manifest that may be in
use but through SQLite.

DIR has a lock of its own, as a manifest may be anywhere, and may be taken away: two runs in one DIR
number their temporary files alike, and one would name what the other is still writing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fetcher.errors import LockedError, ManifestError, ManifestUnusableError, StoreError
from fetcher.killpoints import Point, reached

PLACE_LOCK: Final = ".partial.lock"
"""In DIR, named after the place that it is about."""

_LONGEST: Final = 65_536
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_FLOCK: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, as its file says. ``since`` is ISO 8601."""

    pid: int
    host: str
    since: str
    command: str


@dataclass(frozen=True, slots=True)
class _Held:
    """What a lock is for, in words. ``does``: what its holder does."""

    does: str
    beside: str
    hint: str


_MANIFEST: Final = _Held(
    "holds the manifest",
    "beside the manifest",
    "Wait for it, stop it (it loses nothing), or watch it with: fetcher status DIR",
)
_PLACE: Final = _Held(
    "works in DIR",
    "to DIR",
    "Wait for it, or stop it (it loses nothing). Two at a time want a DIR each.",
)


class _NoLocksError(ManifestError):
    """The file system has none."""


class RunLock:
    """Held from ``acquire`` to ``release``. A forked child keeps it too: start workers by spawn."""

    def __init__(self, *locks: _FileLock) -> None:
        self._locks = locks

    @classmethod
    def acquire(
        cls, manifest: Path, *, command: str, now: float, place: Path | None = None
    ) -> RunLock:
        """``place``: the DIR to be locked as well, unless its file system has no locks.

        Raises ``LockedError`` if another run holds one of them, naming that run's process;
        ``ManifestError`` or ``StoreError``.
        """
        path = manifest.with_name(manifest.name + ".lock")
        lock = _FileLock.take(path, command, now, _MANIFEST)
        if place is None:
            return cls(lock)
        try:
            return cls(_FileLock.take(place / PLACE_LOCK, command, now, _PLACE), lock)
        except _NoLocksError:
            return cls(lock)  # DIR may be on no local disk, unlike the manifest
        except BaseException:
            lock.let_go()
            raise

    def release(self) -> None:
        for lock in self._locks:
            lock.let_go()


class _FileLock:
    """One of them."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, command: str, now: float, held: _Held) -> _FileLock:
        while True:
            descriptor = _open(path, held)
            try:
                _flock(descriptor, path, held)
                if _is_at(descriptor, path):
                    _write(descriptor, path, command, now)
                    return cls(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            # Its holder removed the file between our opening and locking it.
            os.close(descriptor)

    def let_go(self) -> None:
        # Removed while still held: whoever waits on this inode sees that it is no longer the one.
        # But if somebody has taken it away meanwhile, what is there now is another run's.
        if _is_at(self._descriptor, self._path):
            self._path.unlink(missing_ok=True)
        reached(Point.CLOSED)
        os.close(self._descriptor)


def _open(path: Path, held: _Held) -> int:
    try:
        descriptor = os.open(path, _FLAGS, 0o644)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_room(path) from error
        raise ManifestUnusableError(
            f"Cannot write {held.beside}: {path}: {error.strerror}.",
            hint="Check that the folder exists and is writable.",
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


def _flock(descriptor: int, path: Path, held: _Held) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _locked(_read(descriptor), path, held) from error
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        raise _NoLocksError(
            f"The file system of {path} knows no locks.",
            hint="Put the manifest on a local disk with --manifest PATH.",
        ) from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except FileNotFoundError:
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


def _locked(holder: Holder | None, path: Path, held: _Held) -> LockedError:
    who = "Another run"
    if holder is not None:
        who = (
            f"Process {holder.pid} on {holder.host}, running since {holder.since} "
            f"({holder.command}),"
        )
    return LockedError(
        f"{who} {held.does} (lock file {path}).",
        hint=held.hint,
    )


def _no_room(path: Path) -> StoreError:
    return StoreError(
        f"No room left on the disk of {path}.",
        fault_code="disk-full",
        hint="Free some space, then give the same command again.",
    )
