"""The circuit breaker of a host group: when only failures come back, stop asking for a while.

    closed      requests start as the limits allow; ``THRESHOLD`` failures in a row open it
    open        nothing starts before ``opens_at``
    half-open   one request at a time: the probe. A healthy answer closes the breaker, a failure
                opens it again, for twice as long

It delays attempts and takes none: a probe is an attempt like any other, of the asset whose turn it
is. So that it cannot starve a group (law 6), the time for which it holds one back is limited by an
allowance: the rule's ``patience``, and one second more for each healthy answer. A group that has
used it up is not strained but down, or sick for good; its assets come to their end as if there were
no breaker. Hence the law that the tests hold it to: time open <= patience + healthy answers.

What is asked for on behalf of many (a robots.txt) is no attempt of any of them, and not to be given
up while the breaker is patient: how a group stands, it tells as an ``Outage``.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Final

from msgspec import Struct

THRESHOLD: Final = 5
"""Failures without anything healthy in between. A browser's tab full of failures."""
PATIENCE: Final = 3_600.0
"""Seconds. Long enough for most outages to end; little in a run of weeks, and spent by all host
groups side by side."""
REPAID: Final = 1.0
"""Seconds of allowance that a healthy answer gives back."""


class BreakerRule(Struct, frozen=True):
    """Seconds for which it opens first, at most, and in all."""

    first: float = 1.0
    longest: float = 300.0
    patience: float = PATIENCE


class Outage(Enum):
    """Whether all that came back lately were failures."""

    NONE = auto()
    MAYBE = auto()
    """Yes, but they were too few to open the breaker."""
    BORNE = auto()
    """Yes, and the group is left alone for that."""
    FOR_GOOD = auto()
    """Yes, after it was left alone for as long as it may be."""


class Breaker:
    """See the module's text."""

    __slots__ = ("_allowance", "_rule", "failures", "fresh", "openings", "opens_at")

    def __init__(self, rule: BreakerRule) -> None:
        self._rule = rule
        self._allowance = rule.patience
        self.fresh = True
        """It has nothing to recover from: a healthy answer is no news to it."""
        self.failures = 0
        """In a row."""
        self.openings = 0
        """In a row; while there are any, and time is left, it is open or half-open."""
        self.opens_at = -math.inf

    @property
    def spent(self) -> bool:
        """Whether it has held the group back for as long as it may."""
        return self._allowance <= 0

    @property
    def tripped(self) -> bool:
        """Open or half-open."""
        return self.openings > 0

    def outage(self, few: int, now: float) -> Outage:
        """Lately: the last ``few`` answers, or as many as open it, whichever are fewer."""
        if self.failures < min(few, THRESHOLD):
            return Outage.NONE
        if self.spent and self.opens_at <= now:
            return Outage.FOR_GOOD
        return Outage.BORNE if self.failures >= THRESHOLD else Outage.MAYBE

    def healthy(self) -> None:
        self.failures = self.openings = 0
        self.opens_at = -math.inf
        self._allowance = min(self._rule.patience, self._allowance + REPAID)
        self.fresh = self._allowance == self._rule.patience

    def failed(self, asked: float, now: float) -> bool:
        """A request that started at ``asked`` failed; whether that opens the breaker.

        What was under way when it opened says nothing that was not known.
        """
        self.failures += 1
        self.fresh = False
        if self.failures < THRESHOLD or (self.tripped and asked < self.opens_at):
            return False
        if self.spent:
            self.openings = 0
            return False
        bound = min(self._rule.longest, self._rule.first * 2.0 ** min(self.openings, 60))
        seconds = min(bound, self._allowance)
        self._allowance -= seconds
        self.openings += 1
        self.opens_at = now + seconds
        return True
