"""What SQLite's errors mean here: the one place where they are translated.

An error of our side that passes, such as a full disk, is a ``StoreError`` with the local fault's
code, as if an image could not have been written. What no waiting mends is a ``ManifestError``. An
error that only a bug explains (a constraint, a misspelt statement) stays what it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fetcher.errors import FetcherError, ManifestError, ManifestUnusableError, StoreError

_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_PRIMARY = 0xFF
"""Extended result codes keep the primary one in their lowest byte."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite says about the manifest at ``path`` in the project's own words."""
    try:
        yield
    except sqlite3.Error as error:
        explained = explain(error, path)
        if explained is None:
            raise
        raise explained from error
    except UnicodeDecodeError as error:  # SQLite quotes what it finds; all that we wrote is UTF-8
        raise _damaged(path, error) from error


def explain(error: sqlite3.Error, path: Path) -> FetcherError | None:
    """The error to raise instead, or ``None`` if it is a bug."""
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:
        return None
    if extended in _NO_ROOM:
        return StoreError(
            f"No room left on the disk of the manifest {path}.",
            fault_code="disk-full",
            hint="Free some space, then give the same command again; nothing settled is lost.",
        )
    match extended & _PRIMARY:
        case sqlite3.SQLITE_IOERR:
            return StoreError(
                f"The disk of the manifest {path} answers with errors ({error}).",
                fault_code="disk-error",
                hint="Check the disk. On a network file system, use --manifest with a local path.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreError(
                f"The manifest {path} cannot be written.",
                fault_code="disk-error",
                hint="Check that its file and folder are writable and the disk is not read-only.",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return ManifestError(
                f"Another program holds the manifest {path} for writing.",
                hint="Close what else has it open (an sqlite3 shell?), then try again.",
            )
        case sqlite3.SQLITE_CORRUPT:
            return _damaged(path, error)
        case sqlite3.SQLITE_NOTADB:
            return ManifestUnusableError(
                f"{path} is not a manifest: it is no SQLite file.",
                hint="Move it away, or name another place with --manifest.",
            )
        case sqlite3.SQLITE_CANTOPEN:
            return ManifestUnusableError(
                f"The manifest {path} cannot be opened.",
                hint="Check that its folder exists and that you may read and write there.",
            )
    return None


def _damaged(path: Path, error: Exception) -> ManifestError:
    return ManifestError(
        f"The manifest {path} is damaged ({error}).",
        hint="Keep a copy, then rescue what is left of it: "
        f'sqlite3 "{path}" .recover | sqlite3 rescued.sqlite',
    )
