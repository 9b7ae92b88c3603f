"""What a host group may expect of us, counted where its requests go out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fetcher.model import HostBudget

EPSILON = 1e-6


@dataclass(slots=True)
class Gate:
    """Law 4 for one group: at most ``rate * t + burst`` requests in every window, counted as a
    bucket that was full at the beginning of the world; and what else its host may expect.
    """

    budget: HostBudget
    due: float = -math.inf
    """The theoretical arrival time."""
    paid: float = -math.inf
    closed_until: float = -math.inf
    before: tuple[float, float] = (-math.inf, -math.inf)
    """``paid`` and ``closed_until`` as they were before this very instant: a request may have been
    decided on then, and sent after what this instant brought.
    """
    changed_at: float = -math.inf
    in_flight: int = 0
    sent: int = 0

    def another_run(self) -> None:
        """It may begin with a token, whatever the last one used; nothing else is forgiven."""
        if self.budget.rate is not None:
            self.due -= 1 / self.budget.rate
        self.paid = self.closed_until = self.changed_at = -math.inf
        self.in_flight = 0

    def send(self, now: float) -> str | None:
        """Count a request; what it breaks, if anything."""
        broken = None
        if self.budget.rate is not None:
            interval = 1 / self.budget.rate
            if now < self.due - (self.budget.burst - 1) * interval - EPSILON:
                broken = f"over {self.budget.rate}/s, burst {self.budget.burst}"
            self.due = max(self.due, now) + interval
        same = now == self.changed_at
        paid, closed_until = self.before if same else (self.paid, self.closed_until)
        if now < paid - EPSILON:
            broken = f"over {self.budget.bandwidth} bytes/s"
        if now < closed_until - EPSILON:
            broken = f"before {closed_until:.3f}, as it was asked"
        self.in_flight += 1
        self.sent += 1
        if self.in_flight > self.budget.concurrency:
            broken = f"{self.in_flight} requests at once"
        return broken

    def receive(self, size: int, since: float, now: float) -> None:
        self.in_flight -= 1
        if self.budget.bandwidth is not None:
            self._changes(now)
            self.paid = max(self.paid, since) + size / self.budget.bandwidth

    def unsent(self) -> None:
        """What was counted as a request was none: no time of a transfer has passed."""
        self.in_flight -= 1

    def close(self, until: float, now: float) -> None:
        self._changes(now)
        self.closed_until = max(self.closed_until, until)

    def _changes(self, now: float) -> None:
        if now > self.changed_at:
            self.before = (self.paid, self.closed_until)
            self.changed_at = now
