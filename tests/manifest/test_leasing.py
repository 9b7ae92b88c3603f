"""Leases of the real manifest: selection, many hosts, and what they cost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fetcher.manifest import importing, leasing, ring, settling, tallies
from fetcher.manifest.bulk import Bulk
from fetcher.manifest.database import Database
from fetcher.model import LeaseRequest, Selection, State
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import database, import_all, lease, lease_many


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(subsets=frozenset({"test"})), [2, 4]),
        (Selection(ids=frozenset({row(3).image_id, row(4).image_id, "unknown"})), [3, 4]),
        (Selection(frozenset({"test"}), frozenset({row(3).image_id, row(4).image_id})), [4]),
        (Selection(subsets=frozenset()), []),
    ],
)
def test_a_selection_narrows_leases_and_its_tally(
    path: Path, selection: Selection, expected: list[int]
) -> None:
    rows = [row(n, subset=("train", "test")[n % 2 == 0]) for n in range(1, 5)]
    with database(path, selection) as manifest:
        import_all(manifest, rows)
        assert [asset.asset_id for asset in lease(manifest)] == expected
        manifest.settle([outcome(n, State.GONE, code="http-404") for n in expected])
        tally = manifest.selected_tally()
        n = len(expected)
        assert (tally.total, tally.states[State.GONE]) == (n, n)
        assert tally.codes == ({"http-404": n} if n else {})
        assert tally.expected_bytes == sum(1000 + n for n in expected)
        assert manifest.tally().total == 4


def test_a_narrow_selection_is_searched_in_slices(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing else waits for a search through millions of rows."""
    monkeypatch.setattr(leasing, "_PATIENCE", 50)
    monkeypatch.setattr(leasing, "_DEEPEST", 20)
    wanted = row(300).image_id
    with database(path, Selection(ids=frozenset({wanted}))) as manifest:
        import_all(manifest, [row(n) for n in range(1, 400)])
        slices = []
        while not (part := manifest.lease_part(LeaseRequest(5, default_room=5))).leased:
            assert not part.done
            slices.append(part)
        assert len(slices) > 3
        assert [item.asset.image_id for item in part.leased] == [wanted]


def test_leases_are_returned_by_a_kill(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(n) for n in range(1, 30)])
        assert len(lease(manifest)) == 29
        manifest.settle([outcome(3, State.VERIFIED)])
    with database(path) as manifest:
        again = [asset.asset_id for asset in lease(manifest)]
        assert again == [n for n in range(1, 30) if n != 3]


def test_what_is_imported_meanwhile_is_handed_out(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)], finish=False)
        assert len(lease(manifest)) == 1
        assert lease(manifest) == []
        import_all(manifest, [row(1), row(2), row(3, host="new.two.test")], finish=False)
        assert {asset.asset_id for asset in lease(manifest)} == {2, 3}


def steps(manifest: Database, request: LeaseRequest) -> tuple[int, int]:
    """SQLite's own count of what a lease did, in thousands of virtual machine steps; its size."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    manifest._connection.set_progress_handler(tick, 1000)
    part = manifest.lease_part(request)
    manifest._connection.set_progress_handler(None, 0)
    return count, len(part.leased)


@pytest.mark.parametrize("one_group", [True, False])
def test_many_hosts_make_no_lease_slow(path: Path, *, one_group: bool) -> None:
    """Neither when all of them have room, nor when a group with very many has none."""
    form = "h{:05}.one.test" if one_group else "h{:05}.test"
    hosts = [form.format(n) for n in range(8000)]
    with database(path) as manifest:
        rows = [row(n, host=host) for n, host in enumerate(hosts, 1)]
        rows += [row(n, host="the.last.zzz") for n in range(9000, 9020)]
        import_all(manifest, rows, batch=10_000)
        cost, got = steps(manifest, LeaseRequest(500, {"last.zzz": 1}, default_room=500))
        assert got == 500
        assert cost < 500
        room = {"one.test": 0} if one_group else {f"h{n:05}.test": 0 for n in range(7000, 8000)}
        for _ in range(3):
            cost, got = steps(manifest, LeaseRequest(10, room, default_room=3))
            assert got > 0
            assert cost < 100


def test_outcomes_need_not_wait_for_a_large_lease(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(n) for n in range(1, 2000)], batch=2000)
        part = manifest.lease_part(LeaseRequest(1_500, default_room=1_500))
        assert 0 < len(part.leased) <= 1_024
        assert not part.done  # so nobody takes it for all that there was
        assert len(lease_many(manifest)) == 1_999 - len(part.leased)


def test_what_is_settled_or_out_costs_no_lease(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(n) for n in range(1, 6000)], batch=6000)
        first, _ = steps(manifest, LeaseRequest(10, default_room=10))
        taken = lease_many(manifest, limit=5900)
        manifest.settle([outcome(asset.asset_id, State.VERIFIED) for asset in taken[:3000]])
        later, got = steps(manifest, LeaseRequest(10, default_room=10))
        assert got == 10
        assert later <= first + 1


GIVEN = re.compile(
    r"SCAN (\d+ CONSTANT ROWS|\d+-ROW VALUES CLAUSE|CONSTANT ROW|\(subquery-\d+\)"
    r"|e VIRTUAL TABLE|[vgh]) "
)
"""What a plan may scan: rows that came with the statement, or that it made itself."""
HOT = [
    bulk
    for module in (importing, settling, ring, tallies)
    for bulk in vars(module).values()
    if isinstance(bulk, Bulk)
]


def test_no_hot_statement_walks_over_a_table(path: Path) -> None:
    """What is walked over are the rows that are given; all else is found by its key."""
    with database(path) as manifest:

        def plan(sql: str) -> list[str]:
            parameters = [None] * (1 if "?1" in sql else sql.count("?"))
            steps = manifest._connection.execute("EXPLAIN QUERY PLAN " + sql, parameters)
            return [step[-1] for step in steps]

        assert len(HOT) >= 15
        for sql in [*(bulk._sql[16] for bulk in HOT), ring.NEXT_GROUPS, ring.HOSTS_WITH_WORK]:
            for step in plan(sql):
                assert not step.startswith("SCAN") or GIVEN.match(step + " "), (step, sql[:80])
                assert "AUTOMATIC" not in step, (step, sql[:80])
        assert any(
            "(grp=? AND host_id>? AND host_id<?)" in step for step in plan(ring.NEXT_HOSTS._sql[16])
        )
