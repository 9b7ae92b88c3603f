"""Settled assets become pending again: their attempts start over, their history stays.

What is known of an asset's last answer and of its file is forgotten, as when a list changes it
(``fetcher.manifest.importing``); the file itself lies where it lay, and the next run looks for it
before it asks the host. A slice of the assets is one transaction with its tallies, so memory does
not grow with their number, a kill leaves nothing half done, and the same command does the rest.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from fetcher.manifest.schema import ROOM
from fetcher.manifest.states import IS_FOUND, PENDING, STATE_IDS, STATES
from fetcher.manifest.tallies import STORED_BYTES, TallyChanges
from fetcher.model import State
from fetcher.policy.reopening import Reopening

SLICE: Final = 50_000
"""Asset ids in one transaction: some tenths of a second, and some ten megabytes of log."""

_REOPEN: Final = (
    f"state = {PENDING}, code = 0, updated_at = ?, attempts = 0, http_status = NULL, "
    f"final_url = NULL, actual_size = NULL, actual_md5 = NULL, path = NULL, room = '{ROOM}'"
)
_GROUPS: Final = (
    "SELECT a.subset_id, a.state, a.code, count(*), total(a.expected_size), "
    f"total({STORED_BYTES}) FROM assets AS a {{by}} WHERE {{where}} GROUP BY 1, 2, 3"
)
_CHOSEN: Final = "a.asset_id IN (SELECT value FROM json_each(?))"


class Reopened(NamedTuple):
    """How many assets were, or would be, put back from one state and code."""

    state: State
    code: str | None
    n: int


def hosts_of(connection: sqlite3.Connection, wanted: Reopening) -> list[int]:
    """The numbers of the hosts that ``wanted`` names."""
    return [
        number
        for number, name in connection.execute("SELECT id, name FROM hosts")
        if wanted.wants_host(name)
    ]


def terms(connection: sqlite3.Connection, wanted: Reopening) -> tuple[bool, frozenset[str]]:
    """Whether a host of the manifest is wanted, and the codes that the manifest has had."""
    codes = connection.execute("SELECT name FROM codes")
    return bool(hosts_of(connection, wanted)), frozenset(name for (name,) in codes)


class Filter:
    """``wanted`` as SQL over ``assets AS a``; its parameters come in the order of ``values``."""

    def __init__(self, connection: sqlite3.Connection, wanted: Reopening) -> None:
        numbers = ", ".join(str(STATE_IDS[state]) for state in sorted(wanted.states))
        parts = [f"a.state IN ({numbers})"]
        self.values: list[Any] = []
        if wanted.codes is not None:
            parts.append(
                "a.code IN (SELECT id FROM codes WHERE name IN (SELECT value FROM json_each(?)))"
            )
            self.values.append(json.dumps(sorted(wanted.codes)))
        if wanted.hosts is not None:
            parts.append("a.host_id IN (SELECT value FROM json_each(?))")
            self.values.append(json.dumps(hosts_of(connection, wanted)))
        if wanted.settled_by is not None:
            parts.append("a.updated_at <= ?")
            self.values.append(int(wanted.settled_by))
        self.sql = " AND ".join(parts)


def count(connection: sqlite3.Connection, wanted: Reopening) -> list[Reopened]:
    """What ``wanted`` would put back; changes nothing."""
    chosen = Filter(connection, wanted)
    groups = _GROUPS.format(by="", where=chosen.sql)
    return _named(connection, connection.execute(groups, chosen.values))


def slices(connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Ranges of asset ids, without the first and with the last."""
    last = connection.execute("SELECT coalesce(max(asset_id), 0) FROM assets").fetchone()[0]
    return ((start, start + SLICE) for start in range(0, last, SLICE))


def reopen_slice(
    connection: sqlite3.Connection, chosen: Filter, bounds: tuple[int, int], now: float
) -> list[Reopened]:
    """Put back what ``chosen`` wants of one slice. Call it within a transaction."""
    where = f"a.asset_id > ? AND a.asset_id <= ? AND {chosen.sql}"
    return _reopen(connection, where, (*bounds, *chosen.values), now)


def reopen_assets(
    connection: sqlite3.Connection, asset_ids: Sequence[int], now: float
) -> list[Reopened]:
    """Put these back, whatever their state. Call it within a transaction."""
    where = f"a.state != {PENDING} AND {_CHOSEN}"
    return _reopen(connection, where, (json.dumps(list(asset_ids)),), now)


def reopen_audited(
    connection: sqlite3.Connection, audit_id: int, bounds: tuple[int, int], now: float
) -> list[Reopened]:
    """Put back what an audit is to ask for and no file is kept of, in one slice of the assets."""
    where = (
        f"a.state != {PENDING} AND a.path IS NULL AND a.asset_id IN (SELECT asset_id FROM audited "
        f"WHERE audit_id = ? AND asset_id > ? AND asset_id <= ? AND state = {PENDING})"
    )
    return _reopen(connection, where, (audit_id, *bounds), now)


def reopen_found(
    connection: sqlite3.Connection, selected: str, bounds: tuple[int, int], now: float
) -> list[Reopened]:
    """Put back what audits found there and did not keep, in one slice of the assets. ``selected``
    is a condition on them. Call it within a transaction.
    """
    where = f"a.path IS NULL AND a.{IS_FOUND} AND a.asset_id > ? AND a.asset_id <= ? AND {selected}"
    return _reopen(connection, where, bounds, now, by="INDEXED BY found_not_stored")


def _reopen(
    connection: sqlite3.Connection, where: str, values: Sequence[Any], now: float, *, by: str = ""
) -> list[Reopened]:
    groups = connection.execute(_GROUPS.format(by=by, where=where), values).fetchall()
    if not groups:
        return []
    changes = TallyChanges()
    for subset, state, code, n, expected, stored in groups:
        changes.shift((subset, state, code), -n, -int(expected), -int(stored))
        changes.shift((subset, PENDING, 0), n, int(expected), 0)
    changes.write(connection)
    connection.execute(f"UPDATE assets AS a {by} SET {_REOPEN} WHERE {where}", (int(now), *values))
    return _named(connection, groups)


def _named(connection: sqlite3.Connection, groups: Any) -> list[Reopened]:
    codes = dict(connection.execute("SELECT id, name FROM codes"))
    found = ((state, code, n) for _, state, code, n, *_ in groups)
    return [Reopened(STATES[state], codes.get(code), n) for state, code, n in found]
