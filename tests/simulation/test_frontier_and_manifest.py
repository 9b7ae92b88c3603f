"""The real frontier and the real manifest, together, against a model that is two dictionaries.

Each has its own model test; this one is about what is between them. An asset is in one place at a
time: pending and not leased, on its way, held by the frontier, or settled; and a run that stands
still has nothing left to do. Laws 1, 4 and 5 hold after every step.
"""

from __future__ import annotations

import shutil
import tempfile
from itertools import count
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo
from fetcher.model import (
    Asset,
    Expectation,
    HostBudget,
    LeaseRequest,
    Outcome,
    Row,
    SourceInfo,
    State,
)
from fetcher.policy.frontier import Dispatch, Drained, Frontier, WaitUntil
from fetcher.policy.groups import Job
from tests.conformance.manifest_suite import group_of
from tests.manifest.opened import NOON, check_laws, images
from tests.simulation.gate import Gate
from tests.simulation.records import Records

CONCURRENCY, MEMORY, CAPACITY = 5, 100, 16
BUDGETS = {
    "a.test": HostBudget(rate=None, burst=1, concurrency=3),
    "b.test": HostBudget(rate=2.0, burst=3, concurrency=2),
    "c.test": HostBudget(rate=0.5, burst=1, concurrency=4),
    "d.test": HostBudget(rate=None, burst=1, concurrency=1, bandwidth=100.0),
}
GROUPS = st.sampled_from(sorted(BUDGETS))
STEPS = st.sampled_from([0.0, 0.1, 0.505, 2.0, 30.0])
ENDS = st.sampled_from([State.PENDING, State.GONE, State.FAILED, State.VERIFIED])
CODES = {State.PENDING: "stalled", State.GONE: "http-404", State.FAILED: "http-5xx"}


class RunMachine(RuleBasedStateMachine):
    @initialize(numbers=st.lists(st.integers(0, 9), min_size=4, max_size=4))
    def it_begins(self, numbers: list[int]) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "manifest.sqlite"
        self.now = 1_000.0
        self.records = Records(group_of)
        self.numbers, self.versions = count(1), count(1)
        self.rows: dict[str, Row] = {}
        self.reading: tuple[int, list[Row]] | None = None
        self.gates = {name: Gate(budget) for name, budget in BUDGETS.items()}
        self.open()
        for name, number in zip(sorted(BUDGETS), numbers, strict=True):
            self.a_list_is_opened(name, number, 0)
            self.the_list_is_read(100)
        self.the_feeder_has_its_way()

    def open(self) -> None:
        self.database = Database.open(
            self.path, command="test", group_of=group_of, wall=lambda: NOON
        )
        self.database.begin_run(RunInfo("test", "0"))
        self.records.forget_leases()
        self.reading = None
        self.frontier = Frontier(
            concurrency=CONCURRENCY,
            memory=MEMORY,
            capacity=CAPACITY,
            budget_of=lambda name: BUDGETS.get(name, BUDGETS["a.test"]),
        )
        self.lease: tuple[LeaseRequest, list[Job], bool] | None = None
        self.running: dict[int, Job] = {}
        self.ended: dict[int, Job] = {}
        for gate in self.gates.values():
            gate.another_run()

    # The lists.

    @precondition(lambda self: self.reading is None)
    @rule(name=GROUPS, new=st.integers(0, 9), changed=st.integers(0, 4))
    def a_list_is_opened(self, name: str, new: int, changed: int) -> None:
        """New rows, and known ones with other values; a host more is a host more to go round."""
        version = next(self.versions)
        again = sorted(self.rows)[version % 3 : version % 3 + changed]
        self.open_list(version, again, name, new)

    def open_list(self, version: int, again: list[str], name: str, new: int) -> None:
        rows = [self.row(name, next(self.numbers)) for _ in range(new)]
        rows += [self.another(self.rows[image_id], version) for image_id in again]
        lines = [replace(row, line=n + 2) for n, row in enumerate(rows)]
        self.rows.update((row.image_id, row) for row in lines)
        info = SourceInfo(f"/{version}.csv", None, ())
        cursor = self.database.begin_source(info, "1")
        self.records.begin(version)
        self.reading = cursor.source_id, lines

    @precondition(lambda self: self.reading is None and (self.running or self.ended))
    @rule(data=st.data())
    def a_list_changes_what_is_under_way(self, data: st.DataObject) -> None:
        out = {job.asset.image_id for job in (*self.running.values(), *self.ended.values())}
        again = data.draw(st.lists(st.sampled_from(sorted(out)), unique=True, min_size=1))
        self.open_list(next(self.versions), again, "a.test", 0)
        self.the_list_is_read(100)

    @staticmethod
    def row(name: str, number: int) -> Row:
        image_id = f"{number:05}"
        url = f"https://h{number % 2}.{name}/{image_id}"
        return Row(0, image_id, "", url, Expectation(number % 4 * 20))

    @staticmethod
    def another(row: Row, version: int) -> Row:
        if version % 2:
            return replace(row, expected=Expectation((row.expected.size or 0) + 1))
        if version % 4:
            return replace(row, url=f"ftp://x/{version}")
        return replace(row, url=f"https://h.a.test/{row.image_id}/{version}")

    @precondition(lambda self: self.reading is not None)
    @rule(number=st.sampled_from([2, 100]))
    def the_list_is_read(self, number: int) -> None:
        assert self.reading is not None
        source_id, lines = self.reading
        part, rest = lines[:number], lines[number:]
        if part:
            self.database.import_rows(source_id, part, part[-1].line)
            self.records.take_in(part)
            self.frontier.stirred()
        self.reading = source_id, rest
        if not rest:
            self.database.finish_source(source_id)
            self.database.finish_import()
            self.records.finish()
            self.reading = None

    # The feeder.

    @precondition(lambda self: self.lease is None and self.frontier.hungry)
    @rule()
    def a_lease_is_taken(self) -> None:
        request = self.frontier.wants()
        assert request is not None
        part = self.database.lease_part(request)
        assets = [leased.asset for leased in part.leased]
        for asset in assets:
            record = self.records.by_id[asset.asset_id]
            assert asset.asset_id not in self.records.leased  # not twice
            assert record.state is State.PENDING  # law 5
            assert asset == record.asset
        self.records.withhold(assets)
        self.records.hand_out(assets)
        self.lease = request, [self.job(asset) for asset in assets], part.done

    @staticmethod
    def job(asset: Asset) -> Job:
        memory = asset.expected.size or 0
        return Job(asset, group_of(asset.host), memory, asset.attempts + 1)

    @precondition(lambda self: self.lease is not None)
    @rule(adopt=st.sampled_from([0, 0, 1]))
    def the_lease_arrives(self, adopt: int) -> None:
        assert self.lease is not None
        request, jobs, exhausted = self.lease
        self.lease = None
        adopted, fresh = jobs[:adopt], jobs[adopt:]
        self.frontier.fed(request, fresh, self.now, adopted=adopted, exhausted=exhausted)
        self.commit([self.outcome(job, State.VERIFIED, attempt=0) for job in adopted])

    @precondition(lambda self: self.lease is None)
    @rule()
    def the_feeder_has_its_way(self) -> None:
        for _ in range(100):
            if not self.frontier.hungry:
                return
            self.a_lease_is_taken()
            self.the_lease_arrives(0)
        raise AssertionError("the frontier asks for ever")

    # The runners.

    @rule(most=st.sampled_from([1, 100]))
    def what_may_start_starts(self, most: int) -> None:
        for _ in range(most):
            decision = self.frontier.next(self.now)
            if not isinstance(decision, Dispatch):
                return
            job = decision.job
            asset_id = job.asset.asset_id
            assert asset_id in self.records.leased
            assert asset_id not in self.running
            assert self.gates[job.group].send(self.now) is None  # law 4
            self.running[asset_id] = job

    @precondition(lambda self: self.running)
    @rule(data=st.data(), received=st.sampled_from([0, 50, 300]))
    def a_request_ends(self, data: st.DataObject, received: int) -> None:
        self.ends(data.draw(st.sampled_from(sorted(self.running))), received)

    def ends(self, asset_id: int, received: int) -> Job:
        job = self.ended[asset_id] = self.running.pop(asset_id)
        self.gates[job.group].receive(received, job.asked, self.now)
        self.frontier.finished(job, received, self.now)
        return job

    @precondition(lambda self: self.running)
    @rule(data=st.data(), name=GROUPS)
    def a_request_leads_elsewhere(self, data: st.DataObject, name: str) -> None:
        job = self.ends(data.draw(st.sampled_from(sorted(self.running))), 0)
        del self.ended[job.asset.asset_id]
        self.frontier.redirected(job, f"https://r.{name}/1", name, self.now)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def a_request_ends_by_our_own_fault(self, data: st.DataObject) -> None:
        job = self.ends(data.draw(st.sampled_from(sorted(self.running))), 0)
        del self.ended[job.asset.asset_id]
        self.frontier.retry(job, self.now, self.now)

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), delay=STEPS)
    def a_batch_is_settled(self, data: st.DataObject, delay: float) -> None:
        keys = data.draw(st.lists(st.sampled_from(sorted(self.ended)), unique=True, min_size=1))
        jobs = [self.ended.pop(key) for key in keys]
        outcomes = [self.outcome(job, data.draw(ENDS)) for job in jobs]
        self.settles(jobs, outcomes, delay)

    def settles(self, jobs: list[Job], outcomes: list[Outcome], delay: float) -> None:
        self.commit(outcomes)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.state is State.PENDING:
                job.attempt += 1
                self.frontier.retry(job, self.now + delay, self.now)
            else:
                self.frontier.settled(job)

    def outcome(self, job: Job, state: State, attempt: int | None = None) -> Outcome:
        asset = job.asset
        kept = state is State.VERIFIED
        return Outcome(
            asset_id=asset.asset_id,
            state=state,
            attempt=job.attempt if attempt is None else attempt,
            started_at=NOON,
            elapsed=0.5,
            code=CODES.get(state),
            actual_size=asset.expected.size if kept else None,
            path=f"images/{asset.image_id[:3]}/{asset.image_id}.jpg" if kept else None,
        )

    def commit(self, outcomes: list[Outcome]) -> None:
        available = self.database.settle(outcomes)
        expected = False
        for outcome in outcomes:
            expected |= self.records.settle(outcome)
        assert available == expected
        if available:
            self.frontier.stirred()

    # What befalls the run.

    @rule(name=GROUPS, seconds=STEPS)
    def a_host_wants_to_be_left_alone(self, name: str, seconds: float) -> None:
        self.frontier.cool_down(name, self.now + seconds, self.now)
        self.gates[name].close(self.now + seconds, self.now - 1e-9)

    @precondition(lambda self: self.lease is None)
    @rule()
    def what_is_held_is_given_back(self) -> None:
        given = [job.asset.asset_id for job in self.frontier.withdraw()]
        self.database.give_back(given)
        self.records.give_back(given)
        self.frontier.stirred()

    @rule()
    def it_is_killed_and_begun_again(self) -> None:
        """What was committed stays; nothing is asked for again that was settled."""
        self.database._connection.close()
        self.database._lock.release()
        self.open()

    @rule(seconds=STEPS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def time_passes_until_something_may_start(self) -> None:
        decision = self.frontier.next(self.now)
        if isinstance(decision, Dispatch):
            asset_id = decision.job.asset.asset_id
            assert self.gates[decision.job.group].send(self.now) is None
            self.running[asset_id] = decision.job
        elif isinstance(decision, WaitUntil):
            self.now = decision.at

    # What holds after every step.

    @invariant()
    def law_1(self) -> None:
        """The counts agree with each other, and with a count."""
        if hasattr(self, "database"):
            tally = self.database.tally()
            check_laws(self.database._connection, tally)
            assert tally.total == len(self.records.by_id)
            assert tally.pending == self.records.pending

    @invariant()
    def every_asset_is_in_one_place(self) -> None:
        if hasattr(self, "database"):
            on_its_way = len(self.lease[1]) if self.lease is not None else 0
            assert self.frontier.held + on_its_way == len(self.records.leased)
            assert self.frontier.slots_taken == len(self.running) + len(self.ended)
            assert self.frontier.slots_taken <= CONCURRENCY

    @invariant()
    def who_stands_still_has_nothing_to_do(self) -> None:
        """What the engine takes for the end is the end."""
        if not hasattr(self, "database") or self.lease is not None:
            return
        if not self.frontier.hungry and not self.frontier.held:
            assert self.records.pending == 0

    def teardown(self) -> None:
        """The run is brought to its end: nothing is lost, and the manifest and the model agree."""
        if not hasattr(self, "database"):
            return
        if self.lease is not None:
            self.the_lease_arrives(0)
        while self.reading is not None:
            self.the_list_is_read(100)
        for _ in range(10_000):
            self.the_feeder_has_its_way()
            self.what_may_start_starts(100)
            for asset_id in sorted(self.running):
                self.ends(asset_id, 10)
            jobs = [self.ended.pop(key) for key in sorted(self.ended)]
            self.settles(jobs, [self.outcome(job, State.GONE) for job in jobs], 0.0)
            if not jobs and not self.frontier.hungry:
                decision = self.frontier.next(self.now)
                if isinstance(decision, Drained):
                    break
                assert isinstance(decision, WaitUntil), decision
                self.now = decision.at
        assert self.records.pending == 0
        self.law_1()
        found = {row["image_id"]: (row["url"], row["state"]) for row in images(self.path)}
        assert found == {
            record.asset.image_id: (record.asset.url, record.state.value)
            for record in self.records.by_id.values()
        }
        self.database.close()
        shutil.rmtree(self.folder)


RunMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestRun = RunMachine.TestCase
