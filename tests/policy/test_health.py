"""What answers say of their host group."""

from __future__ import annotations

import pytest

from fetcher.model import Fate, Fault
from fetcher.policy import health as module
from fetcher.policy.codes import CODES
from fetcher.policy.health import Health, health

CASES = [
    (None, Health.HEALTHY),
    (Fault("http-404", http_status=404), Health.HEALTHY),
    (Fault("md5-mismatch", http_status=200), Health.HEALTHY),
    (Fault("http-403", http_status=403), Health.UNTOLD),
    (Fault("dns-not-found"), Health.UNTOLD),
    (Fault("rate-limited", http_status=429), Health.REFUSED),
    (Fault("http-5xx", http_status=503), Health.REFUSED),
    (Fault("http-5xx", http_status=500), Health.BROKEN),
    (Fault("http-5xx", http_status=500, retry_after=3.0), Health.REFUSED),
    (Fault("http-5xx", http_status=502), Health.STRAINED),
    (Fault("http-5xx", http_status=504), Health.STRAINED),
    (Fault("stalled"), Health.STRAINED),
    (Fault("connection-reset"), Health.STRAINED),
    (Fault("tls-error"), Health.BROKEN),
]


@pytest.mark.parametrize(("fault", "expected"), CASES)
def test_each_answer_says_what_it_says(fault: Fault | None, expected: Health) -> None:
    assert health(fault) is expected


@pytest.mark.parametrize("code", [c for c, info in CODES.items() if info.fate is Fate.LOCAL])
def test_a_fault_of_ours_says_nothing_of_the_host(code: str) -> None:
    assert health(Fault(code, retry_after=5.0)) is Health.UNTOLD


def test_the_table_knows_no_code_that_there_is_not() -> None:
    assert module._BY_CODE.keys() <= CODES.keys()
