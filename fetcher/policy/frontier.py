"""The frontier: which leased asset may start now.

A pure state machine. The engine tells it what happened (leased, finished, retry at, cool down …)
and asks ``next(now)``, which answers with one of these values:

    Dispatch(job)   start this one now; a request has been charged to its host group
    Send(job)       a request that was put off may be sent now
    TurnBack(job)   it may not, for longer than it should wait: break it off
    WaitUntil(at)   nothing before ``at``, unless something happens first
    Idle()          nothing until something happens (a slot, memory, a lease)
    Drained()       it holds no asset at all

Each host group is in exactly one place:

    ring      it could start a request now; groups take turns, so none starves another
    timers    it could at a known time: a token, the end of a cool-down, a retry that is due
    parked    it could after an event: one of its requests ends, or it is given assets

A job that ``awaits`` an origin is in none of its group's lines until that origin is released.

An asset that waits for its retry is an entry in its group's heap: it holds no slot, no task and no
memory but its own. Every operation costs O(log n) in the number of groups or of waiting assets, but
for those that come once for many assets (a lease, a stir, a withdrawal): these look at all groups.

In a group with a rate, what is dispatched has leave to be sent at once, as a rule. If it cannot be,
as its connection is still to be opened, it is ``put_off``; when it could be, it ``asks_for_leave``,
and waits in a line of its own (``fetcher.policy.turns``).

A job passes through here as: add → Dispatch → finished (its connection is free again) → settled,
or retry, or redirected; or it is turned_back before it was sent. Its global slot and its memory
stay taken from Dispatch until the last of these; the engine calls ``settled`` when the manifest has
committed, so the number of slots is also the number of attempts that a crash can cost (law 5).

What more to lease is ``fetcher.policy.demand``'s matter, which groups there are
``fetcher.policy.registry``'s.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from fetcher.model import Fault, HostBudget, HostMemory, LeaseRequest
from fetcher.policy.breaker import BreakerRule, Outage
from fetcher.policy.demand import Demand
from fetcher.policy.groups import Change, Group, GroupStatus, Job, Leave, Place, quota
from fetcher.policy.registry import Registry
from fetcher.policy.turns import PATIENCE, Send, TurnBack, Turns


class Dispatch(Struct, frozen=True):
    job: Job


class WaitUntil(Struct, frozen=True):
    at: float


class Idle(Struct, frozen=True):
    pass


class Drained(Struct, frozen=True):
    pass


Decision = Dispatch | Send | TurnBack | WaitUntil | Idle | Drained
_IDLE, _DRAINED = Idle(), Drained()


class Frontier:
    """See the module's text. Not thread-safe: one event loop owns it."""

    FORGET_ABOVE = 4_096
    """Groups beyond this number are forgotten when they hold nothing and owe nothing."""

    def __init__(
        self,
        *,
        concurrency: int,
        memory: int,
        capacity: int,
        budget_of: Callable[[str], HostBudget],
        breaker: BreakerRule = BreakerRule(),  # noqa: B008  immutable
    ) -> None:
        self._concurrency = concurrency
        self._memory = memory
        self._capacity = capacity
        self._registry = Registry(budget_of, breaker, most=self.FORGET_ABOVE)
        self._groups = self._registry.groups
        self._demand = Demand(self._groups, capacity=capacity, stranger=quota(budget_of("")))
        self._ring: deque[Group] = deque()
        self._timers: list[tuple[float, int, Group]] = []
        self._turns = Turns()
        self._aside: dict[str, list[Job]] = {}
        self._set_aside_now = 0
        self._sequence = 0
        self._slots_taken = 0
        self._memory_taken = 0
        self._paused_until = -math.inf

    # What the engine may look at.

    @property
    def held(self) -> int:
        """Assets that are leased and not settled."""
        return self._demand.held

    @property
    def slots_taken(self) -> int:
        """Attempts between their dispatch and their settlement."""
        return self._slots_taken

    @property
    def memory_taken(self) -> int:
        return self._memory_taken

    @property
    def hungry(self) -> bool:
        """Whether ``wants`` has something to ask for."""
        return self._demand.unmet

    @property
    def crowded(self) -> bool:
        """Whether so many assets await their origins that the others may run out of room: at half
        of the capacity, strangers would no longer be leased, and this is to be known before that.
        """
        return 4 * self._set_aside_now > self._capacity

    def awaiting(self, origin: str) -> int:
        """Assets that await ``origin``."""
        return len(self._aside.get(origin, ()))

    def outage(self, name: str, few: int, now: float) -> Outage:
        """Whether the last ``few`` answers of a group were failures, and how long that is borne."""
        group = self._groups.get(name)
        return group.breaker.outage(few, now) if group is not None else Outage.NONE

    def status(self, now: float) -> Iterator[GroupStatus]:
        """The groups that hold assets."""
        for group in self._groups.values():
            if group.held:
                yield group.status(now)

    # From run to run.

    def recall(self, memories: Iterable[HostMemory], now: float, wall: float) -> None:
        """What the last run knew of its host groups; before anything is added."""
        self._registry.recall(memories, now, wall)

    def memories(self, now: float, wall: float, *, everything: bool = False) -> list[HostMemory]:
        """What the next run should know of the groups that had trouble since this was last asked,
        or of all that ever had.
        """
        return self._registry.memories(now, wall, everything=everything)

    # Leasing.

    def wants(self) -> LeaseRequest | None:
        """What to lease, or ``None`` while there is enough of everything."""
        return self._demand.request()

    def fed(
        self,
        asked: LeaseRequest,
        jobs: Iterable[Job],
        now: float,
        *,
        adopted: Iterable[Job] = (),
        exhausted: bool = True,
    ) -> None:
        """Take in what the lease that ``wants`` asked for brought, and note what it did not bring.

        ``adopted`` came with it, but needs no request. ``exhausted`` is whether the manifest looked
        everywhere, so that what is missing to ``asked.limit`` is not there.
        """
        brought = [job.group for job in adopted]
        for job in jobs:
            brought.append(job.group)
            self.add(job, now)
        self._demand.answered(asked, brought, exhausted=exhausted)

    def stirred(self) -> None:
        """The manifest may have assets again that it had not: rows were imported or reopened."""
        self._demand.stirred()

    def add(self, job: Job, now: float, *, first: bool = False, due: float = -math.inf) -> None:
        """Take in one leased asset: at the end of its group's line, ``first``, or when ``due``."""
        group = self._group(job.group, now)
        self._demand.entered(group)
        if job.awaits:
            self._set_aside(job)
        elif due > now:
            self._let_wait(job, due, group)
        elif first:
            group.ready.appendleft(job)
        else:
            group.ready.append(job)
        self._settle_place(group, now)

    def release(self, origin: str) -> list[Job]:
        """Hand back all jobs that await ``origin``: they are to be added again, or settled."""
        jobs = self._aside.pop(origin, [])
        self._set_aside_now -= len(jobs)
        for job in jobs:
            job.awaits = ""
            self._demand.left(self._groups[job.group])
        return jobs

    # The decision.

    def next(self, now: float) -> Decision:
        """What may start at ``now``; see the module's text."""
        if not self._turns:
            return self._next_start(now)
        pause = self._paused_until - now
        if 0 < pause <= PATIENCE:
            return WaitUntil(self._paused_until)
        decision = self._turns.next(now, paused=pause > 0) or self._next_start(now)
        if isinstance(decision, Idle | WaitUntil):
            at = decision.at if isinstance(decision, WaitUntil) else math.inf
            at = min(at, self._turns.look_at())
            return WaitUntil(at) if at < math.inf else _IDLE
        return decision

    def _next_start(self, now: float) -> Decision:
        self._wake_due(now)
        if now < self._paused_until:
            return WaitUntil(self._paused_until)
        if self._demand.held == 0:
            return _DRAINED
        if self._slots_taken >= self._concurrency:
            return _IDLE
        while self._ring:
            group = self._ring[0]
            if not group.may_start(now):
                self._ring.popleft()
                group.place = Place.PARKED
                self._settle_place(group, now)
                continue
            # One job is always let through: a budget smaller than it must not stop the run.
            needed = group.ready[0].memory
            if self._memory_taken and self._memory_taken + needed > self._memory:
                return _IDLE
            self._ring.popleft()
            return Dispatch(self._start(group, now))
        return WaitUntil(self._timers[0][0]) if self._timers else _IDLE

    def _start(self, group: Group, now: float) -> Job:
        job = group.ready.popleft()
        job.asked = now
        if not job.hops:
            job.started = now
        group.start(job, now)
        group.place = Place.PARKED
        self._slots_taken += 1
        self._memory_taken += job.memory
        self._settle_place(group, now)
        return job

    # What happened to a dispatched job before it was sent: told in groups with a rate only.

    def put_off(self, job: Job, now: float) -> None:
        """It has to wait for its connection: others may be sent meanwhile."""
        if job.leave is Leave.GIVEN:
            job.leave = Leave.PUT_OFF
            group = self._groups[job.group]
            group.pace.put_off()
            self._pace_changed(group, now)

    def asks_for_leave(self, job: Job, now: float) -> None:
        """It had been put off, and could be sent now."""
        if job.leave is Leave.PUT_OFF:
            group = self._groups[job.group]
            self._turns.asks(job, group)
            self._settle_place(group, now)

    def sent(self, job: Job, now: float) -> None:
        """It was sent, at ``now`` or before that."""
        if job.leave is Leave.GIVEN:
            job.leave = Leave.NEEDS_NONE
            group = self._groups[job.group]
            group.pace.sent(now)
            self._pace_changed(group, now)

    def _pace_changed(self, group: Group, now: float) -> None:
        self._turns.changed(group)
        self._settle_place(group, now)

    def _ended_unsent(self, job: Job, group: Group, now: float) -> None:
        group.ended_unsent(job, now)
        self._turns.changed(group)

    # What happened to a dispatched job.

    def finished(
        self, job: Job, received: int, now: float, fault: Fault | None = None
    ) -> Change | None:
        """Its connection is free again, ``received`` body bytes later. ``fault`` is what came
        instead of an image or a redirect; the answer is whether that changed the group's limits.
        """
        group = self._groups[job.group]
        if job.leave is not Leave.NEEDS_NONE:
            self._ended_unsent(job, group, now)
        change = group.ended(job, fault, now)
        if change is not None:
            self._registry.note_trouble(group)
        group.throughput.spend(received, job.asked)
        self._settle_place(group, now)
        return change

    def abandoned(self, job: Job, now: float) -> None:
        """We broke its request off ourselves, which says nothing of its host group."""
        group = self._groups[job.group]
        if job.leave is not Leave.NEEDS_NONE:
            self._ended_unsent(job, group, now)
        group.in_flight -= 1
        self._settle_place(group, now)

    def turned_back(self, job: Job, now: float) -> None:
        """It was not sent: the same request again, once it may be."""
        group = self._groups[job.group]
        if job.leave is not Leave.NEEDS_NONE:
            self._ended_unsent(job, group, now)
        group.in_flight -= 1
        self._free(job)
        # In front: it has waited in line already.
        group.ready.appendleft(job)
        self._settle_place(group, now)

    def settled(self, job: Job) -> None:
        """It reached a terminal state, and the manifest says so."""
        self._free(job)
        self._demand.left(self._groups[job.group])

    def retry(self, job: Job, due: float, now: float) -> None:
        """Its attempt came to nothing; another, from the listed URL, may start at ``due``."""
        self._free(job)
        self._demand.left(self._groups[job.group])
        job.start_over()
        group = self._group(job.group, now)
        self._demand.entered(group)
        self._let_wait(job, due, group)
        self._settle_place(group, now)

    def redirected(self, job: Job, url: str, group: str, now: float) -> None:
        """It goes on at ``url``, in ``group``: the same attempt, another request."""
        self._free(job)
        self._demand.left(self._groups[job.group])
        job.url, job.group = url, group
        job.hops += 1
        target = self._group(group, now)
        self._demand.entered(target)
        if job.awaits:
            self._set_aside(job)
        else:
            # In front: it has waited in its first group's line already.
            target.ready.appendleft(job)
        self._settle_place(target, now)

    def withdraw(self) -> list[Job]:
        """Take out all jobs that are not in flight, to give them back to the manifest.

        A frontier that is to go on after this is to be told so: the manifest is ``stirred``.
        """
        taken: list[Job] = []
        for group in self._groups.values():
            jobs = [*group.ready, *(job for _, _, job in group.waiting)]
            group.ready.clear()
            group.waiting.clear()
            group.held -= len(jobs)
            group.place = Place.PARKED
            taken += jobs
        for jobs in self._aside.values():
            for job in jobs:
                self._groups[job.group].held -= 1
            taken += jobs
        self._aside.clear()
        self._set_aside_now = 0
        self._ring.clear()
        self._timers.clear()
        self._demand.held -= len(taken)
        return taken

    # What happened to a host group, or to us.

    def cool_down(self, name: str, until: float, now: float, code: str | None = None) -> None:
        """No request to this group before ``until``; a later end wins over an earlier one."""
        group = self._group(name, now)
        if until <= group.cool_until:
            return
        group.cool_down(until, code, now)
        self._registry.note_trouble(group)
        self._settle_place(group, now)

    def pause(self, until: float) -> None:
        """A fault of our own side: no request to anyone before ``until``."""
        self._paused_until = max(self._paused_until, until)

    # Inside.

    def _group(self, name: str, now: float) -> Group:
        group = self._groups.get(name)
        if group is None:
            if self._registry.is_full:
                self._forget_idle(now)
            group = self._registry.make(name, now)
        return group

    def _forget_idle(self, now: float) -> None:
        if self._registry.forget_idle(now):
            self._demand.strangers_stirred()  # they are among them now

    def _set_aside(self, job: Job) -> None:
        self._aside.setdefault(job.awaits, []).append(job)
        self._set_aside_now += 1

    def _let_wait(self, job: Job, due: float, group: Group) -> None:
        self._sequence += 1
        heapq.heappush(group.waiting, (due, self._sequence, job))

    def _free(self, job: Job) -> None:
        self._slots_taken -= 1
        self._memory_taken -= job.memory

    def _settle_place(self, group: Group, now: float) -> None:
        """Put ``group`` where it belongs after something changed for it.

        A group in the ring stays there; ``next`` looks again whether it may start.
        """
        while group.waiting and group.waiting[0][0] <= now:
            group.ready.append(heapq.heappop(group.waiting)[2])
        if group.place is Place.RING:
            return
        if group.in_flight >= group.limit:
            group.place = Place.PARKED
        elif group.ready:
            opens_at = group.opens_at()
            if opens_at <= now:
                group.place = Place.RING
                self._ring.append(group)
            else:
                self._set_timer(group, opens_at)
        elif group.waiting:
            self._set_timer(group, max(group.waiting[0][0], group.opens_at()))
        else:
            group.place = Place.PARKED

    def _set_timer(self, group: Group, at: float) -> None:
        if group.place is Place.TIMERS and group.timer == at:
            return
        group.place, group.timer = Place.TIMERS, at
        self._sequence += 1
        heapq.heappush(self._timers, (at, self._sequence, group))

    def _wake_due(self, now: float) -> None:
        timers = self._timers
        while timers:
            at, _, group = timers[0]
            stale = group.place is not Place.TIMERS or group.timer != at
            if not stale and at > now:
                return
            heapq.heappop(timers)
            if not stale:
                group.place = Place.PARKED
                self._settle_place(group, now)
