"""How much room is left, without asking for every file.

The file system is asked once a batch; in between what was written is subtracted. Only when that
estimate falls below the limit is the file system asked again, so that room that was made meanwhile
counts, and that a refusal never rests on a guess.
"""

from __future__ import annotations

from fetcher.store.system import System
from fetcher.store.trouble import too_little_room


class Room:
    """``least``: bytes that must stay free, as an unprivileged user sees it. 0: never asks."""

    def __init__(self, root: str, least: int, system: System) -> None:
        self._root = root
        self._least = least
        self._system = system
        self._free = 0

    def look(self) -> None:
        """Ask the file system. Raises ``OSError``."""
        if self._least:
            found = self._system.statvfs(self._root)
            self._free = found.f_bavail * found.f_frsize

    def take(self, size: int) -> None:
        """``size`` bytes are about to be written. Raises ``StoreError`` where they must not be.

        Threads that meet here may lose a subtraction; the next look makes up for it.
        """
        if not self._least:
            return
        if self._free - size < self._least:
            self.look()
            if self._free - size < self._least:
                raise too_little_room(self._root, self._free, self._least)
        self._free -= size
