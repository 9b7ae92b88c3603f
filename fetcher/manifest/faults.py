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
from fetcher.manifest.plausible import ImplausibleError

_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_PRIMARY = 0xFF
"""Extended result codes keep the primary one in their lowest byte."""


_NO_TEXT = "a text in it is not UTF-8"


def damaged(path: Path, detail: str) -> ManifestError:
    return ManifestError(
        f"The manifest {path} is damaged ({detail}).",
        hint=f"Move it away, with its -wal and -shm if they are there, and {start_anew()}\n"
        "What is left in it, as SQL, as far as it can be read: "
        f'sqlite3 "{path}" .recover (or .dump, where sqlite3 was built without that)',
    )


def start_anew() -> str:
    """The way on that is always there."""
    return (
        "give the same command again: images in DIR that match their listed MD5 are kept without "
        "a request, all others are asked for again."
    )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite says about the manifest at ``path`` in the project's own words."""
    try:
        yield
    except UnicodeDecodeError as error:  # the module's, of a message that quotes the manifest
        raise damaged(path, _NO_TEXT) from error
    except ImplausibleError as error:
        raise damaged(path, str(error)) from error
    except sqlite3.Error as error:
        explained = explain(error, path)
        if explained is None:
            raise
        raise explained from error


def explain(error: sqlite3.Error, path: Path) -> FetcherError | None:
    """The error to raise instead, or ``None`` if it is a bug."""
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:
        # The module's own. Of these, one is about what is stored: text that cannot be decoded.
        return damaged(path, _NO_TEXT) if type(error) is sqlite3.OperationalError else None
    if extended in _NO_ROOM:
        return StoreError(
            f"No room left on the disk of the manifest {path}.",
            fault_code="disk-full",
            hint="Free some space, then give the same command again; nothing settled is lost.",
        )
    if extended == sqlite3.SQLITE_READONLY_ROLLBACK:
        return ManifestUnusableError(
            f"A run was killed in the middle of a write to the manifest {path}; its file that ends "
            "in -journal tells how to take that back, which a command that only reads may not do.",
            hint="Give the run's command again, or fetcher verify DIR: whichever writes next puts "
            "the manifest right. Leave the file that ends in -journal where it is.",
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
            return damaged(path, str(error))
        case sqlite3.SQLITE_NOTADB:
            return ManifestUnusableError(
                f"{path} is not a manifest: it is no SQLite file.",
                hint="Name another place with --manifest. If it was a manifest, its beginning is "
                f"lost: move it away, and {start_anew()}",
            )
        case sqlite3.SQLITE_CANTOPEN:
            return ManifestUnusableError(
                f"The manifest {path} cannot be opened.",
                hint="Check that its folder exists and that you may read and write there.",
            )
    return None
