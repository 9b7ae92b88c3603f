"""What an answer says of its host group: is it well, does it refuse us, is it strained?

That is another question than what the answer means for the asset (``fetcher.policy.codes``): a 404
is the end of an asset, and as healthy an answer as a host can give.

    HEALTHY    an answer as it should be, whatever it said of the asset
    REFUSED    "not so fast": 429, 503, or any failure with a Retry-After; our rate is too high
    STRAINED   no answer in time, or a connection that broke: we may be too many at once
    BROKEN     a failure that has nothing to do with how much we ask
    UNTOLD     nothing can be learned: no request reached the host, or it may mean either. A 403 is
               among these, because some image hosts throttle with it

All but HEALTHY and UNTOLD are failures, and open the circuit breaker when there is nothing else.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from fetcher.model import Fate, Fault
from fetcher.policy.codes import CODES


class Health(Enum):
    HEALTHY = auto()
    REFUSED = auto()
    STRAINED = auto()
    BROKEN = auto()
    UNTOLD = auto()


_BY_CODE: Final = {
    "rate-limited": Health.REFUSED,
    "connect-timeout": Health.STRAINED,
    "stalled": Health.STRAINED,
    "total-timeout": Health.STRAINED,
    "connection-refused": Health.STRAINED,
    "connection-reset": Health.STRAINED,
    "truncated": Health.STRAINED,
    "http-5xx": Health.BROKEN,
    "host-unreachable": Health.BROKEN,
    "tls-error": Health.BROKEN,
    "dns-failure": Health.BROKEN,
    "protocol-error": Health.BROKEN,
    # No request reached the host.
    "dns-not-found": Health.UNTOLD,
    "bad-url": Health.UNTOLD,
    "bad-scheme": Health.UNTOLD,
    "blocked-address": Health.UNTOLD,
    "robots": Health.UNTOLD,
    # Who asked has died.
    "crashed": Health.UNTOLD,
    # About us, or about how much we ask: it does not say.
    "http-401": Health.UNTOLD,
    "http-403": Health.UNTOLD,
}
"""Codes that are not here are those of a host that answered in good order."""

_BY_STATUS: Final = {502: Health.STRAINED, 503: Health.REFUSED, 504: Health.STRAINED}
"""Of the server errors, those that speak of load (RFC 9110 section 15.6)."""


NO_FAILURE: Final = frozenset({Health.HEALTHY, Health.UNTOLD})
"""What the circuit breaker does not count."""


def health(fault: Fault | None) -> Health:
    """Of the host group that answered with ``fault``; ``None`` is an image or a redirect."""
    if fault is None:
        return Health.HEALTHY
    if CODES[fault.code].fate is Fate.LOCAL:
        return Health.UNTOLD
    found = _BY_CODE.get(fault.code, Health.HEALTHY)
    if found is Health.BROKEN and fault.http_status is not None:
        found = _BY_STATUS.get(fault.http_status, found)
    if fault.retry_after is not None and found is not Health.HEALTHY:
        return Health.REFUSED
    return found
