"""Damage: what can be told of a manifest before it is worked with, and what is told when it is met.

SQLite survives a kill by itself. What it cannot survive is a disk that lost or changed what was
written, and a hand that moved one file of the three. Some of that it passes over in silence: it
takes an empty file for a new one, and throws away a log whose manifest is not there. So at every
opening, at a cost that does not grow with the manifest:

    a log without its manifest, or beside an empty one     before SQLite comes near it
    no tables, where images are stored already             cut off
    shared memory without its log, after a killed run      what the log held is missing
    a file that is shorter than its pages                  cut off
    a table, index, view or column that is not there
    rows accepted, images counted, images numbered         law 1, from three places

After a run that did not end, a manifest of up to ``CHECKED`` bytes is also walked through by
``PRAGMA quick_check`` (about 300 MiB/s). Of a larger one, and after a clean end, damage is told
when it is met; so is an error that makes no sense, when a check finds the manifest unsound. Bytes
of a text that changed into other valid text, nobody can tell: SQLite keeps no sums.

Nothing here repairs anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from fetcher.errors import ManifestError
from fetcher.manifest import passages, runs
from fetcher.manifest.faults import damaged, start_anew, translated
from fetcher.manifest.migrations import MIGRATIONS

CHECKED: Final = 256 << 20
"""Bytes: below a second."""
SEARCHED: Final = 1 << 30
"""Bytes up to which a manifest is searched for the cause of an error that makes no sense: some ten
seconds."""

_SENSELESS: Final = (sqlite3.Error, TypeError, ValueError, LookupError)
"""What comes of values that cannot be where they were found, unless it comes of a bug."""
_TEXTS: Final = "SELECT name, sql FROM main.sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
_NO_JSON: Final = "SELECT 1 FROM details WHERE NOT json_valid(extra) LIMIT 1"
_LAW_1: Final = (
    "SELECT (SELECT coalesce(sum(accepted), 0) FROM sources), "
    "(SELECT coalesce(sum(n), 0) FROM tallies), (SELECT coalesce(max(asset_id), 0) FROM assets)"
)


def look_beside(path: Path) -> bool:
    """Look at the files before SQLite opens them. Whether there is a manifest, be it an empty one.
    Raises ``ManifestError``.
    """
    log, shared = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    size, logged = _size(path), _size(log)
    if not size and logged:
        wrong = "is gone" if size is None else "is empty"
        raise ManifestError(
            f"The manifest {path} {wrong}, but its log {log} is still there.",
            hint=f"Put the manifest back beside it; or move the log away, too, and {start_anew()}",
        )
    if size and logged is None and shared.exists() and not _ended_cleanly(path):
        raise ManifestError(
            f"The log of the manifest {path} (-wal) was taken away after a killed run; its shared "
            "memory (-shm) is still there.",
            hint="Put the log back. If it is lost, remove the file that ends in -shm and give "
            "the same command again: what the log held is found in DIR, or asked for again.",
        )
    return size is not None


def require_more_than_nothing(version: int, path: Path) -> None:
    """For a DIR that holds images already: a manifest that is there, and has no tables, is what is
    left of one. (Where there are none yet, it is what a run leaves that is killed at its very
    beginning.) Raises ``ManifestError``.
    """
    if version == 0:
        raise ManifestError(
            f"The manifest {path} is empty, though images are stored already: it was cut off.",
            hint=f"Put a copy of it back; or move it away, and {start_anew()}",
        )


def look_inside(connection: sqlite3.Connection, path: Path) -> None:
    """What costs the same whatever the manifest's size; and if the last run did not end, and the
    manifest is not too large for it, all of its pages. Raises ``ManifestError``.
    """
    accepted, counted, numbered = connection.execute(_LAW_1).fetchone()
    if not accepted == counted == numbered:
        raise damaged(
            path, f"{accepted} rows accepted, {counted} images counted, {numbered} numbered"
        )
    if runs.last_ended_cleanly(connection, None):
        return
    if (_size(path) or 0) <= CHECKED:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise damaged(path, _first_line(result))


def require_all_pages(connection: sqlite3.Connection, path: Path) -> None:
    """SQLite looks at its length itself, but for the last page. Beside a log, what is missing may
    be in there, and is told when it is not and is met. Raises ``ManifestError``.
    """
    if _size(path.with_name(path.name + "-wal")):
        return
    pages, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    there = _size(path) or 0
    if there < pages * size:
        raise damaged(path, f"cut off: {there:,} of {pages * size:,} bytes are there")


@contextmanager
def blamed(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """As ``faults.translated``; and an error that only a bug explains, or damage, is told to be
    damage if a check of the manifest finds some.
    """
    try:
        with translated(path):
            yield
    except _SENSELESS as error:
        if (found := _search(connection, path)) is not None:
            raise damaged(path, found) from error
        raise


def _ended_cleanly(path: Path) -> bool:
    """As the manifest says without its log; read so that SQLite makes and removes nothing. If it
    cannot be read, that is for its opening to tell.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return runs.last_ended_cleanly(connection, None)
    except sqlite3.Error:
        return True


def _search(connection: sqlite3.Connection, path: Path) -> str | None:
    """What is wrong with the manifest, as far as that can be found in some seconds."""
    if (_size(path) or 0) > SEARCHED:
        return None
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            return _first_line(found)
        if altered := _expected(_TEXTS) - frozenset(connection.execute(_TEXTS)):
            return f"{min(altered)[0]} is not as it was made"
        if connection.execute(_NO_JSON).fetchone() is not None:
            return "a text in it is not JSON"
        if connection.execute(passages.WRONG).fetchone() is not None:
            return "a text in it has not as many lines as it should have"
    except sqlite3.DatabaseError as error:
        return str(error)
    return None


@cache
def _expected(question: str) -> frozenset[tuple[str, ...]]:
    """The answer that a new manifest gives."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for statement in chain.from_iterable(MIGRATIONS):
            model.execute(statement)
        return frozenset(model.execute(question))


def _first_line(found: str) -> str:
    """``integrity_check`` may put a line before the first finding that names the database."""
    lines = [line for line in found.splitlines() if not line.startswith("***")]
    return lines[0] if lines else found


def _size(path: Path) -> int | None:
    """``None`` if it is not there; a single byte counts as none, as it does for SQLite."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    return size if size > 1 else 0
