"""The host groups that a frontier knows: each made when it is first named, with what the last run
learned of it, and forgotten when it holds nothing and owes nothing, if there are many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fetcher.model import HostBudget, HostMemory
from fetcher.policy.adapt import Adaptive
from fetcher.policy.breaker import Breaker, BreakerRule
from fetcher.policy.groups import Group
from fetcher.policy.limits import Pace, Throughput


class Registry:
    """``most`` groups are known before those that are idle are looked for."""

    def __init__(
        self, budget_of: Callable[[str], HostBudget], breaker: BreakerRule, *, most: int
    ) -> None:
        self.groups: dict[str, Group] = {}
        """By name."""
        self._budget_of = budget_of
        self._breaker = breaker
        self._least = self._most = most
        self._memories: dict[str, HostMemory] = {}
        """Of the last run, of groups that were not named yet."""
        self._wall_ahead = 0.0
        """What to add to the engine's clock for seconds since the epoch."""
        self._troubled: dict[str, Group] = {}
        self._news: dict[str, Group] = {}
        """Those of them that had trouble since they were last told of."""

    @property
    def is_full(self) -> bool:
        return len(self.groups) >= self._most

    def make(self, name: str, now: float) -> Group:
        """A group that is not known."""
        budget = self._budget_of(name)
        group = Group(
            name,
            budget,
            Pace(budget.rate, budget.burst, now),
            Throughput(budget.bandwidth),
            Adaptive(budget, now),
            Breaker(self._breaker),
        )
        if (memory := self._memories.pop(name, None)) is not None:
            group.recall(memory, now, now + self._wall_ahead)
            self._troubled[name] = group
        self.groups[name] = group
        return group

    def forget_idle(self, now: float) -> bool:
        """Whether the manifest may have assets of those that were forgotten."""
        idle = [
            group
            for group in self.groups.values()
            if not group.held
            and not group.in_flight
            and group.opens_at() <= now
            and group.pace.recovered(now)
            and not group.adaptive.lowered
        ]
        for group in idle:
            del self.groups[group.name]
            self._troubled.pop(group.name, None)
            self._news.pop(group.name, None)
        # Looking at all of them is to be worth its while, also where most are in use.
        self._most = max(self._least, 2 * len(self.groups))
        return any(not group.dry for group in idle)

    # From run to run.

    def recall(self, memories: Iterable[HostMemory], now: float, wall: float) -> None:
        """What the last run knew of its groups; ``now`` is ``wall`` on the engine's clock."""
        self._memories = {memory.group: memory for memory in memories}
        self._wall_ahead = wall - now

    def note_trouble(self, group: Group) -> None:
        """The next run should know of it."""
        self._troubled[group.name] = self._news[group.name] = group

    def memories(self, now: float, wall: float, *, everything: bool = False) -> list[HostMemory]:
        """What the next run should know of the groups that had trouble since this was last asked,
        or of all that ever had.
        """
        told = self._troubled if everything else self._news
        self._news = {}
        return [group.memory(now, wall) for group in told.values()]
