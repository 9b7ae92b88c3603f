"""Leases: which pending assets are handed out next, and which are out.

Nothing of this is stored: a crash returns every lease. What is out is a dictionary, as large as
the engine's frontier. Where to go on is the ring of hosts, and this is its law: every pending asset
that is selected and not out lies beyond its host's place in the ring. Handing out moves the place
forward; a host with nothing beyond its place leaves the ring; whatever makes an asset available
(giving it back, an import, a list's correction) puts the host in front of it. So no lease walks
over what is settled or out already, however many assets or hosts there are.

A lease goes round the groups, one asset at a time, and within a group round its hosts.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from fetcher.manifest.plausible import require_asset
from fetcher.manifest.ring import GROUPS, PENDING_ASSETS, AssetRow, Place, Queue, Ring
from fetcher.manifest.states import PENDING
from fetcher.model import Asset, Expectation, LeaseRequest, Selection

_DEEPEST: Final = 1024
"""Assets read of one host in one go, at most."""
_SLICE: Final = 512
"""Assets of one turn, some milliseconds: outcomes wait for it, and their slots with them. A request
that names many groups is worth more of them, as asking costs in proportion to these."""
_PATIENCE: Final = 20_000
"""Assets looked at in one slice of a lease: some tens of milliseconds."""
_TURNS: Final = 16_384
"""Groups whose turn among their hosts is remembered; forgetting costs only fairness."""


class Leased(Struct):
    """An asset that is out, and what settling it has to know."""

    asset: Asset
    attempts: int
    attempts_ever: int
    code: int
    host_id: int
    subset_id: int
    superseded: bool = False
    """A list changed the asset while it was out: its outcome says nothing of what it is now."""
    stored: bool = False
    """An audit asks for it, and there is a file: its row says what that is, and stays as it is."""

    def copy(self) -> Leased:
        return Leased(
            self.asset,
            self.attempts,
            self.attempts_ever,
            self.code,
            self.host_id,
            self.subset_id,
            self.superseded,
            self.stored,
        )


class LeasePart(Struct, frozen=True):
    """What one slice of a lease found."""

    leased: tuple[Leased, ...]
    done: bool
    """The limit is reached or nothing more can be handed out now; else another slice may find
    something."""


class _Look(Struct):
    """One look at a host: what was read beyond its place, and how much of it was handed out."""

    start: Place
    available: list[Leased] = field(default_factory=list)
    read: int = 0
    reached: int = 0
    """The last asset read, available or not."""
    more: bool = False
    """There may be assets beyond the last that was read."""
    used: int = 0

    @property
    def used_up(self) -> bool:
        return self.used == len(self.available)

    @property
    def place(self) -> Place:
        """Before the first that was not handed out, or after the last that was read."""
        next_up = self.reached if self.used_up else self.available[self.used].asset.asset_id - 1
        return self.start._replace(after=next_up)

    def hand_out(self) -> Leased:
        self.used += 1
        return self.available[self.used - 1]


class Leases:
    """The assets that are out, and the ring of hosts that have more.

    ``take``, ``offer`` and ``offer_back`` change the ring: call them within a transaction. What
    changes the assets that are out (``keep``, ``end``, ``supersede``) follows when it is committed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        group_of: Callable[[str], str],
        selection: Selection,
        queue: Queue = PENDING_ASSETS,
    ) -> None:
        self._connection = connection
        self._selection = selection
        self._ring = Ring(connection, group_of, queue)
        self._out: dict[int, Leased] = {}
        self._last_group = ""
        self._last_host: dict[str, int] = {}

    def out(self, asset_id: int) -> Leased:
        try:
            return self._out[asset_id]
        except KeyError:
            raise ValueError(f"asset {asset_id} is not leased") from None

    def keep(self, leased: Iterable[Leased]) -> None:
        """These are out now, or have come further while they were."""
        self._out.update((item.asset.asset_id, item) for item in leased)

    def end(self, asset_ids: Iterable[int]) -> None:
        for asset_id in asset_ids:
            del self._out[asset_id]

    def supersede(self, asset_ids: Iterable[int]) -> None:
        for asset_id in asset_ids:
            if asset_id in self._out:
                self._out[asset_id].superseded = True

    def offer(self, first_by_host: Mapping[str, tuple[int, int]]) -> None:
        """Assets became available: by host name, the host's number and the first asset's id."""
        self._ring.offer(first_by_host)

    def offer_back(self, leased: Iterable[Leased]) -> bool:
        """Make available what was out, unless it is settled as it is now; whether any of it is."""
        first: dict[str, tuple[int, int]] = {}
        for item in leased:
            asset_id = item.asset.asset_id
            host = self._as_stored(asset_id) if item.superseded else (item.asset.host, item.host_id)
            if host is not None:
                name, host_id = host
                first[name] = (host_id, min(asset_id, first.get(name, (0, asset_id))[1]))
        self._ring.offer(first)
        return bool(first)

    def _as_stored(self, asset_id: int) -> tuple[str, int] | None:
        """The host of an asset that a list changed, unless it is not pending any more."""
        row: tuple[str, int] | None = self._connection.execute(
            "SELECT h.name, h.id FROM assets AS a JOIN hosts AS h ON h.id = a.host_id "
            "WHERE a.asset_id = ? AND a.state = ?",
            (asset_id, PENDING),
        ).fetchone()
        return row

    def take(self, request: LeaseRequest) -> LeasePart:
        """One slice of a lease: ends at the limit, or when it has found, or looked at, enough for
        one turn.
        """
        taken: list[Leased] = []
        wanted = min(request.limit, max(_SLICE, len(request.room) // 4))
        left = dict(request.room)
        looked_at = 0
        since: str | None = None  # the first of the groups in a row that gave nothing
        while len(taken) < wanted and looked_at < _PATIENCE:
            groups = self._groups_after(self._last_group, request)
            room = {g: n for g in groups if (n := left.get(g, request.default_room)) > 0}
            looks = self._look(room, wanted - len(taken)) if room else []
            if not looks and (len(groups) < GROUPS or since in groups):
                return LeasePart(tuple(taken), done=True)
            self._last_group = groups[-1]
            if looks:
                since = None
                looked_at += len(looks) + sum(look.read for look in looks)
                taken += self._deal(looks, room, wanted - len(taken))
                left.update(room)
            elif since is None:
                since = groups[0]
        return LeasePart(tuple(taken), done=len(taken) >= request.limit)

    def _groups_after(self, name: str, request: LeaseRequest) -> list[str]:
        if request.default_room > 0:
            return self._ring.groups_after(name)
        # Only the named groups have room; the ring may have any number of others.
        groups = sorted(group for group, room in request.room.items() if room > 0)
        behind = bisect_right(groups, name)
        return (groups[behind:] + groups[:behind])[:GROUPS]

    def _look(self, room: Mapping[str, int], limit: int) -> list[_Look]:
        """Read what the next hosts of each group have."""
        if len(self._last_host) > _TURNS:
            self._last_host.clear()
        places = self._ring.hosts({group: self._last_host.get(group, 0) for group in room})
        looks = {place.host_id: _Look(place) for place in places}
        depth = self._depth(min(limit, sum(room.values())), len(looks))
        for row in self._ring.assets(places, depth):
            look = looks[row[10]]
            look.read += 1
            look.reached = row[0]
            if row[0] not in self._out and self._selection.wants(row[2], row[1]):
                look.available.append(_leased(row))
        for look in looks.values():
            look.more = look.read == depth
        return list(looks.values())

    def _depth(self, wanted: int, hosts: int) -> int:
        """How many assets to read of each host: an even share, or more if few of them count."""
        if not self._selection.everything:
            return _DEEPEST
        return min(_DEEPEST, wanted // max(hosts, 1) + 1)

    def _deal(self, looks: Sequence[_Look], room: dict[str, int], limit: int) -> list[Leased]:
        taken = []
        group = self._last_group
        for look in _turns(looks, room, limit):
            taken.append(look.hand_out())
            group = look.start.group
            self._last_host[group] = look.start.host_id
        if len(taken) == limit:  # the groups behind this one wait for the next lease
            self._last_group = group
        done = [look.start for look in looks if look.used_up and not look.more]
        self._ring.leave(done)
        self._ring.move([look.place for look in looks if look.more or not look.used_up])
        return taken


def _turns(looks: Sequence[_Look], room: dict[str, int], limit: int) -> Iterator[_Look]:
    """Whose turn it is, group by group and host by host, until ``limit`` or ``room`` is used up.

    ``room`` has the groups in their turn, and is taken from on the way. The caller hands out before
    it asks for the next turn.
    """
    hosts: dict[str, deque[_Look]] = {group: deque() for group in room}
    for look in looks:
        if not look.used_up:
            hosts[look.start.group].append(look)
    groups = deque(group for group in hosts if hosts[group])
    for _ in range(limit):
        if not groups:
            return
        group = groups.popleft()
        look = hosts[group].popleft()
        yield look
        room[group] -= 1
        if not look.used_up:
            hosts[group].append(look)
        if hosts[group] and room[group] > 0:
            groups.append(group)


def _leased(row: AssetRow) -> Leased:
    """Raises ``ImplausibleError`` for what no list can have said."""
    asset_id, image_id, subset, url, host, size, md5, attempts, ever, code, *more = row
    require_asset(image_id, subset, size, md5, (attempts, ever))
    host_id, subset_id, stored = more
    asset = Asset(asset_id, image_id, subset, url, host, Expectation(size, md5), attempts)
    return Leased(asset, attempts, ever, code, host_id, subset_id, stored=bool(stored))
