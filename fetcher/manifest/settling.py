"""Settling: outcomes become the assets' states and their history, in one transaction.

What an asset was before is known from its lease, so nothing is read: a batch is one INSERT of
attempts, one UPDATE of assets and one of tallies. Images that came as they were listed have two
narrower statements, over the same few values: they are nearly all, and what is bound is what costs.

What fails rolls the whole transaction back anyway. Saying so in the statements (``OR ROLLBACK``)
saves SQLite a journal for each, in which it keeps every page as it was before that statement, and
which goes to a temporary file from 64 KiB on: a quarter of what settling costs.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from fetcher.killpoints import Point, reached
from fetcher.manifest import packing
from fetcher.manifest.bulk import Bulk, Value
from fetcher.manifest.leasing import Leased, Leases
from fetcher.manifest.names import Names
from fetcher.manifest.states import PENDING, STATE_IDS, VERIFIED
from fetcher.manifest.tallies import TallyChanges
from fetcher.model import Asset, Outcome, State

_OK: Final = 200
"""RFC 9110 section 15.3.1."""
ATTEMPTS: Final = Bulk(
    "INSERT OR ROLLBACK INTO attempts (asset_id, n, run_id, attempt, started_ms, elapsed_ms, code, "
    "http_status, received, detail) SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
    width=10,
)
ASSETS: Final = Bulk(
    "WITH v (asset_id, state, code, attempts, attempts_ever, http_status, final_url, actual_size, "
    "actual_md5, path, updated_at) AS (VALUES {rows}) "
    "UPDATE OR ROLLBACK assets SET state = v.state, code = v.code, attempts = v.attempts, "
    "attempts_ever = v.attempts_ever, http_status = v.http_status, final_url = v.final_url, "
    "actual_size = v.actual_size, actual_md5 = v.actual_md5, path = v.path, "
    "updated_at = v.updated_at, room = '' FROM v WHERE assets.asset_id = v.asset_id",
    width=11,
)
_AS_LISTED: Final = (
    "WITH v (asset_id, n, attempt, started_ms, elapsed_ms, received, path) AS (VALUES {rows}) "
)
ATTEMPTS_AS_LISTED: Final = Bulk(
    _AS_LISTED + "INSERT OR ROLLBACK INTO attempts (asset_id, n, run_id, attempt, started_ms, "
    "elapsed_ms, code, http_status, received) SELECT asset_id, n, ?, attempt, started_ms, "
    f"elapsed_ms, 0, {_OK}, received FROM v WHERE asset_id IS NOT NULL",
    width=7,
)
ASSETS_AS_LISTED: Final = Bulk(
    _AS_LISTED + f"UPDATE OR ROLLBACK assets SET state = {VERIFIED}, code = 0, "
    f"attempts = v.attempt, attempts_ever = v.n, http_status = {_OK}, final_url = NULL, "
    "actual_size = NULL, actual_md5 = NULL, path = v.path, "
    "updated_at = (v.started_ms + v.elapsed_ms) / 1000, room = '' "
    "FROM v WHERE assets.asset_id = v.asset_id",
    width=7,
)
SUPERSEDED: Final = Bulk(
    "WITH v (asset_id, attempts_ever) AS (VALUES {rows}) "
    "UPDATE assets SET attempts_ever = v.attempts_ever FROM v WHERE assets.asset_id = v.asset_id",
    width=2,
)


class Settlement:
    """One batch. ``write`` it within a transaction, ``apply`` it when that is committed."""

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        leases: Leases,
        codes: dict[str, int],
        run_id: int,
        shards: dict[str, int] | None = None,
    ) -> None:
        """``codes`` and ``shards``: the numbers of those that ``outcomes`` name."""
        self._run_id = run_id
        self._leases = leases
        self._codes = codes
        self._shards = shards or {}
        self._ends: dict[int, int] = {}
        """Of what lies in shards now, by the shard's number."""
        self._now: dict[int, Leased] = {}
        self._ended: dict[int, Leased] = {}
        self._attempts: list[tuple[Value, ...]] = []
        self._assets: dict[int, tuple[Value, ...]] = {}
        self._as_listed: list[tuple[Value, ...]] = []
        self._tallies = TallyChanges()
        for outcome in outcomes:
            self._take(outcome)

    @staticmethod
    def codes(outcomes: Sequence[Outcome], names: Names) -> dict[str, int]:
        """The numbers of the codes that a batch names."""
        return names.ids(outcome.code for outcome in outcomes if outcome.code is not None)

    @staticmethod
    def shards(outcomes: Sequence[Outcome], names: Names) -> dict[str, int]:
        """The numbers of the shards that a batch's images lie in."""
        return names.ids(
            outcome.path.rpartition("/")[0]
            for outcome in outcomes
            if outcome.slot is not None and outcome.path is not None
        )

    def write(self, connection: sqlite3.Connection) -> bool:
        """Whether assets are available again."""
        reached(Point.SETTLING)
        ATTEMPTS.write(connection, self._attempts)
        ATTEMPTS_AS_LISTED.write(connection, self._as_listed, self._run_id)
        reached(Point.ATTEMPTS_WRITTEN)
        ASSETS.write(connection, list(self._assets.values()))
        ASSETS_AS_LISTED.write(connection, self._as_listed)
        if self._ends:
            connection.executemany(
                "UPDATE shards SET size = max(size, ?) WHERE id = ?",
                [(end, shard) for shard, end in self._ends.items()],
            )
        reached(Point.ASSETS_WRITTEN)
        superseded = [item for item in self._now.values() if item.superseded or item.stored]
        SUPERSEDED.write(
            connection, [(leased.asset.asset_id, leased.attempts_ever) for leased in superseded]
        )
        self._tallies.write(connection)
        reached(Point.TALLIES_WRITTEN)
        ended = self._ended.values()
        return self._leases.offer_back(leased for leased in ended if leased.superseded)

    def apply(self) -> None:
        self._leases.keep(self._now.values())
        self._leases.end(self._ended)

    def _take(self, outcome: Outcome) -> None:
        asset_id = outcome.asset_id
        if asset_id in self._ended:
            raise ValueError(f"asset {asset_id} is settled twice in one batch")
        leased = self._now.get(asset_id)
        if leased is None:
            leased = self._now[asset_id] = self._leases.out(asset_id).copy()
        before = leased.code
        leased.code = 0 if outcome.code is None else self._codes[outcome.code]
        if outcome.attempt > 0:
            leased.attempts = outcome.attempt
            leased.attempts_ever += 1
        state = STATE_IDS[outcome.state]
        current = not (leased.superseded or leased.stored)
        if current and _is_as_listed(outcome, leased.asset):
            self._assets.pop(asset_id, None)  # of an attempt before, in this batch
            self._as_listed.append(_as_listed(outcome, leased, self._packed(outcome, leased)))
        else:
            if outcome.attempt > 0:
                self._attempts.append(_attempt(outcome, leased, self._run_id))
            if current:
                packed = self._packed(outcome, leased)
                self._assets[asset_id] = _asset(outcome, leased, state, packed)
        if current:
            self._count(outcome, leased, before, state)
        if state != PENDING:
            self._ended[asset_id] = leased

    def _packed(self, outcome: Outcome, leased: Leased) -> str | None:
        path, slot, asset = outcome.path, outcome.slot, leased.asset
        if path is None:
            return None
        if slot is None:
            return packing.pack(path, asset.subset, asset.image_id)
        shard = self._shards[path.rpartition("/")[0]]
        self._ends[shard] = max(slot.end, self._ends.get(shard, 0))
        return packing.pack_member(path, shard, slot.offset)

    def _count(self, outcome: Outcome, leased: Leased, before: int, state: int) -> None:
        expected, subset = leased.asset.expected.size, leased.subset_id
        stored = 0
        if packing.counts_as_stored(outcome.path):
            stored = _stored_size(outcome, expected)
        self._tallies.add((subset, PENDING, before), expected, n=-1)
        self._tallies.add((subset, state, leased.code), expected, stored)


def _stored_size(outcome: Outcome, expected: int | None) -> int:
    if outcome.actual_size is not None:
        return outcome.actual_size
    return (expected or 0) if outcome.state is State.VERIFIED else 0


def _is_as_listed(outcome: Outcome, asset: Asset) -> bool:
    """Whether one answer brought the very image that is listed, from where it is listed."""
    expected = asset.expected
    return (
        outcome.state is State.VERIFIED
        and outcome.http_status == _OK
        and outcome.attempt > 0
        and outcome.code is None
        and outcome.detail is None
        and outcome.final_url in (None, asset.url)
        and outcome.actual_size == expected.size
        and outcome.actual_md5 == expected.md5
    )


def _as_listed(outcome: Outcome, leased: Leased, packed: str | None) -> tuple[Value, ...]:
    return (
        outcome.asset_id,
        leased.attempts_ever,
        leased.attempts,
        int(outcome.started_at * 1000),
        int(outcome.elapsed * 1000),
        outcome.received,
        packed,
    )


def _attempt(outcome: Outcome, leased: Leased, run_id: int) -> tuple[Value, ...]:
    return (
        outcome.asset_id,
        leased.attempts_ever,
        run_id,
        outcome.attempt,
        int(outcome.started_at * 1000),
        int(outcome.elapsed * 1000),
        leased.code,
        outcome.http_status,
        outcome.received,
        outcome.detail,
    )


def _asset(outcome: Outcome, leased: Leased, state: int, packed: str | None) -> tuple[Value, ...]:
    """What is as expected is left out where the view ``images`` knows to put it back."""
    asset, size, md5 = leased.asset, outcome.actual_size, outcome.actual_md5
    if state == VERIFIED:
        size = None if size == asset.expected.size else size
        md5 = None if md5 == asset.expected.md5 else md5
    return (
        outcome.asset_id,
        state,
        leased.code,
        leased.attempts,
        leased.attempts_ever,
        outcome.http_status,
        None if outcome.final_url == asset.url else outcome.final_url,
        size,
        md5,
        packed,
        int(outcome.started_at + outcome.elapsed),
    )
