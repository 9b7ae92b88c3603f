"""What holds a host group back, as a value: which limit, why, and until when.

The words are shown by the progress display and by ``fetcher status``, and stay as they are.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class HoldReason(StrEnum):
    NOTHING = "nothing"
    """Nothing of its own: it has nothing in line, or waits for its turn among the groups."""
    RATE = "rate"
    CONCURRENCY = "concurrency"
    BANDWIDTH = "bandwidth"
    COOLING_DOWN = "cooling-down"
    """It asked to be left alone."""
    BREAKER_OPEN = "breaker-open"
    """All that came back were failures: it is left alone for a while."""
    PROBING = "probing"
    """One request at a time finds out whether it is well again."""
    RETRIES = "retries"
    """All it has wait for their next attempt."""


class Hold(Struct, frozen=True):
    """``code`` says why, where a fault is the cause; ``until`` is on the engine's clock."""

    reason: HoldReason
    code: str | None = None
    until: float | None = None
    lowered: bool = False
    """The limit is below the budget's."""
