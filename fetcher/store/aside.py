"""Where a repair puts what is broken: ``mismatched/.damaged/{check}/``, under the path it had.

No subset's name begins with a dot (``policy.paths``), so nothing that a run stores can meet it.
Nothing is deleted and nothing replaced: a name that is taken is not moved onto.
"""

from __future__ import annotations

import errno
import os
import stat
from itertools import chain, count
from typing import Final

from fetcher.policy.findings import ASIDE
from fetcher.store import taking_out
from fetcher.store.directories import Directories
from fetcher.store.names import check_below
from fetcher.store.system import System
from fetcher.store.trouble import store_error

FOLDER: Final = ASIDE

_CHANGE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 20
"""Bytes."""


class Aside:
    """``number`` is the check's: each has a folder of its own. Raises ``StoreError``; and, for a
    path that would leave DIR, ``ValueError``.
    """

    def __init__(self, root: str, number: int, system: System | None = None) -> None:
        self._root = root
        self._folder = f"{FOLDER}/{number}"
        self._system = system or System()
        self._directories = Directories(root, self._system)

    def put(self, path: str) -> str | None:
        """Move what is at ``path`` away, or the first thing on the way to it that is no folder; a
        link is moved itself. Where it is now, relative to DIR; ``None`` if there was nothing.
        """
        check_below(path)
        try:
            broken = self._first_no_folder(path)
            if broken is None:
                return None
            to = self._free(f"{self._folder}/{broken}")
            self._move(broken, to)
        except OSError as error:
            raise store_error(error, f"{self._root}/{path}") from error
        return to

    def take_out(self, path: str, slot: tuple[int, int]) -> str | None:
        """Copy the image at ``path`` in a shard away, ``slot`` being its first byte and its size,
        and have readers pass over what is left of it there. The shard's other images stay as they
        are. Where it is now; ``None`` if there was nothing.
        """
        check_below(path)
        shard, _, member = path.rpartition("/")
        try:
            if not self._is_file(shard):
                return self.put(shard)
            descriptor = self._system.open(f"{self._root}/{shard}", _CHANGE)
            try:
                to = self._copy(descriptor, slot, path)
                taking_out.take_out(descriptor, member, *slot, self._system)
                self._system.fsync(descriptor)
            finally:
                self._system.close(descriptor)
        except OSError as error:
            raise store_error(error, f"{self._root}/{path}") from error
        return to

    def give_back(self, path: str, to: str) -> bool:
        """Move the file ``path`` to the name ``to``, unless that is taken."""
        check_below(path)
        check_below(to)
        try:
            self._move(path, to)
        except FileExistsError:
            return False
        except OSError as error:
            raise store_error(error, f"{self._root}/{path}") from error
        return True

    def _first_no_folder(self, path: str) -> str | None:
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            at = "/".join(parts[:length])
            try:
                mode = self._system.lstat(f"{self._root}/{at}").st_mode
            except FileNotFoundError:
                return None
            if length == len(parts) or not stat.S_ISDIR(mode):
                return at
        return None

    def _free(self, to: str) -> str:
        """``to``, or the same with a number behind it."""
        names = chain([to], (f"{to}.{n}" for n in count(2)))
        return next(name for name in names if not self._is_there(name))

    def _move(self, path: str, to: str) -> None:
        """Only this process writes below DIR, as it holds the lock: looking first is enough."""
        self._directories.enter(to.rpartition("/")[0])
        target = f"{self._root}/{to}"
        if self._is_there(to):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        self._system.rename(f"{self._root}/{path}", target)

    def _copy(self, shard: int, slot: tuple[int, int], path: str) -> str | None:
        offset, left = slot
        to = self._free(f"{self._folder}/{path}")
        self._directories.enter(to.rpartition("/")[0])
        copy = self._system.open(f"{self._root}/{to}", _NEW, 0o644)
        try:
            copied = 0
            while left and (chunk := os.pread(shard, min(left, _CHUNK), offset)):
                copied += len(chunk)
                offset, left = offset + len(chunk), left - len(chunk)
                while chunk:
                    chunk = chunk[self._system.write(copy, chunk) :]
            self._system.fsync(copy)
        finally:
            self._system.close(copy)
        if not copied:
            self._system.unlink(f"{self._root}/{to}")
        return to if copied else None

    def _is_file(self, path: str) -> bool:
        """And no link on the way to it."""
        parts = path.split("/")
        try:
            modes = [
                self._system.lstat(f"{self._root}/{'/'.join(parts[: n + 1])}").st_mode
                for n in range(len(parts))
            ]
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(modes[-1]) and all(map(stat.S_ISDIR, modes[:-1]))

    def _is_there(self, path: str) -> bool:
        try:
            self._system.lstat(f"{self._root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True
