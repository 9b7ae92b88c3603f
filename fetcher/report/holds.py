"""Which limit holds a host group back, and why, in words: live, and from the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from fetcher.model import HostMemory
from fetcher.policy.groups import GroupStatus
from fetcher.policy.holding import HoldReason
from fetcher.report.text import duration, moment, printable, rate


def allowed(group: GroupStatus) -> str:
    """The rate that is in force."""
    if group.rate is None:
        return "no rate limit"
    return f"up to {rate(group.rate)}"


def live(group: GroupStatus, now: float) -> str:
    """What holds ``group`` back at ``now``; empty where nothing of its own does."""
    hold = group.hold
    why = f" ({printable(hold.code)})" if hold.code is not None else ""
    # Rounded up: what still holds does not hold for 0s.
    left = duration(max(0, ceil(hold.until - now))) if hold.until is not None else ""
    lowered = (
        f"lowered after {printable(hold.code)}" if hold.code is not None else "approached slowly"
    )
    words = {
        HoldReason.NOTHING: "",
        HoldReason.RATE: f"rate {lowered}" if hold.lowered else "rate",
        HoldReason.CONCURRENCY: f"concurrency {lowered}" if hold.lowered else "concurrency",
        HoldReason.BANDWIDTH: "bandwidth",
        HoldReason.COOLING_DOWN: f"left alone for {left}{why}",
        HoldReason.BREAKER_OPEN: f"only failures: left alone for {left}{why}",
        HoldReason.PROBING: f"only failures: one request at a time{why}",
        HoldReason.RETRIES: f"waits {left} for retries",
    }
    return words[hold.reason]


def remembered(memories: Sequence[HostMemory], wall: float) -> dict[str, dict[str, object]]:
    """What holds groups back as far as the manifest knows, by group: the ``hosts`` object of
    ``status --json``. Empty where no group is given less than its budget.
    """
    return {
        memory.group: found
        for memory in sorted(memories, key=lambda memory: memory.group)
        if (found := _facts(memory, wall))
    }


def _facts(memory: HostMemory, wall: float) -> dict[str, object]:
    facts: dict[str, object] = {}
    if memory.rate is not None:
        facts["rate"] = round(memory.rate, 3)
    if memory.concurrency is not None:
        facts["concurrency"] = memory.concurrency
    if facts:
        facts["code"] = memory.code
    if memory.held_until is not None and memory.held_until > wall:
        facts["left_alone_until"] = moment(memory.held_until)
        facts["left_alone_code"] = memory.held_code
    if facts:
        facts["as_of"] = moment(memory.at)
    return facts


def sentence(memory: HostMemory, wall: float) -> str:
    """The same for people; empty where nothing holds it back."""
    parts = []
    if memory.held_until is not None and memory.held_until > wall:
        why = f" ({printable(memory.held_code)})" if memory.held_code is not None else ""
        parts.append(f"left alone until {moment(memory.held_until)}{why}")
    limits = []
    if memory.rate is not None:
        limits.append(rate(memory.rate))
    if memory.concurrency is not None:
        limits.append(f"{memory.concurrency} at once")
    if limits:
        why = f" after {printable(memory.code)}" if memory.code is not None else ""
        parts.append(f"lowered to {', '.join(limits)}{why}")
    return "; ".join(parts)
