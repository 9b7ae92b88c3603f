"""What the frontier keeps: jobs, and the host groups that they wait in.

A group knows its budget and its lines; where it stands, and whose turn it is, the frontier decides.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from fetcher.model import Asset, HostBudget, Method, Partial
from fetcher.policy.limits import Pace, Throughput


@dataclass(slots=True, eq=False)
class Job:
    """A leased asset on its way: what the next attempt, or the next hop of it, will ask for."""

    asset: Asset
    home: str
    """The host group of the listed URL."""
    memory: int
    """Bytes of the memory budget that an attempt may use."""
    attempt: int
    """Number of the attempt that is under way or comes next; the first is 1."""
    url: str = ""
    group: str = ""
    hops: int = 0
    """Redirects followed in this attempt; ``url`` and ``group`` are where they led."""
    started: float = 0.0
    """When this attempt's first hop was dispatched."""
    asked: float = 0.0
    """When its latest hop was."""
    partial: Partial | None = None
    """What earlier attempts kept of the body."""
    received: int = 0
    """Bytes that the latest hop's body brought over the wire."""
    method: Method = Method.GET
    climbed: int = 0
    """Hops of this attempt that are no redirects: the method before did not tell enough."""
    awaits: str = ""
    """The origin whose robots.txt is to be known first: until then it is in no line."""

    @property
    def is_robots(self) -> bool:
        """Whether it is a robots.txt that is asked for: a request like any, but for no asset."""
        return self.asset.asset_id < 0

    def __post_init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """Back to the listed URL, for a new attempt."""
        self.url, self.group, self.hops, self.climbed = self.asset.url, self.home, 0, 0


class Place(Enum):
    RING = auto()
    TIMERS = auto()
    PARKED = auto()


@dataclass(slots=True, eq=False)
class Group:
    name: str
    budget: HostBudget
    pace: Pace
    throughput: Throughput
    ready: deque[Job] = field(default_factory=deque)
    waiting: list[tuple[float, int, Job]] = field(default_factory=list)
    in_flight: int = 0
    held: int = 0
    cool_until: float = -math.inf
    place: Place = Place.PARKED
    timer: float = math.inf
    """Valid while in ``TIMERS``; entries of the timer heap that differ are stale."""
    dry: bool = False
    """The manifest had no more for it when last asked."""

    def opens_at(self) -> float:
        """When its budget allows a request, as far as time decides."""
        return max(self.pace.ready_at(), self.throughput.ready_at(), self.cool_until)

    def may_start(self, now: float) -> bool:
        return (
            bool(self.ready) and self.in_flight < self.budget.concurrency and self.opens_at() <= now
        )

    def room(self) -> int:
        """How many more assets it can take, as far as the manifest may have them."""
        return 0 if self.dry else max(0, quota(self.budget) - self.held)

    def short(self) -> bool:
        """Whether it should be given more, if there is more."""
        return not self.dry and 2 * self.held <= quota(self.budget)


def quota(budget: HostBudget) -> int:
    """How many assets a group may hold: enough to stay busy while a lease is under way."""
    per_second = 1_000.0 if budget.rate is None else budget.rate
    return max(budget.concurrency, int(min(1_024, max(4 * budget.concurrency, 2 * per_second, 8))))


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """One host group as the progress display shows it. ``cool_until`` is on the engine's clock."""

    name: str
    budget: HostBudget
    in_flight: int
    ready: int
    waiting: int
    cool_until: float
