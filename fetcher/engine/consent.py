"""Consent: no image is asked for before its origin's robots.txt has been, and none against it.

What is known of an origin answers at once. Of the first image of one that is not, the rest follows:

    look → the job awaits its origin, and the frontier sets it aside (no slot, no task, no memory)
         → the manifest is asked what an earlier run was told, for all origins of a lease together
         → if that is nothing, or too old: a request for the robots.txt, through the frontier, at
           the cost of the group's budget like any other; at most one at a time for each origin
         → whatever the answer: the jobs that await the origin are released and looked at again

What was told is relied on for a day (RFC 9309 section 2.4), and kept for the next run. An origin
that does not answer has its jobs wait, and is asked again, as often and as patiently as an image
would be. Then, what it was told last holds on; but where nothing was, those jobs, and no others,
end with what befell the request: for later ones, it is asked anew. So every job comes to an end,
and an outage costs a full line of them at most, now and then, and never the whole list.

Of a host group from which only failures come, tries in vain do not count: one request would be
charged to all that wait for it. They are probes of the group's circuit breaker, which spaces them,
and when its patience has come to an end they count from one. So a host that is back by then has
lost nothing, and one that is not has its jobs end as if there were no breaker, line by line. But
where a quarter of what the frontier can hold waits for an origin, others come first: tries count.
They also count where few jobs wait: an hour is too much to wait for a handful of images.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Final

from msgspec import Struct

from fetcher.engine import unpacking
from fetcher.events import RobotsAwaited
from fetcher.model import Arrival, Asset, Expectation, Fault, Redirect, RobotsNote
from fetcher.policy import codings, robots, urls
from fetcher.policy.breaker import THRESHOLD, Outage
from fetcher.policy.consent import ConsentRule, origin_of
from fetcher.policy.frontier import Frontier
from fetcher.policy.groups import Job
from fetcher.policy.health import NO_FAILURE, health
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule
from fetcher.policy.robots import Meaning, Robots
from fetcher.ports import Clock, Observer, RobotsBook

MOST_SITES: Final = 16_384
"""Origins that are known at once; of others, the manifest is asked again."""
MOST_TEXT: Final = 4 << 20
"""Characters of rules of all of these; parsed, they take some ten times that in bytes."""
MOST_FAILURES: Final = 4_096
"""Origins whose failures are counted."""
FEW: Final = 32
"""Jobs that wait for an origin and are not worth a breaker's patience."""
HOLDS_ON: Final = 3_600.0
"""Seconds for which what an origin said last holds on, when it does not answer."""
_BORNE: Final = frozenset({Outage.MAYBE, Outage.BORNE})
_SPACED: Final = frozenset({Outage.BORNE, Outage.FOR_GOOD})
"""The circuit breaker spaces the tries, or did for as long as it may."""


class _Site(Struct, frozen=True):
    robots: Robots
    until: float


class Consent:
    """See the module's text. ``refuse`` ends a job that the frontier does not hold (any more);
    ``moved`` is called when others may start, or be leased.
    """

    def __init__(
        self,
        rule: ConsentRule,
        book: RobotsBook,
        frontier: Frontier,
        *,
        group_of: Callable[[str], str],
        redirects: RedirectRule,
        retry: RetryRule,
        clock: Clock,
        chance: Callable[[], float],
        observer: Observer,
        refuse: Callable[[Job, Fault], None],
        moved: Callable[[], None],
    ) -> None:
        self._rule = rule
        self._book = book
        self._frontier = frontier
        self._group_of = group_of
        self._redirects = redirects
        self._retry = retry
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._refuse = refuse
        self._moved = moved
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        self._text = 0
        self._awaited: dict[str, RobotsNote | None] = {}
        """Origins that jobs await, with what they said to an earlier run."""
        self._failures: dict[str, int] = {}
        """Requests in vain since the last that was not."""
        self._wanted: list[str] = []
        self._notes: list[RobotsNote] = []
        self._numbers = count(-1, -1)
        self._news = asyncio.Event()
        self._closing = False

    def look(self, job: Job, url: str) -> Fault | None:
        """What stands against asking for ``url``. If that is not known yet, ``job`` awaits it."""
        origin = origin_of(url)
        if origin is None or not self._rule.robots_of(origin.host):
            return None
        site = self._sites.get(origin.url)
        if site is None or site.until <= self._clock.now():
            job.awaits = origin.url
            if origin.url not in self._awaited:
                self._awaited[origin.url] = None
                self._wanted.append(origin.url)
                self._news.set()
            return None
        self._sites.move_to_end(origin.url)
        objection = site.robots.objection(url)
        return Fault("robots", objection) if objection is not None else None

    async def run(self) -> None:
        """Ask the manifest, and tell it, until closed. Raises what the manifest raises."""
        while self._notes or not self._closing:
            await self._news.wait()
            self._news.clear()
            notes, self._notes = self._notes, []
            if notes:
                await self._book.remember(notes)
            wanted, self._wanted = self._wanted, []
            if wanted and not self._closing:
                await self._look_up(wanted)

    def close(self) -> None:
        """Let ``run`` end when all notes are kept."""
        self._closing = True
        self._news.set()

    async def _look_up(self, origins: list[str]) -> None:
        found = await self._book.recall(origins, self._rule.token)
        if self._closing:
            return  # who would be refused now, nobody would settle: they are given back
        wall = self._clock.wall()
        for origin in origins:
            note = found.get(origin)
            age = wall - note.fetched_at if note is not None else 0.0
            # Of the future, if the clock was set back since: then it is not older than that.
            if note is not None and abs(age) < robots.FRESH:
                self._know(origin, note.rules, robots.FRESH - abs(age))
            else:
                self._awaited[origin] = note
                self._ask(origin)
        self._moved()

    def _ask(self, origin: str) -> None:
        url = origin + robots.PATH
        target = urls.judge(url)
        assert isinstance(target, urls.Target)  # noqa: S101  it was put together from one
        asset = Asset(next(self._numbers), "", "", url, target.host, Expectation())
        job = Job(asset, self._group_of(target.host), robots.MAX_BYTES, attempt=1)
        now = self._clock.now()
        failures = self._failures.get(origin, 0)
        if self._frontier.outage(job.group, THRESHOLD, now) in _SPACED:
            failures = 0
        wait = self._retry.delay(failures, self._chance()) if failures else 0.0
        self._frontier.add(job, now, first=True, due=now + wait)

    # The answers.

    def answered(
        self, job: Job, result: Arrival | Redirect | Fault, now: float, wait: float
    ) -> None:
        """What came of a request for a robots.txt, but for faults of our own side.

        ``wait``: seconds for which its group is left alone.
        """
        if isinstance(result, Arrival):
            self._arrived(job, result, now, wait)
        elif isinstance(result, Redirect):
            self._redirected(job, result, now)
        else:
            self._failed(job, result, now, wait)
        self._moved()

    def _arrived(self, job: Job, arrival: Arrival, now: float, wait: float) -> None:
        data, label = arrival.body.data, arrival.content_encoding or ""
        assert data is not None  # noqa: S101  what is cut is in memory
        obstacle = codings.obstacle(label)
        if obstacle is not None:  # it says something, and we cannot read it
            fault = Fault("content-coding", obstacle, arrival.http_status)
            self._failed(job, fault, now, wait)
            return
        text = unpacking.beginning(label, bytes(data), robots.MAX_BYTES)
        self._told(job, robots.rules_for(self._rule.token, text))

    def _redirected(self, job: Job, redirect: Redirect, now: float) -> None:
        target = urls.judge(redirect.target)
        if self._redirects.judge(job.url, redirect.target, job.hops) is None:
            assert isinstance(target, urls.Target)  # noqa: S101  the rule has just said so
            self._frontier.redirected(job, redirect.target, self._group_of(target.host), now)
        else:
            self._told(job, "")  # where it may not be looked for, it is not available

    def _failed(self, job: Job, fault: Fault, now: float, wait: float) -> None:
        origin = _origin(job)
        match robots.meaning(fault, redirected=job.hops > 0):
            case Meaning.UNRESTRICTED:
                self._told(job, "")
            case Meaning.SHARED:
                self._give_up(job, fault)
            case Meaning.UNREACHABLE:
                failures = self._count_failure(origin)
                if fault.http_status is not None and failures == 1:
                    # Of hosts that do not answer at all, a list may have very many.
                    self._observer.notify(RobotsAwaited(origin, fault.code, fault.http_status))
                outage = self._outage(job, fault, now)
                borne = (
                    outage in _BORNE
                    and not self._frontier.crowded
                    and self._frontier.awaiting(origin) > FEW
                )
                if borne and outage is Outage.BORNE:
                    job.attempt = 0  # neither this one counts, nor do those that led to it
                if job.attempt < self._retry.attempts or borne:
                    job.attempt += 1
                    if outage in _SPACED:
                        failures = job.attempt
                    wait = max(wait, self._retry.delay(failures, self._chance()))
                    self._frontier.retry(job, now + wait, now)
                elif (note := self._awaited[origin]) is not None:
                    self._frontier.settled(job)
                    self._know(origin, note.rules, HOLDS_ON)
                else:
                    self._give_up(job, fault)

    def _outage(self, job: Job, fault: Fault, now: float) -> Outage:
        """Of the group that failed ``job``, since that was asked for first. ``NONE`` if something
        else than failures came of it, or what its breaker does not count: that would never end.
        """
        if job.hops or health(fault) in NO_FAILURE:
            return Outage.NONE
        return self._frontier.outage(job.group, job.attempt, now)

    def _count_failure(self, origin: str) -> int:
        failures = self._failures.pop(origin, 0) + 1
        self._failures[origin] = failures
        if len(self._failures) > MOST_FAILURES:
            del self._failures[next(iter(self._failures))]
        return failures

    def _told(self, job: Job, rules: str) -> None:
        origin = _origin(job)
        self._frontier.settled(job)
        self._failures.pop(origin, None)
        self._notes.append(RobotsNote(origin, self._rule.token, self._clock.wall(), rules))
        self._news.set()
        self._know(origin, rules, robots.FRESH)

    def _give_up(self, job: Job, fault: Fault) -> None:
        origin = _origin(job)
        self._frontier.settled(job)
        del self._awaited[origin]
        for waiting in self._frontier.release(origin):
            self._refuse(waiting, robots.befalls(fault, origin))

    def _know(self, origin: str, rules: str, seconds: float) -> None:
        """What ``origin`` says is known for so long: those that await it go on, or end."""
        now = self._clock.now()
        known = self._sites.pop(origin, None)
        self._text += len(rules) - (len(known.robots.rules) if known is not None else 0)
        self._sites[origin] = _Site(Robots(rules) if rules else robots.EVERYTHING, now + seconds)
        while len(self._sites) > 1 and (len(self._sites) > MOST_SITES or self._text > MOST_TEXT):
            _, oldest = self._sites.popitem(last=False)
            self._text -= len(oldest.robots.rules)
        del self._awaited[origin]
        for job in self._frontier.release(origin):
            objection = self.look(job, job.url)
            if objection is not None:
                self._refuse(job, objection)
            else:
                self._frontier.add(job, now, first=job.hops > 0)


def _origin(job: Job) -> str:
    """Of the robots.txt that ``job`` asks for, wherever redirects led it."""
    return job.asset.url.removesuffix(robots.PATH)
