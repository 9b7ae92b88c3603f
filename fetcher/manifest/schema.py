"""The manifest's tables, and how an older one becomes a newer one.

A manifest is known by its ``application_id``; its ``user_version`` counts the migrations that it
has had. A migration and its number are one transaction, so there is no state in between. What is
newer than this program is refused, as is any file that is not a manifest.

Size counts, at nine million rows: digests are the list's own base64; what equals what was expected
(``final_url``, ``actual_size``, ``actual_md5``) is not written twice; a path that follows from
subset and id is kept as its extension alone. The view ``images`` puts all of it back, and is the
contract for anyone's SQL; the tables are not.

Foreign keys are declared, so that the schema explains itself and can be checked, but not enforced
while writing: every id that is written was looked up a moment before.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from fetcher.errors import ManifestUnusableError
from fetcher.killpoints import Point, reached
from fetcher.manifest.migrations import MIGRATIONS

APPLICATION_ID: Final = 0x46_45_54_43
"""``FETC``; what ``file`` shows for an SQLite file's application id."""

ROOM: Final = " " * 7
"""What settling adds to most rows (status and extension), taken up from the start: a row that
outgrew its full page would split it, and so make the table half as large again."""

# STRICT tables (3.37) are the newest feature in use.
_SQLITE_REQUIRED: Final = (3, 37, 0)


def require_sqlite(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> None:
    if version < _SQLITE_REQUIRED:
        have, need = (".".join(map(str, v)) for v in (version, _SQLITE_REQUIRED))
        raise ManifestUnusableError(
            f"This Python comes with SQLite {have}; the manifest needs {need} or newer.",
            hint="Use a Python built with a newer SQLite.",
        )


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's version; 0 for a file that nothing was written to yet."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    if application != APPLICATION_ID or version < 1:
        empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if application != 0 or version != 0 or not empty:
            raise ManifestUnusableError(
                f"{path} is an SQLite file, but not a manifest.",
                hint="Move it away, or name another place with --manifest.",
            )
    if version > len(MIGRATIONS):
        raise ManifestUnusableError(
            f"The manifest {path} was written by a newer fetcher "
            f"(schema {version}; this one knows {len(MIGRATIONS)}).",
            hint="Upgrade fetcher, then give the same command again.",
        )
    return int(version)


def require_begun(version: int, path: Path) -> None:
    """For whoever makes no manifest: raises ``ManifestUnusableError`` for a file without tables."""
    if version == 0:
        raise ManifestUnusableError(
            f"The manifest {path} is empty: the run that made it was stopped at once.",
            hint="Give its command again.",
        )


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    migrations: tuple[tuple[str, ...], ...] = MIGRATIONS,
) -> None:
    """Bring the schema up to date, one transaction for each version."""
    for version in range(version_of(connection, path), len(migrations)):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in migrations[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
            reached(Point.MIGRATING)
        reached(Point.MIGRATED)
