"""How much of its budget a host group is asked for: limits that follow what its answers say.

Two limits move inside the budget, and never beyond it (law 4 is the budget's own matter):

    concurrency   a window, as TCP's: it doubles each round trip at first, then grows by one for
                  each round trip that used it up; a refusal or a strain cuts it
    rate          no limit but the budget's until the host refuses, except that a budget of many
                  requests per second is approached from ``FIRST_RATE`` on. From the first refusal
                  on starts are spaced evenly: a burst is what a host with a limit refuses first

What a refusal says of the rate lies between two numbers: the rate at which we asked (``high``, too
much) and that at which it has let us since the last refusal (``low``, not too much). The new rate
is their geometric mean, but at least an eighth of ``high`` and at most ``CUT`` of it: far above the
host's limit a few steps bisect the way down, near it one small step is enough. Refusals with
nothing in between say less: that the host has shut us out for a while.

Then it grows as CUBIC's window does (RFC 9438), from the new rate over ``high`` and beyond: fast at
first, flat near the rate that is known to be bad, fast again when that turns out to be good. The
time to the bad rate, an epoch, is long enough that refusals stay rare in whatever terms they hurt:
in requests, in round trips (what is under way is refused along) and in the pauses that they cost;
and it doubles up to three times while the same limit is found again. It is counted while answers
come and the rate is what holds the group back, so an idle group does not grow.

A decrease happens at most once per round trip: requests that were under way at the last one say
nothing new. A refusal that does not say for how long pauses the group for one round trip: by then
the answers to what was under way are in, and what comes next is told of the lower rate alone. More
is not needed, as the lower rate lets the host's bucket fill up again; where it does not, all that
comes back are refusals, and the circuit breaker opens (``fetcher.policy.breaker``).

Nothing here reads a clock; a group without trouble costs a few comparisons for each answer.
"""

from __future__ import annotations

import math
from typing import Final

from fetcher.model import HostBudget, HostMemory
from fetcher.policy.health import Health

FIRST_CONCURRENCY: Final = 4
"""Requests in flight."""
FIRST_RATE: Final = 10.0
"""Requests per second; with ``STEP`` more for each healthy answer, 200 are reached in 1.5 s."""
STEP: Final = 2.0
"""Requests per second by which a healthy answer raises the rate at most."""
LEAST_RATE: Final = 0.1
"""Requests per second that no refusal goes below (if the budget does not): a person's pace."""
LATENESS: Final = 0.1
"""The share of the space between two starts by which a late one does not delay the next."""
CUT: Final = 0.85
"""The share of a refused rate that is tried next at most."""
REFUSED_WINDOW: Final = 0.85
STRAINED_WINDOW: Final = 0.7
"""The shares of the window that a refusal leaves, and a strain."""
PER_EPOCH: Final = 64
PAUSES_PER_EPOCH: Final = 2.5
ROUND_TRIPS_PER_EPOCH: Final = 8
SHORTEST_EPOCH: Final = 4.0
"""What an epoch lasts at least: as long as so many requests, pauses and round trips take, and so
many seconds."""
SURE: Final = 3
"""How often the time to the bad rate doubles while it stays the same."""
SAME: Final = 0.9
"""A refusal at this share of the known bad rate, or above, finds the same limit again."""
LONGEST_PAUSE: Final = 1.0
"""Seconds, however long a round trip takes."""
BLIND: Final = 3
"""Refusals without an accepted request between them that lower the rate. More of them say that the
host has shut us out for a while (a quota for each minute, say), not that the rate is bad."""
ENOUGH: Final = 8
"""Answers from which on a measured rate counts."""
FORGOTTEN: Final = 10_000.0
"""A remembered rate that has grown to this is no limit any more."""
HALF_LIFE: Final = 3_600.0
"""Seconds in which a remembered limit is trusted half as much: it doubles."""


class Adaptive:
    """The limits of one host group. See the module's text."""

    __slots__ = (
        "_accepted",
        "_accepted_before",
        "_allowed_since",
        "_base",
        "_blind",
        "_cap",
        "_ceiling",
        "_decreased_at",
        "_doubling",
        "_ends",
        "_ends_before",
        "_epoch",
        "_grown",
        "_grown_at",
        "_most",
        "_moves",
        "_pause",
        "_refused",
        "_round_trip",
        "_since",
        "_since_before",
        "_sure",
        "_turn_at",
        "_widen_from",
        "_window",
        "code",
        "concurrency",
        "opens_at",
        "rate",
        "spaced",
    )

    def __init__(self, budget: HostBudget, now: float) -> None:
        self._most = budget.concurrency
        self._cap = math.inf if budget.rate is None else budget.rate
        self._moves = budget.adapt
        self.opens_at = -math.inf
        """When the next start is allowed, as far as this decides."""
        self.code: str | None = None
        """Of the fault that the limits were lowered for."""
        self.rate = FIRST_RATE if self._moves and FIRST_RATE < self._cap < math.inf else math.inf
        """Starts per second that are allowed now; infinity where the budget alone decides."""
        self.spaced = self.rate < math.inf
        """Whether starts are spaced evenly, so that each one has to be told."""
        self.concurrency = 0
        """Requests in flight that are allowed now."""
        self._doubling = True
        self._set_window(float(FIRST_CONCURRENCY if self._moves else self._most))
        self._ceiling = math.inf
        """The rate that is known to be bad; infinity until one is known."""
        self._base = self.rate
        self._epoch = SHORTEST_EPOCH
        self._grown = 0.0
        self._grown_at = now
        self._sure = self._blind = 0
        self._refused = False
        self._round_trip = 0.0
        self._pause = 0.0
        self._decreased_at = -math.inf
        self._allowed_since = now
        self._accepted = self._accepted_before = 0
        self._count_from(now)

    @property
    def lowered(self) -> bool:
        """Whether a fault holds it below the budget."""
        return self.code is not None

    # What the group tells it.

    def started(self, now: float) -> None:
        """A request starts; not before ``opens_at``."""
        self.opens_at = max(self.opens_at, now - LATENESS / self.rate) + 1.0 / self.rate

    def healthy(self, asked: float, flight: int, now: float) -> None:
        """A request that started at ``asked``, one of ``flight``, ended well."""
        self._ends += 1
        if flight < self._widen_from and not self.spaced and now < self._turn_at:
            return
        if self._round_trip:
            self._round_trip += 0.125 * (now - asked - self._round_trip)
        else:
            self._round_trip = now - asked
        if now >= self._turn_at:
            self._turn(now)
        if flight >= self._widen_from:
            self._widen()
        if self.spaced and asked > self._decreased_at:
            self._accepted += 1
            if flight < self.concurrency or now < self.opens_at:
                # The rate is what holds it back, not the window.
                self._quicken(now)

    def failed(self, health: Health, code: str, asked: float, flight: int, now: float) -> bool:
        """A request ended otherwise. Whether that lowered the limits."""
        self._ends += 1
        if asked <= self._decreased_at or health not in (Health.REFUSED, Health.STRAINED):
            return False
        refused = health is Health.REFUSED
        if refused:
            self._pause = min(self._round_trip or now - asked, LONGEST_PAUSE)
            self.opens_at = max(self.opens_at, now + self._pause)
        if self._moves:
            self._narrow(refused=refused, flight=flight)
            if refused:
                self._slow_down(now)
            self.code = code
        self._decreased_at = now
        return self._moves

    def obeyed(self, until: float, now: float) -> None:
        """The host said for how long it wants to be left alone: that is what a refusal costs."""
        self._pause = max(self._pause, until - now)
        self._set_epoch()
        self._grown_at = max(self._grown_at, until)
        self._count_from(until)

    def give_up(self) -> None:
        """The group is down, not strained: its whole concurrency is of use again."""
        self._set_window(float(self._most))

    # The window.

    def _widen(self) -> None:
        self._set_window(self._window + (1.0 if self._doubling else 1.0 / self._window))

    def _narrow(self, *, refused: bool, flight: int) -> None:
        share = REFUSED_WINDOW if refused else STRAINED_WINDOW
        self._doubling = False
        self._set_window(max(1.0, share * min(self._window, flight)))

    def _set_window(self, window: float) -> None:
        self._window = min(window, float(self._most))
        self.concurrency = int(self._window)
        if self.concurrency == self._most:
            self._widen_from = math.inf
        else:
            self._widen_from = self._window / 2 if self._doubling else self.concurrency
        self._look_if_whole()

    # The rate.

    def _quicken(self, now: float) -> None:
        if self._ceiling == math.inf:
            rate = self.rate + STEP
        else:
            self._grown += min(max(0.0, now - self._grown_at), 2.0 / self.rate)
            self._grown_at = max(now, self._grown_at)
            left = 1.0 - self._grown / self._epoch
            span = self._ceiling - self._base if left > 0 else self._ceiling
            grown = self._ceiling - span * left**3
            rate = min(max(self.rate, grown), self.rate + STEP)
        self._set_rate(rate if rate < self._cap else math.inf)

    def _set_rate(self, rate: float) -> None:
        self.rate = rate
        self.spaced = rate < math.inf
        self._look_if_whole()

    def _slow_down(self, now: float) -> None:
        ends, measured = self._measured(now)
        passed = self._accepted > self._accepted_before
        low = max(self._accepted, 0.5) / max(now - self._allowed_since, 1e-6)
        if self.spaced:
            high = min(self.rate, measured) if ends >= ENOUGH else self.rate
        else:
            high = min(self._cap, measured)
        if not self.spaced and not self._refused:
            # It may have been the burst: look for the limit anew, with even spacing.
            rate = high / 2
        elif not self.spaced:
            rate, self._ceiling = CUT * high, high
        elif passed or self._ceiling == math.inf:
            self._sure = min(SURE, self._sure + 1) if high >= SAME * self._ceiling else 0
            rate = min(CUT * high, max(math.sqrt(low * high), high / 8))
            well_known = self._accepted >= PER_EPOCH
            self._ceiling = max(rate / CUT, min(high, 1.5 * low)) if well_known else high
        elif self._blind < BLIND:
            rate = max(math.sqrt(low * high), high / 8)
        else:
            rate = high
        self._refused = True
        self._blind = 0 if passed else self._blind + 1
        self._base = max(rate, min(LEAST_RATE, self._cap))
        self._set_rate(self._base)
        self._ceiling = max(self._ceiling, self.rate)
        self._set_epoch()
        self._grown, self._grown_at = 0.0, now + self._pause
        if passed:  # a time in which nothing passes is part of what the host allows
            self._accepted, self._allowed_since = 0, now
        self._accepted_before = self._accepted
        self._count_from(now + self._pause)

    def _set_epoch(self) -> None:
        rate = min(self._ceiling, self._cap)
        shortest = max(
            SHORTEST_EPOCH,
            PER_EPOCH / rate,
            PAUSES_PER_EPOCH * self._pause,
            ROUND_TRIPS_PER_EPOCH * self._round_trip,
        )
        self._epoch = shortest * 2.0**self._sure

    # What is measured: ends per second, over the current span and the one before.

    def _count_from(self, since: float) -> None:
        self._ends = self._ends_before = 0
        self._since = self._since_before = since
        self._turn_at = since + self._span()

    def _turn(self, now: float) -> None:
        self._ends_before, self._since_before = self._ends, self._since
        self._ends, self._since = 0, now
        self._turn_at = now + self._span()

    def _span(self) -> float:
        return max(1.0, 16.0 / self.rate)

    def _measured(self, now: float) -> tuple[int, float]:
        ends = self._ends + self._ends_before
        return ends, ends / max(now - self._since_before - self._round_trip, self._round_trip, 1e-3)

    def _look_if_whole(self) -> None:
        if not self.spaced and self.concurrency == self._most:
            self.code = None

    # From run to run.

    def bad_rate(self) -> float:
        """The rate that is known to be bad; infinity if none is."""
        return self._ceiling

    def recall(self, memory: HostMemory, age: float) -> None:
        """Begin with what was learned ``age`` seconds ago. The older it is, the less it binds:
        limits double with each ``HALF_LIFE``, and how sure they were is forgotten.
        """
        if not self._moves:
            return
        faded = 2.0 ** min(max(0.0, age) / HALF_LIFE, 60.0)
        rate = math.inf if memory.rate is None else memory.rate * faded
        # At the budget's own rate, starts are still spaced: the burst is what was refused.
        if rate <= self._cap and rate < FORGOTTEN:
            self._base = max(rate, min(LEAST_RATE, self._cap))
            self._set_rate(self._base)
            bad = memory.bad_rate if memory.bad_rate is not None else math.inf
            self._ceiling = max(self.rate, bad * faded)
            self._epoch = max(SHORTEST_EPOCH, PER_EPOCH / self.rate)
            self.code = memory.code
        if memory.concurrency is not None and (c := memory.concurrency * faded) < self._most:
            self._doubling = False
            self._set_window(max(1.0, c))
            self.code = memory.code
