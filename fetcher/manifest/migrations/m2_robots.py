"""What robots.txt files said to the product ``token`` (``fetcher.policy.robots``)."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """CREATE TABLE robots (
        origin TEXT PRIMARY KEY,
        token TEXT NOT NULL,
        fetched_at REAL NOT NULL,
        rules TEXT NOT NULL
    ) STRICT""",
)
