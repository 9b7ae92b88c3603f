"""Pages and hosts: what a request is answered with; and, apart from all chance, what must come of
an image.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from email.utils import formatdate
from typing import NamedTuple, TypeVar

from fetcher.model import Expectation, Fate, Method, Partial, State
from fetcher.policy import codes
from fetcher.policy.ranges import request_headers
from tests.simulation.draw import JPEG, md5
from tests.simulation.scenario import MAX_BYTES, Form, Head, Host, Page, Ranges, Scenario

T = TypeVar("T")

MAX_HOPS = 5
WINDOW = 1.0
"""Seconds over which a host counts what it has been asked."""


class Says(NamedTuple):
    """What the head of an answer, or its first bytes, tell of an image."""

    size: int | None
    kind: str | None
    coded: bool = False


class Reply(NamedTuple):
    """What comes back. ``code``: a fault of the network instead of an answer."""

    wait: float
    code: str | None = None
    status: int = 200
    location: str | None = None
    retry_after: str | None = None
    data: bytes = b""
    offset: int = 0
    """Where ``data`` begins in the body."""
    other_part: bool = False
    """It is a part, but not the one that was asked for."""
    total: int = 0
    tag: str | None = None
    broken: str | None = None
    """The code of what breaks the body off at the end of ``data``."""
    opted_out: bool = False
    says: Says | None = None
    """To a HEAD or a probe: all that there is to see."""


class Web:
    """Remembers, over all runs, what it was asked."""

    def __init__(self, scenario: Scenario, chance: random.Random) -> None:
        self._scenario = scenario
        self._chance = chance
        self._faulty: Counter[str] = Counter()
        self._odd: Counter[str] = Counter()
        self._shown: Counter[str] = Counter()
        self._recent: dict[str, deque[float]] = {group: deque() for group in scenario.hosts}

    def outage(self, group: str | None, now: float) -> str | None:
        for outage in self._scenario.outages:
            if outage.begin <= now < outage.end and outage.group == group:
                return outage.code
        return None

    def reply(
        self,
        url: str,
        partial: Partial | None,
        now: float,
        wall: float,
        method: Method = Method.GET,
    ) -> Reply:
        page, chance = self._scenario.pages[url], self._chance
        host = self._scenario.hosts[page.group]
        wait = host.latency * (1.0 + host.jitter * chance.random())
        code = self.outage(page.group, now)
        if code is None and chance.random() < host.loss:
            code = chance.choice(("connection-reset", "connect-timeout", "dns-failure", "stalled"))
        if code is None:
            code = self._scripted(self._faulty, url, page.faults, page.fault)
        if code is not None:
            slow = code in {"connect-timeout", "stalled"}
            return Reply(self._scenario.limits.stall_timeout if slow else wait, code)
        if self._throttled(page.group, host, now):
            asked_for = self._retry_after(host, wall)
            return Reply(wait, status=host.throttles_with, retry_after=asked_for)
        status = self._scripted(self._odd, url, page.statuses, page.status)
        if status == 200 and method is Method.HEAD:
            status = _STATUSES.get(page.head, 200)
        if status != 200:
            return Reply(wait, status=status, location=page.location)
        if page.opted_out:
            return Reply(wait, opted_out=True)
        if method is Method.GET:
            return self._body(url, page, host, partial, wait)
        stalls = method is Method.PROBE and self._chance.random() < host.stalls
        says = head_of(page) if method is Method.HEAD else probe_of(page)
        return Reply(wait, says=says, broken="stalled" if stalls else None)

    @staticmethod
    def _scripted(count: Counter[str], url: str, first: tuple[T, ...], then: T) -> T:
        if count[url] < len(first):
            count[url] += 1
            return first[count[url] - 1]
        return then

    def _throttled(self, group: str, host: Host, now: float) -> bool:
        if host.most is None:
            return False
        recent = self._recent[group]
        while recent and recent[0] <= now - WINDOW:
            recent.popleft()
        recent.append(now)
        return len(recent) > host.most * WINDOW

    @staticmethod
    def _retry_after(host: Host, wall: float) -> str | None:
        match host.form:
            case Form.NONE:
                return None
            case Form.SECONDS:
                return f"{host.asks_for:.0f}"
            case Form.DATE:
                return formatdate(wall + host.asks_for, usegmt=True)
            case Form.PAST:
                return formatdate(wall - 5, usegmt=True)
            case Form.NONSENSE:
                return "soon"

    def _body(
        self, url: str, page: Page, host: Host, partial: Partial | None, wait: float
    ) -> Reply:
        first = not self._shown[url]
        self._shown[url] += 1
        body = page.older if first and page.older is not None else page.body
        tag = f'"{md5(body)}"' if page.tagged else None
        offset, other_part = 0, False
        if partial is not None and page.ranges is not Ranges.IGNORED:
            condition = request_headers(partial).get("If-Range")
            if condition in {None, tag}:
                offset = partial.size
                other_part = page.ranges is Ranges.OTHER_PART
        if offset >= len(body) and offset:
            return Reply(wait, status=416, total=len(body), tag=tag)
        data = body[offset:]
        broken = None
        if self._shown[url] <= page.cuts:
            broken = self._chance.choice(("truncated", "connection-reset"))
        elif host.stalls and self._chance.random() < host.stalls:
            broken = "stalled"
        if broken is not None:
            data = data[: int(len(data) * self._chance.random())]
        return Reply(
            wait,
            status=206 if offset else 200,
            data=data,
            offset=offset,
            other_part=other_part,
            total=len(body),
            tag=tag,
            broken=broken,
        )


# What a HEAD and a probe see.

_STATUSES = {
    Head.NOT_ALLOWED: 405,
    Head.FORBIDDEN: 403,
    Head.UNKNOWN: 501,
    Head.BROKEN: 500,
}
FIRST_BYTES = 512


def head_of(page: Page) -> Says:
    size = len(page.body)
    match page.head:
        case Head.OTHER_SIZE:
            return Says(size + 1, "image/jpeg")
        case Head.NO_SIZE:
            return Says(None, "image/jpeg")
        case Head.OTHER_TYPE:
            return Says(size, "text/html")
        case Head.CODED:
            return Says(size, "image/jpeg", coded=True)
        case _:
            return Says(size, "image/jpeg")


def probe_of(page: Page) -> Says:
    known = page.ranges is not Ranges.OTHER_PART
    kind = "image/jpeg" if page.body.startswith(JPEG) else None
    return Says(len(page.body) if known else None, kind)


def tells_enough(says: Says, method: Method, expected: Expectation) -> bool:
    """Whether an audit has to believe it, and not ask once more."""
    as_listed = expected.size in (None, says.size)
    if says.coded:
        return False
    if as_listed and says.kind == "image/jpeg":
        return True
    if method is Method.HEAD or (expected.size is not None and says.size is None):
        return False
    return says.kind == "image/jpeg" or not as_listed or expected.md5 is None


def refuses_the_method(method: Method, status: int | None) -> bool:
    if method is Method.HEAD:
        return status in {400, 403, 405, 501}
    return method is Method.PROBE and status in {400, 416, 501}


# What must come of an image when nothing befalls it.

_BY_STATUS = {
    401: (State.DENIED, "http-401"),
    403: (State.DENIED, "http-403"),
    404: (State.GONE, "http-404"),
    410: (State.GONE, "http-410"),
    451: (State.DENIED, "http-451"),
}
Truth = tuple[State, str | None]
_DEADLY: Truth = (State.FAILED, "crashed")


def truth(url: str, expected: Expectation, scenario: Scenario) -> Truth:
    """The state and code of the image that a list has at ``url``, in words of the world alone.
    ``FAILED`` stands for "as often as it may be tried".
    """
    hops = 0
    page = scenario.pages[url]
    while page.location is not None and not page.blocked and page.fault is None:
        refused = _refused(url, page.location, hops)
        if refused is not None:
            return refused
        url, hops = page.location, hops + 1
        page = scenario.pages[url]
    if page.blocked:
        return State.INVALID, "blocked-address"
    if page.fault is not None:
        passes = codes.fate(page.fault) is Fate.TRANSIENT
        return State.FAILED if passes else codes.final_state(page.fault), page.fault
    if page.status in _BY_STATUS:
        return _BY_STATUS[page.status]
    if page.status != 200:
        return State.FAILED, None
    if scenario.method is Method.HEAD and page.head is Head.BROKEN:
        return State.FAILED, None
    if page.opted_out:
        return State.DENIED, "opted-out"
    if scenario.method is Method.HEAD:
        return _audited(expected, page, md5(scenario.placeholder))
    deadly = page.deadly is not None
    return _DEADLY if deadly else _judged(expected, page.body, md5(scenario.placeholder))


def _audited(expected: Expectation, page: Page, placeholder: str) -> Truth:
    """By the first rung that tells enough: the head, the first bytes, all of it."""
    rungs = [(Method.PROBE, probe_of(page))]
    if page.head not in _STATUSES:
        rungs.insert(0, (Method.HEAD, head_of(page)))
    for method, says in rungs:
        if tells_enough(says, method, expected):
            break
    else:
        return _judged(expected, page.body, placeholder)
    if says.kind != "image/jpeg":
        return State.MISMATCHED, "not-an-image"
    if expected.size not in (None, says.size):
        return State.MISMATCHED, "size-mismatch"
    return State.ALIVE, None


def _refused(url: str, target: str, hops: int) -> Truth | None:
    """What comes of a redirect that is not followed."""
    if target.startswith("http://gone.test/"):
        return State.GONE, "placeholder"
    if target.startswith("ftp:"):
        return State.INVALID, "bad-scheme"
    if hops == MAX_HOPS:
        return State.FAILED, "too-many-redirects"
    if url.startswith("https:") and target.startswith("http:"):
        return State.INVALID, "insecure-redirect"
    return None


def _judged(expected: Expectation, body: bytes, placeholder: str) -> Truth:
    digest = md5(body)
    if len(body) > MAX_BYTES:
        return State.MISMATCHED, "too-large"
    if digest == placeholder:
        return State.GONE, "placeholder"
    right_size = expected.size in (None, len(body))
    if expected.md5 == digest and right_size:
        return State.VERIFIED, None
    if not body.startswith(JPEG):
        return State.MISMATCHED, "not-an-image"
    if not right_size:
        return State.MISMATCHED, "size-mismatch"
    if expected.md5 is not None:
        return State.MISMATCHED, "md5-mismatch"
    return (State.VERIFIED if expected.size is not None else State.UNVERIFIED), None
