"""What was learned of host groups."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
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
