"""Checks of stored files.

A check of stored files goes over the assets in the order of their ids (those whose id leaves
``part`` when divided by ``parts``), and then over the folders. So where it stands says what it
has covered, and nothing is written for each of nine million images.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
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
