"""Which limit holds a host group back, in words and for machines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fetcher.model import HostBudget, HostMemory, State, Tally
from fetcher.policy.groups import GroupStatus
from fetcher.policy.holding import Hold, HoldReason
from fetcher.report import holds, status

NOON = 1_700_000_000.0
SLOW = HostMemory("a.test", NOON, rate=3.25, bad_rate=4.0, concurrency=2, code="rate-limited")
PENDING = Tally({State.PENDING: 1, State.MISMATCHED: 1})
HELD = HostMemory("b.test", NOON, held_until=NOON + 60, held_code="http-5xx")


@pytest.mark.parametrize(
    ("hold", "words"),
    [
        (Hold(HoldReason.NOTHING), ""),
        (Hold(HoldReason.RATE), "rate"),
        (Hold(HoldReason.RATE, lowered=True), "rate approached slowly"),
        (Hold(HoldReason.RATE, "rate-limited", lowered=True), "rate lowered after rate-limited"),
        (
            Hold(HoldReason.CONCURRENCY, "stalled", lowered=True),
            "concurrency lowered after stalled",
        ),
        (Hold(HoldReason.BANDWIDTH), "bandwidth"),
        (Hold(HoldReason.COOLING_DOWN, "rate-limited", 130.0), "left alone for 30s (rate-limited)"),
        (Hold(HoldReason.COOLING_DOWN, "rate-limited", 100.2), "left alone for 1s (rate-limited)"),
        (
            Hold(HoldReason.BREAKER_OPEN, "connection-refused", 104.0),
            "only failures: left alone for 4s (connection-refused)",
        ),
        (
            Hold(HoldReason.PROBING, "stalled"),
            "only failures: one request at a time (stalled)",
        ),
        (Hold(HoldReason.RETRIES, until=112.0), "waits 12s for retries"),
    ],
)
def test_a_live_group_says_what_holds_it_back(hold: Hold, words: str) -> None:
    budget = HostBudget(10.0, 5, 4)
    assert holds.live(GroupStatus("a.test", budget, 1, 2, 3, 4, 10.0, hold), 100.0) == words


def test_every_reason_has_words_of_its_own() -> None:
    budget = HostBudget(10.0, 5, 4)
    groups = [
        GroupStatus("a.test", budget, 1, 2, 3, 4, 10.0, Hold(reason)) for reason in HoldReason
    ]
    words = [holds.live(group, 0.0) for group in groups]
    assert len(set(words)) == len(HoldReason)
    assert [reason for reason, said in zip(HoldReason, words, strict=True) if not said] == [
        HoldReason.NOTHING
    ]


def test_the_json_object_has_hosts_only_while_one_is_held_back() -> None:
    contract = ["total", "states", "codes", "bytes", "rows"]
    assert list(status.as_dict(Tally())) == contract
    assert list(status.as_dict(PENDING, [HELD], NOON + 61)) == contract
    assert status.as_dict(PENDING, [HELD, SLOW], NOON)["hosts"] == {
        "a.test": {
            "rate": 3.25,
            "concurrency": 2,
            "code": "rate-limited",
            "as_of": "2023-11-14T22:13:20Z",
        },
        "b.test": {
            "left_alone_until": "2023-11-14T22:14:20Z",
            "left_alone_code": "http-5xx",
            "as_of": "2023-11-14T22:13:20Z",
        },
    }


def test_people_read_the_same() -> None:
    out = io.StringIO()
    evil = HostMemory("\x1b[31mevil.test", NOON, rate=1.0, code="rate-limited")
    console = Console(file=out, width=120)
    status.show(console, PENDING, [SLOW, HELD, evil], NOON)
    shown = out.getvalue()
    assert "\nheld back\n" in shown
    assert "lowered to 3.2/s, 2 at once after rate-limited" in shown
    assert "left alone until 2023-11-14T22:14:20Z (http-5xx)" in shown
    assert "\x1b" not in shown


def test_after_a_run_nobody_is_held_back_any_more() -> None:
    """What was learned is for the next run: what failed may be put back, or audited."""
    for tally in (PENDING, Tally({State.GONE: 1})):
        out = io.StringIO()
        status.show(Console(file=out, width=120), tally, [SLOW], NOON, ended=True)
        assert "held back" not in out.getvalue()
        assert "\nthe next run begins with\n" in out.getvalue()
        assert "lowered to" in out.getvalue()


def test_quarantined_bytes_are_said_to_be_left_out() -> None:
    for tally, said in ((PENDING, True), (Tally({State.GONE: 1}), False)):
        out = io.StringIO()
        status.show(Console(file=out, width=120), tally)
        assert ("bytes stored 0 B, quarantined ones not counted" in out.getvalue()) == said
