"""What a manifest has to say at every instant, by the simplest rules that there are: no database,
no ring of hosts, no tallies. The book serves from here, or checks the real manifest against it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec import structs

from fetcher.model import KEPT, Asset, BadRow, Lease, LeaseRequest, Outcome, Row, State
from fetcher.policy import urls


@dataclass(slots=True)
class Record:
    """An asset as it stands. ``asset.attempts`` are those of the present listing."""

    asset: Asset
    state: State
    code: str | None
    path: str | None = None
    attempts_ever: int = 0


@dataclass(slots=True)
class Out:
    """A leased asset, as it was handed out."""

    asset: Asset
    attempts: int
    superseded: bool = False


class Records:
    def __init__(self, group_of: Callable[[str], str]) -> None:
        self.by_id: dict[int, Record] = {}
        self.out: dict[int, Out] = {}
        self.leased: dict[int, Asset] = {}
        self._ids: dict[str, int] = {}
        self._group_of = group_of
        self._waiting: dict[str, deque[int]] = {}
        self._seen: set[str] = set()
        self.version = -1
        self.through = 0
        self.complete = False

    def attempts_of(self, asset_id: int) -> int:
        return self.out[asset_id].attempts

    @property
    def pending(self) -> int:
        return sum(record.state is State.PENDING for record in self.by_id.values())

    def forget_leases(self) -> None:
        """The run is over, however it ended: whatever is pending is here to be leased again."""
        self.out.clear()
        self.leased.clear()
        self._waiting.clear()
        for asset_id, record in self.by_id.items():
            if record.state is State.PENDING:
                self._waiting.setdefault(record.asset.host, deque()).append(asset_id)

    # Import.

    def begin(self, version: int) -> bool:
        """Begin, or go on with, this version of the list. Whether there is something to read."""
        if version != self.version:
            self.version, self.through, self.complete = version, 0, False
            self._seen.clear()
        return not self.complete

    def take_in(self, lines: Sequence[Row | BadRow]) -> None:
        for line in lines:
            self.through = line.line
            if not isinstance(line, Row) or line.image_id in self._seen:
                continue  # no row, a duplicate, or a contradiction: the first one counts
            self._seen.add(line.image_id)
            asset_id = self._ids.get(line.image_id)
            if asset_id is None:
                self._accept(line)
            else:
                self._meet(line, asset_id)

    def finish(self) -> None:
        self.complete = True
        self._seen.clear()

    def _accept(self, row: Row) -> None:
        asset_id = self._ids[row.image_id] = len(self.by_id) + 1
        self.by_id[asset_id] = _listed(row, asset_id, row.subset)
        self._offer(asset_id)

    def _meet(self, row: Row, asset_id: int) -> None:
        was = self.by_id[asset_id]
        if (row.url, row.expected) == (was.asset.url, was.asset.expected):
            return
        fresh = _listed(row, asset_id, was.asset.subset)
        fresh.attempts_ever = was.attempts_ever
        if row.expected == was.asset.expected and was.state in KEPT:
            was.asset = structs.replace(fresh.asset, attempts=was.asset.attempts)
            return
        self._withhold(asset_id)
        self.by_id[asset_id] = fresh
        if asset_id in self.out:
            self.out[asset_id].superseded = True
        else:
            self._offer(asset_id)

    def _withhold(self, asset_id: int) -> None:
        line = self._waiting.get(self.by_id[asset_id].asset.host)
        if line is not None and asset_id in line:
            line.remove(asset_id)

    def _offer(self, asset_id: int) -> None:
        record = self.by_id[asset_id]
        if record.state is State.PENDING:
            line = self._waiting.setdefault(record.asset.host, deque())
            line.append(asset_id)
            if len(line) > 1 and line[-2] > asset_id:
                self._waiting[record.asset.host] = deque(sorted(line))

    # Leases.

    def lease(self, request: LeaseRequest) -> Lease:
        """One asset of each host in turn, while its group has room."""
        room = dict(request.room)
        taken: list[int] = []
        turns = deque(host for host, line in self._waiting.items() if line)
        while turns and len(taken) < request.limit:
            host = turns.popleft()
            group = self._group_of(host)
            if room.setdefault(group, request.default_room) <= 0:
                continue
            room[group] -= 1
            line = self._waiting[host]
            taken.append(line.popleft())
            if line:
                turns.append(host)
        assets = tuple(self.by_id[asset_id].asset for asset_id in taken)
        self.hand_out(assets)
        return Lease(assets)

    def withhold(self, assets: Iterable[Asset]) -> None:
        """The database has chosen these."""
        for asset in assets:
            self._withhold(asset.asset_id)

    def hand_out(self, assets: Iterable[Asset]) -> None:
        for asset in assets:
            self.out[asset.asset_id] = Out(asset, asset.attempts)
            self.leased[asset.asset_id] = asset

    def give_back(self, asset_ids: Iterable[int]) -> None:
        for asset_id in asset_ids:
            self._end(asset_id)
            self._offer(asset_id)

    def settle(self, outcome: Outcome) -> bool:
        """Whether that made the asset available again."""
        asset_id = outcome.asset_id
        out, record = self.out[asset_id], self.by_id[asset_id]
        if outcome.attempt > 0:
            out.attempts = outcome.attempt
            record.attempts_ever += 1
        if not out.superseded:
            record.state, record.code, record.path = outcome.state, outcome.code, outcome.path
            record.asset = structs.replace(record.asset, attempts=out.attempts)
        if outcome.state is not State.PENDING:
            self._end(asset_id)
            if out.superseded:
                self._offer(asset_id)
                return self.by_id[asset_id].state is State.PENDING
        return False

    def _end(self, asset_id: int) -> None:
        del self.out[asset_id], self.leased[asset_id]


def _listed(row: Row, asset_id: int, subset: str) -> Record:
    target = urls.judge(row.url)
    if isinstance(target, str):
        asset = Asset(asset_id, row.image_id, subset, row.url, "", row.expected)
        return Record(asset, State.INVALID, target)
    asset = Asset(asset_id, row.image_id, subset, row.url, target.host, row.expected)
    return Record(asset, State.PENDING, None)
