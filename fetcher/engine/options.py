"""What an engine is told."""

from __future__ import annotations

from msgspec import Struct

from fetcher.model import Method
from fetcher.policy.consent import ConsentRule
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule


class EngineOptions(Struct, frozen=True):
    """``limit``: assets to settle in this run. Durations in seconds, sizes in bytes."""

    retry: RetryRule
    redirects: RedirectRule
    spool_above: int
    drain: float
    limit: int | None = None
    consent: ConsentRule | None = None
    method: Method = Method.GET
    first_pause: float = 1.0
    longest_pause: float = 60.0
