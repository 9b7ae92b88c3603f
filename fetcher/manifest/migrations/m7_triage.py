"""What mismatched bytes were, told of those with this MD5 (``fetcher.policy.triage``)."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
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
