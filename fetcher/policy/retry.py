"""When a failed attempt is repeated, and how a host's own word on it is read."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

_LONGEST: Final = 1e12
"""Seconds, 31,000 years; a number beyond is cut to it, and stays finite."""
_UNREADABLE: Final = (ValueError, OverflowError, IndexError, TypeError)
"""What the standard library's parser has been known to raise for a text that is no date."""


class RetryRule(Struct, frozen=True):
    """``attempts`` counts all tries, the first included. Delays are seconds."""

    attempts: int
    first_delay: float
    max_delay: float
    max_retry_after: float

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after the ``failures``-th failure in a row (counting from 1).

        Exponential backoff with full jitter: uniform between nothing and the exponential bound,
        which spreads the retries of assets that failed together (Brooker, "Exponential Backoff
        And Jitter", 2015). ``chance`` is uniform in [0, 1).
        """
        # 2 ** 1024 overflows a float; long before, max_delay has decided.
        bound = min(self.max_delay, self.first_delay * 2.0 ** min(failures - 1, 60))
        return bound * chance


def parse_retry_after(value: str, wall: float) -> float | None:
    """Seconds from ``wall`` (epoch seconds) on for which a Retry-After asks to wait.

    Both forms of RFC 9110 section 10.2.3: delay-seconds and HTTP-date, the latter in all three
    spellings of section 5.6.7. A date in the past is 0; anything else is ``None``.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST)
    try:
        date = parsedate_to_datetime(value)
    except _UNREADABLE:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)  # asctime names no zone; HTTP dates are GMT
    return max(0.0, date.timestamp() - wall)
