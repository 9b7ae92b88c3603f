"""Sees what goes on from outside (requests, answers, landings, commits) and knows the laws.

An attempt is *open* from its first request until its outcome is committed, or something ends it
that costs no attempt: a fault of our own side, a cancellation, the end of the run. It holds a
*slot* but for the time in which it has been redirected and waits in another group's line. So at
every instant:

    slots ≤ fetch.concurrency; that is what a kill costs (law 5)
    requests for an asset + refusals without one
                          = attempts committed + attempts explained (laws 5 and 6)

A request for a robots.txt has a negative number, and is no attempt: it holds a slot, is charged to
its host like any other, and what it says is kept by ``owners``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fetcher.engine.suspicion import SILENCE
from fetcher.model import (
    Arrival,
    Asset,
    Fate,
    Fault,
    Found,
    Landed,
    Method,
    Outcome,
    Redirect,
    State,
)
from fetcher.policy import codes
from fetcher.ports import Adoption, FetchRequest, Refused
from tests.simulation.draw import md5
from tests.simulation.gate import Gate
from tests.simulation.owners import Owners
from tests.simulation.records import Records
from tests.simulation.scenario import Scenario
from tests.simulation.trace import Trace
from tests.simulation.web import MAX_HOPS, Says, Truth, refuses_the_method, tells_enough, truth

_STOPS = frozenset({"disk-full", "disk-error"})
_LOST = frozenset({"ours", "cancelled", "run ended"})
_RUNGS = {Method.HEAD: Method.PROBE, Method.PROBE: Method.GET}
Result = Arrival | Found | Redirect | Fault


class Witness:
    """Of all runs of a seed."""

    def __init__(self, scenario: Scenario, trace: Trace, records: Records) -> None:
        self.trace = trace
        self.owners = Owners(scenario, trace)
        self._scenario = scenario
        self._records = records
        self._gates = {name: Gate(budget) for name, budget in scenario.budgets.items()}
        self._truths: dict[tuple[str, object], Truth] = {}
        self._last: dict[int, tuple[str, Fault | None]] = {}
        """What each open attempt came to, as the engine was told."""
        self._open: dict[int, int] = {}
        """Hops of each open attempt."""
        self._leads_to: dict[int, str] = {}
        """Where its last redirect led."""
        self._slots: dict[int, int] = {}
        """Memory of those that hold a slot."""
        self._asked_at: dict[int, float] = {}
        self.requests: Counter[int] = Counter()
        """First requests of attempts, by asset."""
        self.refusals: Counter[int] = Counter()
        """Attempts that ended without a request."""
        self.explained: Counter[int] = Counter()
        self._rungs: dict[int, Method] = {}
        """By what each leased asset is to be asked for."""
        self._silent: set[int] = set()
        """Those that may be asked for again without an attempt, and hold no slot until then."""
        self._dark_at = self._lit_at = -1.0
        """When a look whether anybody can be reached found nobody, or somebody."""
        self._adopted: set[int] = set()
        self._moved_at = 0.0
        self.ended = True
        self.stopped_for: str | None = None
        self.longest_gap = 0.0
        self.served: set[bytes] = {page.body for page in scenario.pages.values()}
        self.served.update(p.older for p in scenario.pages.values() if p.older is not None)

    def begin_run(self) -> None:
        self.end_run()
        self.ended = False
        self._moved_at = self.trace.clock()
        self.stopped_for = None
        self._adopted.clear()
        self._rungs.clear()
        self.owners.begin_run()
        for gate in self._gates.values():
            gate.another_run()

    def end_run(self) -> None:
        """What is open now has cost a request and is not counted as an attempt."""
        self.ended = True
        self.trace.require(
            len(self._taken()) <= self._scenario.limits.concurrency,
            "law 5",
            lambda: f"{len(self._taken())} attempts were lost",
        )
        for asset_id in tuple(self._open):
            self._close(asset_id, "run ended")
        self._slots.clear()  # those of requests for robots.txt files
        self._last.clear()

    def stops(self, why: str) -> None:
        """From now on, in this run, nothing is dispatched."""
        self.stopped_for = why

    def leased(self, assets: Sequence[Asset]) -> None:
        ids = [asset.asset_id for asset in assets]
        self._rungs.update(dict.fromkeys(ids, self._scenario.method))
        self.owners.leased(ids, self.trace.clock())

    # The network.

    def sent(self, request: FetchRequest) -> None:
        now, asset_id, url = self._moves(), request.asset_id, request.url
        self.trace.note("GET", asset_id, url, request.method.value)
        if asset_id < 0:
            self._asked_owner(request, now)
            return
        if asset_id in self._silent:  # what it was asked for before has come to nothing
            self._close(asset_id, "ours")
        asset = self._records.leased.get(asset_id)
        if asset is None:
            self.trace.breach("law 5", f"asset {asset_id} is asked for, and not leased")
        page = self._scenario.pages.get(url)
        if page is None:
            self.trace.breach("law 9", f"nothing led to {url}")
            return
        hops = self._open.get(asset_id)
        if hops is None:
            self._open[asset_id] = 0
            self.requests[asset_id] += 1
            state = self._records.by_id[asset_id].state
            out = self._records.out.get(asset_id)
            # What a list has changed since it was leased goes its old way to the end.
            if state is not State.PENDING and not (out is not None and out.superseded):
                self.trace.breach("law 5", f"asset {asset_id} is {state}, asked for again")
            self._leads_to[asset_id] = asset.url if asset is not None else url
        if url != self._leads_to[asset_id]:
            self.trace.breach("law 9", f"{url} is asked for, not {self._leads_to[asset_id]}")
        rung = self._rungs.get(asset_id, self._scenario.method)
        if request.method is not rung:
            self.trace.breach("the ladder", f"{url} is asked for by {request.method}, not {rung}")
        wrong = self.owners.may_ask(asset, url) if asset is not None else None
        if wrong is not None:
            self.trace.breach("consent", wrong)
        self._through_gate(page.group, now)
        self._takes_slot(request, now)

    def _asked_owner(self, request: FetchRequest, now: float) -> None:
        page = self._scenario.pages.get(request.url)
        if page is None:
            self.trace.breach("law 9", f"nothing led to {request.url}")
            return
        if request.method is not Method.GET:
            self.trace.breach("the ladder", f"{request.url} is asked for by {request.method}")
        self.owners.asked(request)
        self._through_gate(page.group, now)
        self._takes_slot(request, now)

    def _through_gate(self, group: str, now: float) -> None:
        broken = self._gates[group].send(now)
        if broken is not None:
            self.trace.breach("law 4", f"{group}: {broken}")

    def _takes_slot(self, request: FetchRequest, now: float) -> None:
        asset_id = request.asset_id
        if asset_id in self._slots:
            self.trace.breach("law 5", f"asset {asset_id} is asked for twice at once")
        self._slots[asset_id] = request.memory
        self._asked_at[asset_id] = now
        limits = self._scenario.limits
        taken = self._taken()
        if len(taken) > limits.concurrency:
            self.trace.breach("law 7", f"{len(taken)} attempts hold a slot")
        memory = sum(taken)
        if memory > limits.memory and len(taken) > 1 and memory > request.memory:
            self.trace.breach("law 7", f"{memory} bytes of memory are promised")

    def _taken(self) -> list[int]:
        """The memory of each attempt that holds a slot for certain."""
        return [memory for asset_id, memory in self._slots.items() if asset_id not in self._silent]

    def answered(self, request: FetchRequest, result: Result) -> None:
        self._moves()
        asset_id = request.asset_id
        received = 0 if isinstance(result, Redirect) else result.received
        self._received(request, received)
        if isinstance(result, Fault):
            self.trace.note("fault", asset_id, result.code, result.retry_after)
            self._faulted(asset_id, result, request.url)
            if asset_id >= 0 and refuses_the_method(request.method, result.http_status):
                self._climbs(asset_id, request.method)
        elif asset_id < 0:
            self.trace.note("owner", request.url, type(result).__name__)
        elif isinstance(result, Found):
            self.trace.note("found", asset_id, result.method.value, result.size)
            self._found(request, result)
        elif isinstance(result, Redirect):
            self.trace.note("redirect", asset_id, result.target)
            self._redirected(asset_id, request.url, result.target)
        else:
            self.trace.note("arrival", asset_id, result.body.size)
            self._last[asset_id] = ("arrival", None)

        if asset_id < 0:
            self.owners.answered(request, result)
            self._close(asset_id, None)

    def _found(self, request: FetchRequest, found: Found) -> None:
        asset = self._records.leased[request.asset_id]
        says = Says(found.size, found.content_type, found.coded)
        self._last[request.asset_id] = ("found", None)
        if not tells_enough(says, request.method, asset.expected):
            self._climbs(request.asset_id, request.method)

    def _climbs(self, asset_id: int, method: Method) -> None:
        """The same URL once more, by a method that tells more: another slot, the same attempt."""
        self._rungs[asset_id] = _RUNGS[method]
        self._slots.pop(asset_id, None)
        self._last.pop(asset_id, None)

    def cancelled(self, request: FetchRequest) -> None:
        self.trace.note("cancelled", request.asset_id)
        self._received(request, 0)
        self._close(request.asset_id, "cancelled")

    def turned_back(self, request: FetchRequest) -> None:
        """It was sent out and not sent: the same URL again, of the same attempt."""
        self.trace.note("turned back", request.asset_id)
        self._gates[self._scenario.pages[request.url].group].unsent()
        del self._asked_at[request.asset_id]
        self._slots.pop(request.asset_id, None)

    def _received(self, request: FetchRequest, received: int) -> None:
        gate = self._gates[self._scenario.pages[request.url].group]
        gate.receive(received, self._asked_at.pop(request.asset_id), self.trace.clock())

    def _faulted(self, asset_id: int, fault: Fault, url: str | None) -> None:
        if codes.fate(fault.code) is Fate.LOCAL:
            if fault.code in _STOPS:
                self.stops(fault.code)
            self._close(asset_id, "ours")
            return
        self._last[asset_id] = ("fault", fault)
        if self._dark_at == self.trace.clock():
            self.excuses()
        if url is not None and fault.retry_after is not None:
            wait = min(fault.retry_after, self._scenario.retry.max_retry_after)
            now = self.trace.clock()
            self._gates[self._scenario.pages[url].group].close(now + wait, now)

    def reached(self, *, somebody: bool) -> None:
        """A host was tried whether it can be reached. If none of those that are tried together can,
        that is an excuse, whether or not there is a pause already that hides the one for it.
        """
        now = self.trace.clock()
        if somebody:
            self._lit_at, self._dark_at = now, -1.0
        elif self._lit_at != now:
            self._dark_at = now
            self.excuses()

    def excuses(self) -> None:
        """Hosts of several owners were silent, and nobody else spoke: whoever has failed so, and is
        not committed, may be asked for again without an attempt for it.
        """
        silent = {n: last[1] for n, last in self._last.items() if _is_silence(last[1])}
        self._silent |= silent.keys()

    def _redirected(self, asset_id: int, url: str, target: str) -> None:
        hops = self._open[asset_id]
        refused = (
            target not in self._scenario.pages
            or hops == MAX_HOPS
            or (url.startswith("https:") and target.startswith("http:"))
        )
        if refused:
            self._last[asset_id] = ("redirect", None)
        else:
            self._open[asset_id] = hops + 1
            self._leads_to[asset_id] = target
            del self._slots[asset_id]

    # The landing.

    def landed(self, results: Sequence[Landed | Refused]) -> None:
        self._moves()
        for result in results:
            if isinstance(result, Refused):
                self.trace.note("refused", result.asset_id, result.fault.code)
                self._faulted(result.asset_id, result.fault, None)
            else:
                self.trace.note("landed", result.asset_id, result.path)

    def adopted(self, adoption: Adoption) -> None:
        self._adopted.update(landed.asset_id for landed in adoption.landed)

    # The manifest.

    def committed(self, outcome: Outcome, asset: Asset) -> None:
        """Called just before; ``asset`` is as it was leased."""
        self._moves()
        asset_id = outcome.asset_id
        self.trace.note("commit", asset_id, outcome.state.value, outcome.code, outcome.attempt)
        if outcome.attempt == 0:
            if asset_id not in self._adopted:
                self.trace.breach("law 6", f"asset {asset_id} is settled without an attempt")
            if outcome.state is not State.VERIFIED:
                self.trace.breach("the oracle", f"asset {asset_id} is adopted as {outcome.state}")
            return
        kind, fault = self._last.pop(asset_id, ("nothing", None))
        url = self._leads_to[asset_id] if asset_id in self._open else asset.url
        self.refusals[asset_id] += asset_id not in self._open
        self._close(asset_id, None)
        if outcome.attempt != self._records.attempts_of(asset_id) + 1:
            self.trace.breach("law 6", f"asset {asset_id}: attempt {outcome.attempt} is miscounted")
        if kind != "nothing":
            self._judge(outcome, fault, kind, asset)
        elif (wrong := self.owners.may_refuse(outcome, asset, url)) is not None:
            self.trace.breach(
                "law 6", f"asset {asset_id} is {outcome.state}, {outcome.code}: {wrong}"
            )

    def _judge(self, outcome: Outcome, fault: Fault | None, kind: str, asset: Asset) -> None:
        """Whether it is what had to come of it."""
        most = self._scenario.retry.attempts
        true_state, true_code = self._truth(asset)
        passing = fault is not None and codes.fate(fault.code) is Fate.TRANSIENT
        if fault is None and kind == "redirect" and true_code == "too-many-redirects":
            passing = True
        tried_out = outcome.attempt >= most
        if passing:
            right = outcome.state is (State.FAILED if tried_out else State.PENDING)
            right = right and (fault is None or outcome.code == fault.code)
        else:
            right = (outcome.state, outcome.code) == (true_state, true_code)
        if not right:
            self.trace.breach(
                "the oracle",
                f"asset {outcome.asset_id} is {outcome.state}, {outcome.code} after attempt "
                f"{outcome.attempt}, and {fault or kind}; it should be {true_state}, {true_code}",
            )

    def _truth(self, asset: Asset) -> Truth:
        key = (asset.url, asset.expected)
        found = self._truths.get(key)
        if found is None:
            found = self._truths[key] = truth(asset.url, asset.expected, self._scenario)
        return found

    # What is open.

    def _close(self, asset_id: int, why: str | None) -> None:
        self._slots.pop(asset_id, None)
        self._last.pop(asset_id, None)
        self._silent.discard(asset_id)
        if self._open.pop(asset_id, None) is not None and why in _LOST:
            self.explained[asset_id] += 1

    def _moves(self) -> float:
        """Something happens: how long did nothing?"""
        now = self.trace.clock()
        gap = now - self._moved_at
        self._moved_at = now
        if not self.ended and gap > self.longest_gap:
            self.longest_gap = gap
        return now

    # At the end of it all.

    def look_back(self) -> None:
        """Law 6, over all runs: no request is unaccounted for."""
        for asset_id, requests in self.requests.items():
            committed = self._records.by_id[asset_id].attempts_ever
            if requests + self.refusals[asset_id] != committed + self.explained[asset_id]:
                self.trace.breach(
                    "law 6",
                    f"asset {asset_id}: {requests} requests, {self.refusals[asset_id]} refusals "
                    f"without one, {committed} attempts committed, "
                    f"{self.explained[asset_id]} cut off",
                )

    def look_at_files(self, files: dict[str, bytes]) -> None:
        """Laws 2 and 3."""
        if files and self._scenario.audits:
            self.trace.breach("an audit keeps nothing", f"{sorted(files)}")
        for key, data in files.items():
            if data not in self.served:
                self.trace.breach("law 3", f"{key} is no body that any page has shown")
        for record in self._records.by_id.values():
            if record.path is None:
                continue
            found = files.get(record.path)
            if found is None:
                self.trace.breach("law 2", f"{record.path} is {record.state}, and not there")
            elif record.state is State.VERIFIED:
                size, digest = record.asset.expected.size, record.asset.expected.md5
                if size not in (None, len(found)) or digest not in (None, md5(found)):
                    self.trace.breach("law 2", f"{record.path} is verified, and does not match")


def _is_silence(fault: object) -> bool:
    return isinstance(fault, Fault) and fault.code in SILENCE
