"""One run at a time for each manifest, and for each DIR (``directorylock``).

The lock is ``flock`` on a file beside the manifest, so it ends with the process that holds it,
however that ends; what the file says is only for people. It is not taken on the manifest itself:
a POSIX process that closes any descriptor of a file drops all of its ``fcntl`` locks there, and
those are SQLite's own. For the same reason nothing in this project opens a manifest that may be in
use but through SQLite.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from fetcher.errors import LockedError, ManifestError, ManifestUnusableError
from fetcher.killpoints import Point, reached
from fetcher.manifest.directorylock import NO_FLOCK, DirectoryLock, is_at, no_room

_LONGEST: Final = 65_536
"""Bytes: more than that is no word of a holder's."""
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Holder(Struct, frozen=True):
    """Who holds a lock, as its file says. ``since`` is ISO 8601."""

    pid: int
    host: str
    since: str
    command: str


class RunLock:
    """Held from ``acquire`` to ``release``. A forked child keeps it too: start workers by spawn."""

    def __init__(self, path: Path, descriptor: int, place: DirectoryLock | None) -> None:
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
            held = None if place is None else DirectoryLock.take(place)
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
            if is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Its holder removed the file between our opening and locking it.
        os.close(descriptor)


def _let_go(path: Path, descriptor: int) -> None:
    # Removed while still held: whoever waits on this inode sees that it is no longer the one. But
    # if somebody has taken it away meanwhile, what is there now is another run's.
    if is_at(descriptor, path):
        path.unlink(missing_ok=True)
    reached(Point.CLOSED)
    os.close(descriptor)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, _FLAGS, 0o644)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise no_room(path) from error
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
        if error.errno not in NO_FLOCK:
            raise
        raise ManifestError(
            f"The file system of {path} knows no locks.",
            hint="Put the manifest on a local disk with --manifest PATH.",
        ) from error


def _write(descriptor: int, path: Path, command: str, now: float) -> None:
    since = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    holder = Holder(os.getpid(), socket.gethostname(), since, command)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise no_room(path) from error
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
