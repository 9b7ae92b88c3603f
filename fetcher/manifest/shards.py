"""What the manifest knows of shards as files; of the images in them, their own rows tell."""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec import Struct

_DEATHS: Final = 8
"""Workers that may die one after another (``fetcher.engine.processes``)."""


class Shards(Struct, frozen=True):
    """``sizes``: where the last known image of each ends, by the shard's path. ``in_flight``: the
    most images that runs until now can have left behind these ends.
    """

    sizes: dict[str, int]
    in_flight: int


def read(connection: sqlite3.Connection) -> Shards:
    """Call it before this run is written down."""
    sizes = dict(connection.execute("SELECT name, size FROM shards").fetchall())
    most = connection.execute(
        "SELECT max(json_extract(config, '$.fetch.concurrency')) FROM runs"
    ).fetchone()[0]
    return Shards(sizes, _DEATHS * most if isinstance(most, int) else 0)
