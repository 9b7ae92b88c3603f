"""Whether the manifest is still the file at its path, while it is open.

A file that is moved or removed can be written to for as long as it is open, and nobody would know
that all of it goes where no later run looks: a mirror of weeks would end with exit code 0, and
without a manifest. So before each write the path is looked at, which costs a system call.

SQLite finds a manifest's log by its name. Beside another manifest that has been put in this one's
place, that log is not ours to remove.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from fetcher.errors import ManifestError
from fetcher.manifest.faults import start_anew


class Whereabouts:
    """Of the manifest that has just been opened at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = _file_at(path)

    def require(self) -> None:
        """Raises ``ManifestError`` if something else is there now, or nothing."""
        if self._has_moved():
            raise ManifestError(
                f"The manifest {self._path} was moved, removed or replaced while it was in use.",
                hint="Put it back where it was, then give the same command again. If it is gone, "
                f"{start_anew()}",
            )

    def leave_one_file(self, connection: sqlite3.Connection) -> None:
        """Fold the log into the manifest, where nobody else looks on. A courtesy: the manifest is
        whole either way.
        """
        # The latter also removes what goes by the log's name.
        fold = "wal_checkpoint = TRUNCATE" if self._has_moved() else "journal_mode = DELETE"
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute(f"PRAGMA {fold}")

    def _has_moved(self) -> bool:
        there = _file_at(self._path)
        return there is None or there != self._opened


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
