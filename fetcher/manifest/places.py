"""Where SQLite is let loose: only on files that are what they seem.

SQLite follows a link in place of the database, and waits at a pipe. A manifest lies in a directory
that is handed around, so its files are looked at before they are opened. (What somebody puts there
in between, they could as well have written into the manifest.)
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from fetcher.errors import ManifestUnusableError

_FILES: Final = ("", "-wal", "-shm", "-journal")
"""Suffixes: the database and what SQLite keeps beside it."""


def require_plain_files(path: Path) -> None:
    """Raises ``ManifestUnusableError`` if something else is in the place of one of the files."""
    for suffix in _FILES:
        place = path.with_name(path.name + suffix)
        try:
            found = place.lstat()
        except OSError:
            continue  # not there; or SQLite finds the words for it
        if not stat.S_ISREG(found.st_mode):
            raise ManifestUnusableError(
                f"{place} is {_kind(found.st_mode)}, where a file of the manifest belongs.",
                hint="Remove it, or name the manifest's own place with --manifest.",
            )


def require_manifest(path: Path) -> None:
    """Raises ``ManifestUnusableError`` if there is none: only a run makes one."""
    if not path.is_file():
        raise ManifestUnusableError(
            f"There is no manifest {path}.",
            hint="Name the folder that fetcher mirror wrote to, or the file with --manifest.",
        )


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe, a socket or a device"
