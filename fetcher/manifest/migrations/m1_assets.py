"""Lists and their rows, assets, attempts, runs, tallies, and the view ``images``."""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

from typing import Final

from fetcher.manifest.states import PENDING, STATE_IDS, VERIFIED

STATEMENTS: Final = (
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
