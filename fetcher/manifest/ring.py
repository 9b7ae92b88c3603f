"""The ring: which hosts may have assets to hand out, and after which asset these begin.

A temporary table, so that memory does not grow with the number of hosts, and a rolled-back
transaction takes its changes along. It goes by group, then by host. Each question is one statement
for many groups or hosts at once (``fetcher.manifest.bulk`` says why), and none walks over assets
that are settled: the index of pending assets by host is all that is ever searched.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from fetcher.manifest.bulk import Bulk
from fetcher.manifest.states import PENDING

GROUPS: Final = 64
"""Groups looked at in one go."""
HOSTS: Final = 16
"""Hosts of one group looked at in one go."""

_GREATEST: Final = 2**63 - 1

_CREATE: Final = (
    "CREATE TEMP TABLE ring (grp TEXT NOT NULL, host_id INTEGER NOT NULL UNIQUE, "
    "after INTEGER NOT NULL, PRIMARY KEY (grp, host_id)) WITHOUT ROWID"
)
HOSTS_WITH_WORK: Final = (
    # A skip-scan: one seek in the index for each host, none for its assets.
    "WITH RECURSIVE h (id) AS ("
    f"SELECT (SELECT min(host_id) FROM assets WHERE state = {PENDING}) UNION ALL "
    f"SELECT (SELECT min(host_id) FROM assets WHERE state = {PENDING} AND host_id > h.id) "
    "FROM h WHERE h.id IS NOT NULL) "
    "SELECT hosts.name, h.id FROM h CROSS JOIN hosts ON hosts.id = h.id"
)
_NEXT_GROUP: Final = (
    "coalesce((SELECT min(grp) FROM ring WHERE grp > {}), (SELECT min(grp) FROM ring))"
)
NEXT_GROUPS: Final = (
    f"WITH RECURSIVE g (name, n) AS (SELECT {_NEXT_GROUP.format('?1')}, 1 UNION ALL "
    f"SELECT {_NEXT_GROUP.format('g.name')}, n + 1 FROM g "
    f"WHERE g.name IS NOT NULL AND n < {GROUPS}) "
    "SELECT json_group_array(name) FROM g WHERE name IS NOT NULL"
)
AssetRow: TypeAlias = tuple[
    int, str, str, str, str, int | None, str | None, int, int, int, int, int, int
]
"""What is handed out: id, image, subset, URL, host, size, MD5, attempts, attempts ever, code, the
host's and the subset's number, and whether there is a file already.
"""
NEXT_HOSTS: Final = Bulk(
    # The hosts of each group after a given one, then those from the group's first on.
    "WITH v (grp, pos) AS (VALUES {rows}) "
    "SELECT json_group_array(json_array(grp, again, host_id, after)) FROM ("
    "SELECT r.grp, 0 AS again, r.host_id, r.after FROM v CROSS JOIN ring AS r "
    "ON r.grp = v.grp AND r.host_id > v.pos AND r.host_id <= coalesce("
    "(SELECT host_id FROM ring WHERE grp = v.grp AND host_id > v.pos "
    f"ORDER BY host_id LIMIT 1 OFFSET {HOSTS - 1}), {_GREATEST}) UNION ALL "
    "SELECT r.grp, 1 AS again, r.host_id, r.after FROM v CROSS JOIN ring AS r "
    "ON r.grp = v.grp AND r.host_id <= min(v.pos, coalesce("
    "(SELECT host_id FROM ring WHERE grp = v.grp "
    f"ORDER BY host_id LIMIT 1 OFFSET {HOSTS - 1}), {_GREATEST})))",
    width=2,
)
NEXT_ASSETS: Final = Bulk(
    "SELECT json_group_array(json_array(a.asset_id, a.image_id, s.name, a.url, h.name, "
    "a.expected_size, a.expected_md5, a.attempts, a.attempts_ever, a.code, a.host_id, "
    "a.subset_id, 0)) "
    "FROM (VALUES {rows}) AS v CROSS JOIN assets AS a ON a.asset_id IN ("
    "SELECT asset_id FROM assets INDEXED BY pending_by_host "
    f"WHERE state = {PENDING} AND host_id = v.column1 AND asset_id > v.column2 "
    "ORDER BY asset_id LIMIT ?) "
    "CROSS JOIN hosts AS h ON h.id = a.host_id CROSS JOIN subsets AS s ON s.id = a.subset_id",
    width=2,
    back=list[AssetRow],
)
_PUT: Final = (
    "INSERT INTO ring (grp, host_id, after) "
    "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL "
    "ON CONFLICT (grp, host_id) DO UPDATE SET after = "
)
_MOVE: Final = Bulk(_PUT + "excluded.after", width=3)
_OFFER: Final = Bulk(_PUT + "min(after, excluded.after)", width=3)
_FORGET: Final = "DROP TABLE IF EXISTS temp.ring"
LEAVE: Final = Bulk("DELETE FROM ring WHERE host_id IN (VALUES {rows})", width=1)


class Place(NamedTuple):
    """A host's place in the ring: all that it may have to hand out has a greater asset id."""

    group: str
    host_id: int
    after: int


class Queue(NamedTuple):
    """What there is to hand out: ``hosts`` that have any, and ``assets`` beyond a place in each."""

    hosts: str
    assets: Bulk


PENDING_ASSETS: Final = Queue(HOSTS_WITH_WORK, NEXT_ASSETS)


class Ring:
    """A connection has one; making another one ends the first."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        group_of: Callable[[str], str],
        queue: Queue = PENDING_ASSETS,
    ) -> None:
        self._connection = connection
        self._group_of = group_of
        self._queue = queue
        connection.execute(_FORGET)
        connection.execute(_CREATE)
        with connection:
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO ring (grp, host_id, after) VALUES (?, ?, 0)",
                ((group_of(name), number) for name, number in connection.execute(queue.hosts)),
            )

    def offer(self, first_by_host: Mapping[str, tuple[int, int]]) -> None:
        """Assets became available: by host name, the host's number and the first asset's id."""
        places = [
            Place(self._group_of(name), host_id, first - 1)
            for name, (host_id, first) in first_by_host.items()
        ]
        _OFFER.write(self._connection, places)

    def groups_after(self, name: str) -> list[str]:
        """The next groups, up to ``GROUPS``, from the first again after the last; each once."""
        array = self._connection.execute(NEXT_GROUPS, (name,)).fetchone()[0]
        return list(dict.fromkeys(json.loads(array)))

    def hosts(self, last_host: Mapping[str, int]) -> list[Place]:
        """For each group the hosts whose turn is next, given the host that had the last one."""
        turns = sorted(NEXT_HOSTS.read(self._connection, list(last_host.items())))
        in_group = dict.fromkeys(last_host, 0)
        places = []
        for group, _, host_id, after in turns:
            in_group[group] += 1
            if in_group[group] <= HOSTS:
                places.append(Place(group, host_id, after))
        return places

    def assets(self, places: Iterable[Place], depth: int) -> list[AssetRow]:
        """Up to ``depth`` pending assets beyond each place, in list order, out or not."""
        beyond = [(place.host_id, place.after) for place in places]
        return sorted(self._queue.assets.read(self._connection, beyond, depth))

    def move(self, places: list[Place]) -> None:
        _MOVE.write(self._connection, places)

    def leave(self, places: list[Place]) -> None:
        LEAVE.write(self._connection, [(place.host_id,) for place in places])
