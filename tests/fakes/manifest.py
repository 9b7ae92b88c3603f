"""A manifest in memory, for tests of the engine and for simulations."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from msgspec import structs

from fetcher.model import (
    Asset,
    HostMemory,
    Lease,
    LeaseRequest,
    Outcome,
    Row,
    RowTally,
    State,
    Tally,
)
from fetcher.policy.urls import judge


class MemoryManifest:
    """Assets by id, the outcome that each came to (``settled``), and all outcomes (``history``)."""

    def __init__(
        self, rows: Iterable[Row] = (), *, group_of: Callable[[str], str] = lambda host: host
    ) -> None:
        self.assets: dict[int, Asset] = {}
        self.states: dict[int, State] = {}
        self.codes: dict[int, str | None] = {}
        self.settled: dict[int, Outcome] = {}
        self.history: list[Outcome] = []
        self.leased: set[int] = set()
        self.memories: dict[str, HostMemory] = {}
        self._group_of = group_of
        self._changed: dict[int, Row] = {}
        self._waiting: dict[str, deque[int]] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> Asset:
        """Accept a row, as an import does. Its id must be new."""
        target = judge(row.url)
        asset_id = len(self.assets) + 1
        host = "" if isinstance(target, str) else target.host
        asset = Asset(asset_id, row.image_id, row.subset, row.url, host, row.expected)
        self.assets[asset_id] = asset
        if isinstance(target, str):
            self.states[asset_id], self.codes[asset_id] = State.INVALID, target
        else:
            self.states[asset_id], self.codes[asset_id] = State.PENDING, None
            self._waiting.setdefault(host, deque()).append(asset_id)
        return asset

    def change(self, asset_id: int, row: Row) -> None:
        """A list has other values for an asset that is out: what it comes to says nothing."""
        self._changed[asset_id] = row

    def _offer_as_changed(self, asset_id: int) -> bool:
        row = self._changed.pop(asset_id, None)
        if row is None:
            return False
        asset = structs.replace(
            self.assets[asset_id], url=row.url, expected=row.expected, attempts=0
        )
        self.assets[asset_id] = asset
        self.states[asset_id], self.codes[asset_id] = State.PENDING, None
        self._waiting.setdefault(asset.host, deque()).append(asset_id)
        return True

    async def lease(self, request: LeaseRequest) -> Lease:
        room = dict(request.room)
        taken: list[int] = []
        turns = deque(self._waiting)
        while turns and len(taken) < request.limit:
            host = turns.popleft()
            group = self._group_of(host)
            if not self._waiting[host] or room.setdefault(group, request.default_room) <= 0:
                continue
            room[group] -= 1
            taken.append(self._waiting[host].popleft())
            self._waiting[host] = self._waiting.pop(host)  # its turn is over
            turns.append(host)
        self.leased.update(taken)
        return Lease(tuple(self.assets[asset_id] for asset_id in taken))

    async def give_back(self, asset_ids: Sequence[int]) -> None:
        for asset_id in asset_ids:
            if asset_id not in self.leased:
                raise ValueError(f"asset {asset_id} is not leased")
        self.leased.difference_update(asset_ids)
        for host in {self.assets[asset_id].host for asset_id in asset_ids}:
            back = [a for a in asset_ids if self.assets[a].host == host]
            self._waiting[host] = deque(sorted([*self._waiting[host], *back]))

    async def settle(self, outcomes: Sequence[Outcome]) -> bool:
        still, available = set(self.leased), False
        for outcome in outcomes:
            if outcome.asset_id not in still:
                raise ValueError(f"asset {outcome.asset_id} is not leased")
            if outcome.state is not State.PENDING:
                still.remove(outcome.asset_id)
        for outcome in outcomes:
            asset_id = outcome.asset_id
            self.history.append(outcome)
            self.states[asset_id], self.codes[asset_id] = outcome.state, outcome.code
            if outcome.attempt > 0:
                asset = self.assets[asset_id]
                self.assets[asset_id] = structs.replace(asset, attempts=outcome.attempt)
            if outcome.state is not State.PENDING:
                self.settled[asset_id] = outcome
                self.leased.remove(asset_id)
                available |= self._offer_as_changed(asset_id)
        return available

    async def tally(self) -> Tally:
        states = dict.fromkeys(State, 0) | Counter(self.states.values())
        codes = Counter(code for code in self.codes.values() if code is not None)
        stored = sum(
            outcome.actual_size or 0
            for outcome in self.settled.values()
            if outcome.path is not None and outcome.path.startswith("images/")
        )
        n = len(self.assets)
        expected = sum(asset.expected.size or 0 for asset in self.assets.values())
        return Tally(states, dict(codes), RowTally(n, n), expected, stored)

    async def host_memories(self) -> Sequence[HostMemory]:
        return list(self.memories.values())

    async def remember_hosts(self, memories: Sequence[HostMemory]) -> None:
        for memory in memories:
            self.memories[memory.group] = memory
            if memory.rate is memory.concurrency is memory.held_until is None:
                del self.memories[memory.group]
