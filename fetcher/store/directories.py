"""The directories below DIR: made when first needed, never followed out of it.

A link in place of a directory would lead files to where nobody allowed them. Each directory is
looked at once, at its first use in this process, and remembered; after that a file costs no more
calls for it. (Somebody who may change DIR while a run is on can do worse than that, so there is no
second look.)

A directory's own name must reach the disk too, and so must its parents'. Whether they did is not
known of a directory that was there already: an earlier run may have been killed before its sync.
So the parents are synced with the first batch that uses a directory, and then left alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import Final

from fetcher.store.system import System

MEMORY: Final = 65_536
"""Directories that are remembered; beyond that all are looked at anew. Open Images has 24,576."""

_MODE: Final = 0o755


class Directories:
    """Paths here are relative to DIR, with forward slashes; DIR itself is the empty one.

    Safe to use from several threads: looking twice does no harm, and each step on a set is one.
    """

    def __init__(self, root: str, system: System) -> None:
        self._root = root
        self._system = system
        self._entered: set[str] = {""}
        self._anchored: set[str] = {""}

    def enter(self, directory: str) -> None:
        """Make sure that ``directory`` is one. Raises ``OSError``; ENOTDIR if it is a link."""
        if directory in self._entered:
            return
        self.enter(_parent(directory))
        path = f"{self._root}/{directory}"
        try:
            self._system.mkdir(path, _MODE)
        except FileExistsError:
            if not stat.S_ISDIR(self._system.lstat(path).st_mode):
                raise _not_a_directory(path) from None
        self._remember(directory)

    def exists(self, directory: str) -> bool:
        """Whether ``directory`` is there, made of directories all the way. Makes nothing."""
        if directory in self._entered:
            return True
        if not self.exists(_parent(directory)):
            return False
        try:
            found = self._system.lstat(f"{self._root}/{directory}")
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            return False
        self._remember(directory)
        return True

    def forget(self, directory: str) -> None:
        """Somebody removed it, or one above it."""
        while directory:
            self._entered.discard(directory)
            self._anchored.discard(directory)
            directory = _parent(directory)

    def to_sync(self, directories: Iterable[str]) -> list[str]:
        """``directories`` and those of their parents that are to be synced for them, as paths."""
        wanted = set(directories)
        for directory in tuple(wanted):
            at = directory
            while at not in self._anchored:
                at = _parent(at)
                wanted.add(at)
        return [f"{self._root}/{directory}" if directory else self._root for directory in wanted]

    def synced(self, directories: Iterable[str]) -> None:
        """What ``to_sync`` named for ``directories`` is on the disk."""
        for directory in directories:
            at = directory
            while at not in self._anchored:
                self._anchored.add(at)
                at = _parent(at)

    @property
    def remembered(self) -> int:
        return len(self._entered) - 1  # DIR itself is not counted

    def _remember(self, directory: str) -> None:
        if self.remembered >= MEMORY:
            self._entered = {""}
            self._anchored = {""}
        self._entered.add(directory)


def _parent(directory: str) -> str:
    return directory.rpartition("/")[0]


def _not_a_directory(path: str) -> NotADirectoryError:
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
