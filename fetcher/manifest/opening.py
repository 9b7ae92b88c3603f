"""The manifest opened for writing: how SQLite is set, and what is looked at before it is used."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from fetcher.errors import ManifestError
from fetcher.killpoints import Point, reached
from fetcher.manifest import beside, damage, guard, passages, schema

_PRAGMAS: Final = (
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "busy_timeout = 10000",
    # A commit survives a kill at once, and a power cut from the next checkpoint on: an image whose
    # row is lost that way is on disk, and found there.
    "synchronous = NORMAL",
    # Eight times as much gains nothing measurable beside the system's own cache, and counts as our
    # memory; so would pages mapped with mmap_size.
    "cache_size = -8192",
    "mmap_size = 0",
    "wal_autocheckpoint = 4000",
)
_CACHED_STATEMENTS: Final = 384


def connect(path: Path, *, images_stored: bool = False, made: bool = True) -> sqlite3.Connection:
    """For writing, with the schema brought up to date; the run lock is the caller's. Not ``made``:
    an empty file is refused, and does not become a manifest.
    """
    was_there = damage.look_beside(path)
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=_CACHED_STATEMENTS)
    try:
        connection.execute(beside.BESIDE)  # the last thing to be attached
        guard.bound(connection)
        passages.teach(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        version = schema.version_of(connection, path)  # before anything is changed
        if images_stored and was_there:
            damage.require_more_than_nothing(version, path)
        if not made:
            schema.require_begun(version, path)
        damage.require_all_pages(connection, path)  # the last one may have a part of the schema
        guard.require_own_schema(connection, path, version)
        _log_ahead(connection, path)
        reached(Point.LOG_AHEAD)
        schema.migrate(connection, path)
        with damage.blamed(connection, path):
            damage.look_inside(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_beside(path: Path) -> sqlite3.Connection:
    """For reading, in another thread, what ``connect`` has opened, looked at, and keeps open."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=_CACHED_STATEMENTS)
    try:
        guard.bound(connection)
        for pragma in (*_PRAGMAS, "query_only = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection, path: Path) -> None:
    """Readers and the writer do not wait for each other in WAL mode."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise ManifestError(
            f"The file system of the manifest {path} cannot share memory, as WAL mode needs.",
            hint="Put the manifest on a local disk with --manifest PATH.",
        )
