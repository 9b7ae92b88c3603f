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

# ruff: noqa: S608 - every statement is put together from constants of this package

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from fetcher.errors import ManifestUnusableError
from fetcher.killpoints import Point, reached
from fetcher.model import State

APPLICATION_ID: Final = 0x46_45_54_43
"""``FETC``; what ``file`` shows for an SQLite file's application id."""

STATE_IDS: Final[dict[State, int]] = {
    State.PENDING: 0,
    State.VERIFIED: 1,
    State.UNVERIFIED: 2,
    State.ALIVE: 3,
    State.MISMATCHED: 4,
    State.GONE: 5,
    State.DENIED: 6,
    State.FAILED: 7,
    State.INVALID: 8,
}
STATES: Final[dict[int, State]] = {number: state for state, number in STATE_IDS.items()}

ROOM: Final = " " * 7
"""What settling adds to most rows (status and extension), taken up from the start: a row that
outgrew its full page would split it, and so make the table half as large again."""

PENDING: Final = STATE_IDS[State.PENDING]
VERIFIED: Final = STATE_IDS[State.VERIFIED]
FOUND: Final = tuple(STATE_IDS[s] for s in (State.VERIFIED, State.UNVERIFIED, State.ALIVE))
"""States of images that are there; without a path, nobody has kept them."""

# STRICT tables (3.37) are the newest feature in use.
_SQLITE_REQUIRED: Final = (3, 37, 0)

_V1: Final = (
    # Names. Code 0 is "no code" and has no row.
    "CREATE TABLE states (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE codes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE subsets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE hosts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE layouts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE texts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "INSERT INTO states (id, name) VALUES "
    + ", ".join(f"({number}, '{state}')" for state, number in STATE_IDS.items()),
    # Lists that were read to their end, and the tables of rows in them: files, or members of an
    # archive. ``accepted`` counts the assets that are a row of the source.
    """CREATE TABLE lists (
        path TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sources (
        id INTEGER PRIMARY KEY,
        list_path TEXT NOT NULL,
        member TEXT,
        fingerprint TEXT NOT NULL,
        layout_id INTEGER NOT NULL REFERENCES layouts (id),
        import_id INTEGER NOT NULL REFERENCES imports (id),
        through_line INTEGER NOT NULL DEFAULT 0,
        complete INTEGER NOT NULL DEFAULT 0,
        accepted INTEGER NOT NULL DEFAULT 0,
        duplicate INTEGER NOT NULL DEFAULT 0,
        rejected INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE UNIQUE INDEX source_by_name ON sources (list_path, coalesce(member, ''))",
    """CREATE TABLE imports (
        id INTEGER PRIMARY KEY,
        first_asset_id INTEGER NOT NULL
    ) STRICT""",
    # Assets of earlier imports that the current one has met again; empty between imports.
    """CREATE TABLE seen (
        asset_id INTEGER PRIMARY KEY REFERENCES assets (asset_id),
        source_id INTEGER NOT NULL REFERENCES sources (id),
        line INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE rejected_rows (
        source_id INTEGER NOT NULL REFERENCES sources (id),
        line INTEGER NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (source_id, line)
    ) STRICT, WITHOUT ROWID""",
    # Assets. ``attempts`` counts since the asset was last opened, ``attempts_ever`` for ever.
    # ``path`` is an extension where it follows from subset and id (``fetcher.manifest.packing``).
    """CREATE TABLE assets (
        asset_id INTEGER PRIMARY KEY,
        image_id TEXT NOT NULL,
        subset_id INTEGER NOT NULL REFERENCES subsets (id),
        host_id INTEGER NOT NULL REFERENCES hosts (id),
        url TEXT NOT NULL,
        expected_size INTEGER,
        expected_md5 TEXT,
        state INTEGER NOT NULL REFERENCES states (id),
        code INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        attempts_ever INTEGER NOT NULL DEFAULT 0,
        http_status INTEGER,
        path TEXT,
        final_url TEXT,
        actual_size INTEGER,
        actual_md5 TEXT,
        room TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE UNIQUE INDEX asset_by_image ON assets (image_id)",
    f"CREATE INDEX pending_by_host ON assets (host_id, asset_id) WHERE state = {PENDING}",
    # ``layouts`` names the columns that ``extra`` has (``fetcher.manifest.extras``).
    """CREATE TABLE details (
        asset_id INTEGER PRIMARY KEY REFERENCES assets (asset_id),
        source_id INTEGER NOT NULL REFERENCES sources (id),
        line INTEGER NOT NULL,
        layout_id INTEGER NOT NULL REFERENCES layouts (id),
        extra TEXT NOT NULL
    ) STRICT""",
    # History: an asset's attempts lie together, numbered from 1 over all runs.
    """CREATE TABLE attempts (
        asset_id INTEGER NOT NULL REFERENCES assets (asset_id),
        n INTEGER NOT NULL,
        run_id INTEGER NOT NULL REFERENCES runs (id),
        attempt INTEGER NOT NULL,
        started_ms INTEGER NOT NULL,
        elapsed_ms INTEGER NOT NULL,
        code INTEGER NOT NULL,
        http_status INTEGER,
        received INTEGER NOT NULL,
        detail TEXT,
        PRIMARY KEY (asset_id, n)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        started_at REAL NOT NULL,
        ended_at REAL,
        command TEXT NOT NULL,
        version TEXT NOT NULL,
        pid INTEGER NOT NULL,
        exit_code INTEGER,
        reason TEXT,
        config TEXT NOT NULL
    ) STRICT""",
    # Kept in the transaction of what they count.
    """CREATE TABLE tallies (
        subset_id INTEGER NOT NULL REFERENCES subsets (id),
        state INTEGER NOT NULL REFERENCES states (id),
        code INTEGER NOT NULL,
        n INTEGER NOT NULL,
        expected_bytes INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL,
        PRIMARY KEY (subset_id, state, code)
    ) STRICT, WITHOUT ROWID""",
    f"""CREATE VIEW images AS
    SELECT
        a.image_id,
        s.name AS subset,
        a.url,
        a.expected_size,
        a.expected_md5,
        (SELECT name FROM states WHERE id = a.state) AS state,
        (SELECT name FROM codes WHERE id = a.code) AS code,
        a.http_status,
        CASE
            WHEN a.final_url IS NOT NULL THEN a.final_url
            WHEN a.http_status IS NOT NULL THEN a.url
        END AS final_url,
        CASE
            WHEN a.actual_size IS NULL AND a.state = {VERIFIED} THEN a.expected_size
            ELSE a.actual_size
        END AS actual_size,
        CASE
            WHEN a.actual_md5 IS NULL AND a.state = {VERIFIED} THEN a.expected_md5
            ELSE a.actual_md5
        END AS actual_md5,
        a.attempts,
        CASE substr(a.path, 1, 1)
            WHEN '.' THEN 'images/' || iif(s.name = '', '', s.name || '/')
                || substr(a.image_id, 1, 3) || '/' || a.image_id || a.path
            WHEN '!' THEN 'mismatched/' || iif(s.name = '', '', s.name || '/')
                || substr(a.image_id, 1, 3) || '/' || a.image_id || substr(a.path, 2)
            ELSE a.path
        END AS path,
        strftime('%Y-%m-%dT%H:%M:%SZ', a.updated_at, 'unixepoch') AS updated_at
    FROM assets AS a CROSS JOIN subsets AS s ON s.id = a.subset_id""",
)

# What robots.txt files said to the product ``token`` (``fetcher.policy.robots``).
_ROBOTS: Final = (
    """CREATE TABLE robots (
        origin TEXT PRIMARY KEY,
        token TEXT NOT NULL,
        fetched_at REAL NOT NULL,
        rules TEXT NOT NULL
    ) STRICT""",
)

# A check of stored files goes over the assets in the order of their ids (those whose id leaves
# ``part`` when divided by ``parts``), and then over the folders. So where it stands says what it
# has covered, and nothing is written for each of nine million images.
_CHECKS: Final = (
    """CREATE TABLE checks (
        id INTEGER PRIMARY KEY,
        started_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        ended_at REAL,
        part INTEGER NOT NULL,
        parts INTEGER NOT NULL,
        repair INTEGER NOT NULL,
        through_asset INTEGER NOT NULL DEFAULT 0,
        through_folder TEXT,
        files INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        entries INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    # ``asset_id`` is of the image whose place ``path`` is; ``moved_to`` is where a repair put it.
    """CREATE TABLE findings (
        check_id INTEGER NOT NULL REFERENCES checks (id),
        path TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        asset_id INTEGER REFERENCES assets (asset_id),
        observed_size INTEGER,
        observed_md5 TEXT,
        recorded_md5 TEXT,
        moved_to TEXT,
        PRIMARY KEY (check_id, path)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX finding_by_asset ON findings (check_id, asset_id)",
    "CREATE INDEX finding_by_recorded ON findings (check_id, recorded_md5)",
    "CREATE INDEX finding_by_folded ON findings (check_id, lower(path))",
    # The last check that covered an image as it is now.
    """CREATE VIEW last_checks AS
    SELECT
        a.image_id,
        c.id AS check_id,
        strftime('%Y-%m-%dT%H:%M:%SZ', c.updated_at, 'unixepoch') AS checked_by
    FROM assets AS a LEFT JOIN checks AS c ON c.id = (
        SELECT max(id) FROM checks
        WHERE a.asset_id <= through_asset AND a.asset_id % parts = part
            AND a.updated_at <= started_at
    )
    WHERE a.path IS NOT NULL""",
)

_PAST_STATES: Final = (
    # What an asset was before it was opened again, by whatever command: the only thing that its
    # row and its attempts cannot tell. First settlements, which are nearly all, write nothing.
    # ``in_run`` is the run that had settled it, ``until_run`` the last one begun when it was left.
    """CREATE TABLE past_states (
        id INTEGER PRIMARY KEY,
        asset_id INTEGER NOT NULL REFERENCES assets (asset_id),
        in_run INTEGER,
        until_run INTEGER,
        state INTEGER NOT NULL REFERENCES states (id),
        code INTEGER NOT NULL,
        http_status INTEGER,
        settled_at INTEGER NOT NULL
    ) STRICT""",
    f"""CREATE TRIGGER keep_past_state AFTER UPDATE OF state ON assets
    WHEN OLD.state <> {PENDING}
        AND (NEW.state <> OLD.state OR NEW.attempts_ever <> OLD.attempts_ever)
    BEGIN
        INSERT INTO past_states
            (asset_id, in_run, until_run, state, code, http_status, settled_at)
        VALUES (
            OLD.asset_id,
            coalesce(
                (SELECT run_id FROM attempts
                    WHERE asset_id = OLD.asset_id AND n = OLD.attempts_ever),
                (SELECT max(id) FROM runs WHERE started_at < OLD.updated_at + 1)
            ),
            (SELECT max(id) FROM runs),
            OLD.state, OLD.code, OLD.http_status, OLD.updated_at
        );
    END""",
)

_HOST_MEMORIES: Final = (
    # What runs have learned of host groups (``fetcher.model.HostMemory``); times are epoch seconds.
    """CREATE TABLE host_memories (
        host_group TEXT PRIMARY KEY,
        at REAL NOT NULL,
        rate REAL,
        bad_rate REAL,
        concurrency INTEGER,
        code TEXT,
        held_until REAL,
        held_code TEXT
    ) STRICT, WITHOUT ROWID""",
)

# An audit asks for its assets, all or a sample, in one run or in several. What it found stands
# beside what is known of the assets: a stored image stays what it is, however its URL has fared.
_AUDITS: Final = (
    # ``parameters`` is JSON: an audit with the same ones goes on where the last has not ended.
    """CREATE TABLE audits (
        id INTEGER PRIMARY KEY,
        parameters TEXT NOT NULL,
        first_run INTEGER NOT NULL REFERENCES runs (id),
        begun_at REAL NOT NULL,
        ended_at REAL
    ) STRICT""",
    # What a sample is drawn from. ``listed`` assets, of which ``asked`` are in the sample. One
    # stratum of all (no subset, no group) where there are more strata than may be asked.
    """CREATE TABLE strata (
        audit_id INTEGER NOT NULL REFERENCES audits (id),
        stratum INTEGER NOT NULL,
        subset_id INTEGER REFERENCES subsets (id),
        host_group TEXT,
        listed INTEGER NOT NULL,
        asked INTEGER NOT NULL,
        PRIMARY KEY (audit_id, stratum)
    ) STRICT, WITHOUT ROWID""",
    # ``actual_md5`` is NULL where it is as listed; ``run_id`` is of the last attempt.
    """CREATE TABLE audited (
        audit_id INTEGER NOT NULL REFERENCES audits (id),
        asset_id INTEGER NOT NULL REFERENCES assets (asset_id),
        stratum INTEGER NOT NULL,
        host_id INTEGER NOT NULL REFERENCES hosts (id),
        state INTEGER NOT NULL REFERENCES states (id),
        code INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        run_id INTEGER REFERENCES runs (id),
        updated_at INTEGER,
        http_status INTEGER,
        actual_size INTEGER,
        actual_md5 TEXT,
        final_url TEXT,
        PRIMARY KEY (audit_id, asset_id)
    ) STRICT, WITHOUT ROWID""",
    f"CREATE INDEX to_be_audited ON audited (audit_id, host_id, asset_id) WHERE state = {PENDING}",
    """CREATE VIEW audit_findings AS
    SELECT
        f.audit_id,
        f.run_id,
        a.image_id,
        s.name AS subset,
        a.url,
        (SELECT name FROM states WHERE id = f.state) AS state,
        (SELECT name FROM codes WHERE id = f.code) AS code,
        f.http_status,
        f.final_url,
        a.expected_size,
        f.actual_size,
        f.attempts,
        strftime('%Y-%m-%dT%H:%M:%SZ', f.updated_at, 'unixepoch') AS updated_at
    FROM audited AS f CROSS JOIN assets AS a ON a.asset_id = f.asset_id
    CROSS JOIN subsets AS s ON s.id = a.subset_id""",
    "ALTER TABLE runs ADD COLUMN audit_id INTEGER REFERENCES audits (id)",
    # What an audit found there and did not keep: a mirror fetches it.
    f"""CREATE INDEX found_not_stored ON assets (asset_id)
        WHERE path IS NULL AND state IN ({", ".join(map(str, FOUND))})""",
    # As it was, but an audit has not settled the row of an image that is stored.
    "DROP TRIGGER keep_past_state",
    f"""CREATE TRIGGER keep_past_state AFTER UPDATE OF state ON assets
    WHEN OLD.state <> {PENDING}
        AND (NEW.state <> OLD.state OR NEW.attempts_ever <> OLD.attempts_ever)
    BEGIN
        INSERT INTO past_states
            (asset_id, in_run, until_run, state, code, http_status, settled_at)
        VALUES (
            OLD.asset_id,
            coalesce(
                (SELECT t.run_id FROM attempts AS t
                    WHERE t.asset_id = OLD.asset_id AND t.n <= OLD.attempts_ever AND NOT (
                        OLD.path IS NOT NULL AND EXISTS (
                            SELECT 1 FROM runs WHERE id = t.run_id AND audit_id IS NOT NULL
                        )
                    ) ORDER BY t.n DESC LIMIT 1),
                (SELECT max(id) FROM runs WHERE started_at < OLD.updated_at + 1)
            ),
            (SELECT max(id) FROM runs),
            OLD.state, OLD.code, OLD.http_status, OLD.updated_at
        );
    END""",
)

# What mismatched bytes were, told of those with this MD5 (``fetcher.policy.triage``).
_TRIAGE: Final = (
    """CREATE TABLE triage (
        asset_id INTEGER PRIMARY KEY REFERENCES assets (asset_id),
        md5 TEXT,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        width INTEGER,
        height INTEGER,
        triaged_at INTEGER NOT NULL
    ) STRICT""",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    _V1,
    _ROBOTS,
    _CHECKS,
    _PAST_STATES,
    _HOST_MEMORIES,
    _AUDITS,
    _TRIAGE,
)
"""Statements that lead from version ``index`` to the next; never edited once released."""


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
    if application != APPLICATION_ID:
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
