"""Laws 1, 5 and 6 as the manifest keeps them, over random lives of one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo
from fetcher.model import BadRow, Expectation, LeaseRequest, Outcome, Row, State
from tests.conformance.manifest_suite import group_of, outcome
from tests.manifest.opened import NOON, asset_of, check_laws, pending_among, source

URLS = ["https://a.one.test/{}", "https://b.one.test/{}", "https://c.two.test/{}", "ftp://x/{}"]
TERMINAL = [state for state in State if state.terminal]
KEPT_IN = {State.VERIFIED: "images", State.UNVERIFIED: "images", State.MISMATCHED: "mismatched"}

Drawn = tuple[int, str, int | None, str, bool]

values = st.tuples(
    st.integers(0, 30),  # id
    st.sampled_from(URLS),
    st.sampled_from([None, 10, 20]),  # size
    st.sampled_from(["", "train"]),
    st.booleans(),  # bad
)


def to_row(line: int, drawn: Drawn) -> Row | BadRow:
    n, url, size, subset, bad = drawn
    if bad and n % 3 == 0:
        return BadRow(line, "bad-size", "not a number", f"row {n}")
    image_id = f"{n:05}"
    return Row(line, image_id, subset, url.format(image_id), Expectation(size), (f"title {n}",))


class Life(RuleBasedStateMachine):
    """Lists grow and change, runs come and go, and assets are fetched in between."""

    @initialize(lists=st.lists(st.lists(values, max_size=30), min_size=1, max_size=3))
    def begin(self, lists: list[list[Drawn]]) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.lists = [[to_row(i + 2, drawn) for i, drawn in enumerate(rows)] for rows in lists]
        self.versions = [0] * len(lists)
        self.readings: dict[int, tuple[int, int]] = {}
        """By list: the source that is being read, and its position."""
        self.settled: set[int] = set()
        self.open()

    def open(self) -> None:
        self.database = Database.open(
            self.folder / "manifest.sqlite",
            command="test",
            group_of=group_of,
            wall=lambda: NOON,
        )
        self.database.begin_run(RunInfo("test", "0"))
        self.leased: dict[int, int] = {}
        """Attempts by leased asset."""
        self.readings.clear()

    @property
    def changed(self) -> set[int]:
        """Assets that a list reopened: settled once, pending again."""
        pending = pending_among(self.database, self.settled)
        self.settled -= pending
        return pending

    @rule(which=st.integers(0, 2))
    def begin_source(self, which: int) -> None:
        which %= len(self.lists)
        if which not in self.readings:
            info, version = source(f"{which}.csv"), str(self.versions[which])
            cursor = self.database.begin_source(info, version)
            if not cursor.complete:
                self.readings[which] = (cursor.source_id, cursor.after_line)

    @precondition(lambda self: self.readings)
    @rule(data=st.data(), size=st.integers(1, 12))
    def import_rows(self, data: st.DataObject, size: int) -> None:
        which = data.draw(st.sampled_from(sorted(self.readings)))
        source_id, position = self.readings[which]
        batch = [row for row in self.lists[which] if row.line > position][:size]
        if not batch:
            self.database.finish_source(source_id)
            del self.readings[which]
            return
        tally = self.database.import_rows(source_id, batch, batch[-1].line)
        assert tally.read == len(batch) == tally.accepted + tally.duplicate + tally.rejected
        self.readings[which] = (source_id, batch[-1].line)

    @rule(which=st.integers(0, 2), rows=st.lists(values, max_size=20), grow=st.booleans())
    def edit_list(self, which: int, rows: list[Drawn], *, grow: bool) -> None:
        which %= len(self.lists)
        if which in self.readings:
            return  # nobody edits a list while it is read
        kept = self.lists[which] if grow else []
        self.lists[which] = [
            *kept,
            *(to_row(len(kept) + i + 2, drawn) for i, drawn in enumerate(rows)),
        ]
        self.versions[which] += 1

    @precondition(lambda self: not self.readings)
    @rule()
    def finish_import(self) -> None:
        self.database.finish_import()

    @rule(limit=st.integers(0, 9), room=st.integers(0, 4))
    def lease(self, limit: int, room: int) -> None:
        self.take(LeaseRequest(limit, {"two.test": room}, default_room=3))

    def take(self, request: LeaseRequest) -> None:
        part = self.database.lease_part(request)
        for item in part.leased:
            asset = item.asset
            assert asset.asset_id not in self.leased  # no double lease
            assert asset.asset_id not in self.settled - self.changed  # law 5
            self.leased[asset.asset_id] = asset.attempts

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.leased)), unique=True))
        self.database.give_back(ids)
        for asset_id in ids:
            del self.leased[asset_id]

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.leased)), unique=True))
        outcomes: list[Outcome] = []
        for asset_id in ids:
            attempt = self.leased[asset_id] + 1
            if data.draw(st.booleans()):
                outcomes.append(outcome(asset_id, State.PENDING, attempt, code="stalled"))
                attempt += 1
            state = data.draw(st.sampled_from([State.PENDING, *TERMINAL]))
            if state is State.PENDING:
                outcomes.append(outcome(asset_id, state, attempt, code="http-5xx"))
                self.leased[asset_id] = attempt
            else:
                outcomes.append(self.ending(asset_id, state, attempt))
                del self.leased[asset_id]
        self.database.settle(outcomes)
        ended = {o.asset_id for o in outcomes if o.state.terminal}
        self.settled |= ended - pending_among(self.database, ended)

    def ending(self, asset_id: int, state: State, attempt: int) -> Outcome:
        asset = asset_of(self.database, asset_id)
        path = None
        if state in KEPT_IN:
            folder = f"{KEPT_IN[state]}/{asset.subset}".rstrip("/")
            path = f"{folder}/{asset.image_id[:3]}/{asset.image_id}.jpg"
        return outcome(asset_id, state, attempt, actual_size=asset.expected.size or 7, path=path)

    @rule()
    def kill_and_resume(self) -> None:
        """What a kill leaves is what was committed."""
        self.database._connection.close()
        self.database._lock.release()
        self.open()

    @rule()
    def end_and_resume(self) -> None:
        self.database.end_run(0)
        self.database.close()
        self.open()

    @invariant()
    def laws_hold(self) -> None:
        if hasattr(self, "database"):
            check_laws(self.database._connection, self.database.tally())

    def teardown(self) -> None:
        if not hasattr(self, "database"):
            return
        # Nothing is lost: whatever is pending and not leased can be leased, and nothing else.
        leased_before = set(self.leased)
        while True:
            before = len(self.leased)
            self.take(LeaseRequest(7, default_room=5))
            if len(self.leased) == before:
                break
        everything = range(1, self.database.tally().total + 1)
        pending = pending_among(self.database, everything)
        assert set(self.leased) - leased_before == pending - leased_before
        self.database.close()
        shutil.rmtree(self.folder)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
