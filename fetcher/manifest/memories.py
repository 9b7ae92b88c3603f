"""What runs have learned of host groups, for those that come after them.

A row that says nothing any more is removed, so the table holds groups that are, or were when last
asked, not given their whole budget.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from typing import Final

from msgspec.structs import astuple

from fetcher.manifest.bulk import Bulk
from fetcher.model import HostMemory

_COLUMNS: Final = "host_group, at, rate, bad_rate, concurrency, code, held_until, held_code"
_WRITE: Final = Bulk(
    f"INSERT OR REPLACE INTO host_memories ({_COLUMNS}) "  # noqa: S608  a constant
    "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
    width=8,
)
_FORGET: Final = (
    "DELETE FROM host_memories WHERE rate IS NULL AND concurrency IS NULL AND held_until IS NULL"
)
_READ: Final = f"SELECT json_group_array(json_array({_COLUMNS})) FROM host_memories"  # noqa: S608  likewise


def write(connection: sqlite3.Connection, memories: Sequence[HostMemory]) -> None:
    """Within a transaction."""
    _WRITE.write(connection, [astuple(memory) for memory in memories])
    connection.execute(_FORGET)


def read(connection: sqlite3.Connection) -> list[HostMemory]:
    """All of them. What no run would have written is left out: it is a memory, and may be lost."""
    rows = json.loads(connection.execute(_READ).fetchone()[0])
    return [memory for memory in (HostMemory(*row) for row in rows) if _plausible(memory)]


def _plausible(memory: HostMemory) -> bool:
    numbers = (memory.rate, memory.bad_rate, memory.concurrency)
    return (
        all(number is None or 0 < number < math.inf for number in numbers)
        and 0 <= memory.at < math.inf
        and (memory.held_until is None or 0 <= memory.held_until < math.inf)
    )
