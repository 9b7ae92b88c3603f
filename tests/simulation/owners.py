"""What owners have said, and to what had to come of it: the oracle for robots.txt.

It hears of every request for one and of its answer, and knows no more than a person would who looks
at both. From then on, of each image that is asked for:

    its origin's robots.txt was asked before, less than a day before the image was leased or later
    and it allowed it; or that owner is exempt

and of each that is not asked for: that it was forbidden, or that its owner could not be heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from fetcher.engine.consent import HOLDS_ON
from fetcher.engine.suspicion import HOLD
from fetcher.model import Arrival, Asset, Fate, Fault, Found, Outcome, Redirect
from fetcher.policy import codes
from fetcher.policy.consent import ConsentRule, origin_of
from fetcher.policy.robots import FRESH
from fetcher.ports import FetchRequest
from tests.simulation.scenario import PLACEHOLDERS, Rules, Scenario
from tests.simulation.trace import Trace

LAW = "consent"
EPSILON = 1e-6
_NO_FILE = frozenset({"http-401", "http-403", "http-404", "http-410", "http-451", "http-4xx"})


@dataclass(frozen=True, slots=True)
class Told:
    at: float
    rules: Rules


@dataclass(slots=True)
class _Ask:
    """A request for a robots.txt, with its repetitions and redirects."""

    origin: str
    url: str
    """What is to be asked for next."""
    hops: int = 0
    failures: int = 0
    over: bool = False


@dataclass(slots=True)
class _Owner:
    told: list[Told] = field(default_factory=list)
    unheard: list[tuple[float, str]] = field(default_factory=list)
    """When nothing was to be had, and the code of what befell."""
    kept_until: float = -1.0
    """When the manifest remembers of what was told last, for later runs: until when it is good."""
    good_until: float = -1.0
    """The same, for this run."""


class Owners:
    """Of all runs of a seed."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self._scenario = scenario
        self._rule = scenario.consent
        self._trace = trace
        self._owners: dict[str, _Owner] = {}
        self._asks: dict[int, _Ask] = {}
        self._leased: dict[int, float] = {}

    def begin_run(self) -> None:
        self._asks.clear()
        self._leased.clear()
        for owner in self._owners.values():
            owner.good_until = owner.kept_until

    def leased(self, asset_ids: list[int], now: float) -> None:
        self._leased.update(dict.fromkeys(asset_ids, now))

    def remembered(self, origin: str, at: float) -> None:
        """The manifest has committed what was told then."""
        self._of(origin).kept_until = at + FRESH

    # Requests for a robots.txt.

    def asked(self, request: FetchRequest) -> None:
        now, asset_id = self._trace.clock(), request.asset_id
        ask = self._asks.get(asset_id)
        if ask is None:
            earlier = tuple(self._asks.values())
            origin = request.url.removesuffix("/robots.txt")
            ask = self._asks[asset_id] = _Ask(origin, request.url)
            found = origin_of(request.url)
            if found is None or found.url != origin:
                self._trace.breach(LAW, f"{request.url} is no robots.txt")
            elif self._rule is None or not _asks(self._rule, request.url):
                self._trace.breach(LAW, f"{request.url} is asked for, and nobody wants it")
            if now < self._of(origin).good_until - EPSILON:
                self._trace.breach(LAW, f"{request.url} is asked for again, within a day")
            most = self._scenario.retry.attempts
            if any(a.origin == origin and not a.over and a.failures < most for a in earlier):
                self._trace.breach(LAW, f"{request.url} is asked for by two at once")
        if ask.over:
            self._trace.breach(LAW, f"{request.url} is asked for again, and was answered")
        if request.url == f"{ask.origin}/robots.txt":
            ask.hops = 0
        elif request.url != ask.url:
            self._trace.breach("law 9", f"{request.url} is asked for, not {ask.url}")

    def answered(self, request: FetchRequest, result: Arrival | Found | Redirect | Fault) -> None:
        ask = self._asks[request.asset_id]
        if isinstance(result, Arrival):
            assert result.body.data is not None
            self._hear(ask, self._scenario.robots[bytes(result.body.data)])
        elif isinstance(result, Redirect):
            if self._leads_on(request.url, result.target, ask.hops):
                ask.url, ask.hops = result.target, ask.hops + 1
            else:
                self._hear(ask, ())
        elif isinstance(result, Fault) and codes.fate(result.code) is not Fate.LOCAL:
            self._failed(ask, result)

    def _leads_on(self, url: str, target: str, hops: int) -> bool:
        return (
            target in self._scenario.pages
            and not target.startswith(PLACEHOLDERS.removesuffix("*"))
            and hops < 5
            and not (url.startswith("https:") and target.startswith("http:"))
        )

    def _failed(self, ask: _Ask, fault: Fault) -> None:
        if fault.code in _NO_FILE or fault.http_status == 204:
            self._hear(ask, ())
        elif codes.fate(fault.code) is Fate.TRANSIENT:
            ask.failures += 1
            if ask.failures >= self._scenario.retry.attempts:
                self._unheard(ask, fault)
        elif ask.hops:
            self._hear(ask, ())
        else:
            ask.over = True
            self._unheard(ask, fault)

    def _hear(self, ask: _Ask, rules: Rules) -> None:
        ask.over = True
        now, owner = self._trace.clock(), self._of(ask.origin)
        self._trace.note("robots", ask.origin, len(rules))
        owner.told.append(Told(now, rules))
        owner.good_until = now + FRESH

    def _unheard(self, ask: _Ask, fault: Fault) -> None:
        """It may be tried again if that was our own network's silence."""
        code = "robots-unreachable" if fault.http_status is not None else fault.code
        self._trace.note("unheard", ask.origin, code)
        self._of(ask.origin).unheard.append((self._trace.clock(), code))

    # Images.

    def may_ask(self, asset: Asset, url: str) -> str | None:
        """What is wrong with asking for it."""
        if self._rule is None or not _asks(self._rule, url):
            return None
        said = list(self._said(asset, url))
        if not said:
            return f"{url} is asked for before its robots.txt, or long after"
        if not any(allows(told.rules, url) for told in said):
            return f"{url} is asked for against its robots.txt"
        return None

    def may_refuse(self, outcome: Outcome, asset: Asset, url: str) -> str | None:
        """What is wrong with ending without having asked for ``url``."""
        if self._rule is None or not _asks(self._rule, url):
            return "it ended without an answer"
        if outcome.state is not codes.final_state(outcome.code or ""):
            return f"{outcome.state} does not go with {outcome.code}"
        if outcome.code == "robots":
            said = self._said(asset, url)
            forbidden = any(not allows(told.rules, url) for told in said)
            return None if forbidden else f"{url} is not forbidden"
        # A silence is held for a moment, and befalls also what is leased meanwhile.
        since = self._leased.get(outcome.asset_id, 0.0) - HOLD - 0.1
        unheard = self._owner(url).unheard
        fits = any(at >= since and code == outcome.code for at, code in unheard)
        return None if fits else f"nothing of {url} ended with {outcome.code}"

    def _said(self, asset: Asset, url: str) -> Iterator[Told]:
        """What an owner has said that may be relied on: the last word when the image was leased, if
        it was not too old or could not be had anew, and each after that.
        """
        since, owner = self._leased.get(asset.asset_id, 0.0), self._owner(url)
        before = [told for told in owner.told if told.at < since]
        if before:
            held_on = any(at >= since - HOLDS_ON for at, _ in owner.unheard)
            if before[-1].at >= since - FRESH - EPSILON or held_on:
                yield before[-1]
        yield from owner.told[len(before) :]

    def _owner(self, url: str) -> _Owner:
        origin = origin_of(url)
        assert origin is not None
        return self._of(origin.url)

    def _of(self, origin: str) -> _Owner:
        return self._owners.setdefault(origin, _Owner())


def allows(rules: Rules, url: str) -> bool:
    """The longest beginning that fits decides; of two, the one that allows."""
    path = "/" + url.split("/", 3)[3]
    fits = [(len(prefix), allowed) for prefix, allowed in rules if path.startswith(prefix)]
    return max(fits)[1] if fits else True


def _asks(rule: ConsentRule, url: str) -> bool:
    host = url.split("/")[2].partition(":")[0]
    return not any(fnmatchcase(host, pattern) for pattern in rule.exempt)
