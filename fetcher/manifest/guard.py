"""A manifest is data that others may have made: what it may make this program do is bounded.

SQLite compiles the schema that it finds in the file. A trigger, an altered view or an index over an
expression is somebody else's program, which would run with our rights whenever we write or read.
So whatever stands in the schema for one of our names has to be, to the letter, what the migrations
make; and nothing else may hang on our tables. (Tables and views of one's own are left alone:
nothing here ever touches them.)
"""

from __future__ import annotations

import re
import sqlite3
import sys
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from fetcher.errors import ManifestUnusableError
from fetcher.manifest.migrations import MIGRATIONS
from fetcher.manifest.states import STATE_IDS

LONGEST: Final = 256 << 20
"""Bytes of one value or row."""
# An index over columns runs nobody's code, and helps those who ask in SQL of their own.
_PLAIN_INDEX: Final = re.compile(r"CREATE INDEX \w+ ON \w+ ?\(\w+(?:, ?\w+)*\)")
_LOOKED_AT: Final = 10_000
"""Entries of a schema; ours has some thirty."""

_UNKNOWN_STATE: Final = (
    "SELECT 1 FROM tallies WHERE state NOT IN (SELECT id FROM states) "
    "OR typeof(state) <> 'integer' LIMIT 1"
)


class _Entry(NamedTuple):
    kind: str
    name: str
    of: str
    """The table; its own name for a table or view."""
    sql: str


def bound(connection: sqlite3.Connection) -> None:
    """No other files, no extensions, no cascades of triggers, no giant values."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, False)


def require_own_schema(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Raises ``ManifestUnusableError`` unless the schema is that of ``version``."""
    if version == 0:  # nothing was written to it yet
        return
    expected = _expected(MIGRATIONS[:version])
    found = _entries(connection)
    ours = {entry.name for entry in expected}
    for entry in sorted(expected - found):
        raise _refused(path, f"its {entry.kind} {entry.name} is missing, or is not the program's")
    for entry in sorted(found - expected):
        if entry.kind == "trigger" or (entry.of in ours and not _PLAIN_INDEX.fullmatch(entry.sql)):
            raise _refused(
                path, f"it has the {entry.kind} {entry.name}, which is not the program's"
            )
    states = dict(connection.execute("SELECT name, id FROM states LIMIT 100").fetchall())
    if states != {str(state): number for state, number in STATE_IDS.items()}:
        raise _refused(path, "its states are not the program's")
    if connection.execute(_UNKNOWN_STATE).fetchone() is not None:
        raise _refused(path, "it counts states that there are not")


@lru_cache(maxsize=16)
def _expected(migrations: tuple[tuple[str, ...], ...]) -> frozenset[_Entry]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in migrations:
            for statement in migration:
                connection.execute(statement)
        return _entries(connection)


def _entries(connection: sqlite3.Connection) -> frozenset[_Entry]:
    # As bytes: what is no text is no reason to fail. The order decides nothing.
    rows = connection.execute(
        "SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(tbl_name AS BLOB), CAST(sql AS BLOB) "
        "FROM sqlite_schema LIMIT ?",
        (_LOOKED_AT,),
    )
    entries = (_Entry(*((value or b"").decode(errors="replace") for value in row)) for row in rows)
    return frozenset(
        # How statements are kept has changed in white space and quotes between versions of SQLite.
        entry._replace(sql=" ".join(entry.sql.replace('"', "").split()))
        for entry in entries
        if not entry.name.startswith("sqlite_stat")
    )


def _refused(path: Path, why: str) -> ManifestUnusableError:
    return ManifestUnusableError(
        f"The manifest {path} was changed by something else: {why}.",
        hint="What was added can be dropped in an sqlite3 shell. If you did not add it, do not "
        "trust this file: use a copy that you know, or begin anew.",
    )
