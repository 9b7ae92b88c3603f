"""``ports.Transport`` over the simulated web: it keeps the port's promises, and tells the witness
of each request at the moment it is sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from fetcher.model import Arrival, Body, Fault, Found, Method, Partial, Redirect, Validators
from fetcher.policy.classify import REDIRECTS, status_code
from fetcher.policy.oserrors import disk_fault
from fetcher.policy.retry import parse_retry_after
from fetcher.ports import FetchRequest, Turn
from tests.fakes.clock import EPOCH
from tests.simulation.disk import Disk
from tests.simulation.eye import Eye
from tests.simulation.life import Mortal
from tests.simulation.scenario import MAX_BYTES, Scenario
from tests.simulation.web import FIRST_BYTES, Reply, Web

Result = Arrival | Found | Redirect | Fault


class _Transfer(NamedTuple):
    """A body on its way into a spool file."""

    path: str
    before: bytes
    data: bytes
    begins: float
    ends: float


@dataclass(slots=True, eq=False)
class Network:
    """One run's."""

    scenario: Scenario
    web: Web
    disk: Disk
    witness: Eye
    life: Mortal
    _transfers: dict[int, _Transfer] = field(default_factory=dict)

    async def fetch(self, request: FetchRequest) -> Result:
        self.life.check()
        turn = request.turn
        if turn is not None and not turn.has_leave:
            await self._wait(request, turn)
        self.witness.sent(request)
        if turn is not None:
            turn.taken()
        try:
            result = await self._fetch(request)
        except asyncio.CancelledError:
            self.life.check()
            if request.partial is not None:
                self.disk.remove(str(request.partial.path))
            self.disk.remove(str(request.spool))
            self.witness.cancelled(request)
            raise
        finally:
            self._transfers.pop(request.asset_id, None)
        self.life.check()
        if request.partial is not None and _replaces(result, str(request.partial.path)):
            self.disk.remove(str(request.partial.path))
        self.witness.answered(request, result)
        return result

    async def _wait(self, request: FetchRequest, turn: Turn) -> None:
        try:
            await turn.come()
        except asyncio.CancelledError:
            self.life.check()
            if request.partial is not None:
                self.disk.remove(str(request.partial.path))
            raise
        self.life.check()

    async def reach(self, url: str) -> bool:
        """A connection says whether there is an outage, and no more."""
        await asyncio.sleep(0.01)
        self.life.check()
        now, group = asyncio.get_running_loop().time(), self.scenario.pages[url].group
        reached = self.web.outage(None, now) is None and self.web.outage(group, now) is None
        self.witness.reached(somebody=reached)
        return reached

    async def close(self) -> None:
        self.life.check()

    def tear(self, now: float) -> None:
        """The run is cut off: what spooled bodies had come to is on the disk."""
        for transfer in self._transfers.values():
            took = max(1e-9, transfer.ends - transfer.begins)
            share = min(1.0, max(0.0, (now - transfer.begins) / took))
            come = transfer.data[: int(len(transfer.data) * share)]
            if come:
                self.disk.tear(transfer.path, transfer.before + come)

    async def _fetch(self, request: FetchRequest) -> Result:
        loop = asyncio.get_running_loop()
        now = loop.time()
        ours = self.web.outage(None, now)
        if ours is not None:
            await asyncio.sleep(0.01)
            return Fault(ours, "ours")
        if self.scenario.pages[request.url].blocked:
            await asyncio.sleep(0.01)
            return Fault("blocked-address")
        reply = self.web.reply(request.url, request.partial, now, EPOCH + now, request.method)
        if reply.code is not None:
            await asyncio.sleep(reply.wait)
            return Fault(reply.code)
        if reply.status in REDIRECTS and reply.location is not None:
            await asyncio.sleep(reply.wait)
            return Redirect(reply.status, reply.location)
        if reply.status in {200, 206} and reply.says is None and not reply.opted_out:
            body = self._body if request.cut_at is None else self._text
            return await body(request, reply, now)
        await asyncio.sleep(reply.wait)
        if reply.says is not None:
            return await self._found(request, reply)
        if reply.opted_out:
            return Fault("opted-out", http_status=200)
        if reply.status == 416:
            return self._no_more(request, reply)
        code = status_code(reply.status)
        assert code is not None
        wait = None
        if reply.retry_after is not None:
            wait = parse_retry_after(reply.retry_after, EPOCH + loop.time())
        return Fault(code, http_status=reply.status, retry_after=wait)

    async def _found(self, request: FetchRequest, reply: Reply) -> Result:
        if reply.broken is not None:
            await asyncio.sleep(self.scenario.limits.stall_timeout)
            return Fault(reply.broken, http_status=200)
        size, kind, coded = reply.says or (None, None, False)
        probes = request.method is Method.PROBE
        received = min(FIRST_BYTES, size or FIRST_BYTES) if probes else 0
        return Found(
            request.method, 206 if probes else 200, size, kind, request.url, coded, received
        )

    def _no_more(self, request: FetchRequest, reply: Reply) -> Result:
        partial = request.partial
        assert partial is not None
        if partial.size != reply.total:
            return Fault("range-mismatch", http_status=416)
        self._dies_of(request.url)
        body = Body(partial.size, path=self.disk.path(str(partial.path)))
        return Arrival(body, 416, None, request.url, _tagged(reply), resumed=True)

    async def _body(self, request: FetchRequest, reply: Reply, now: float) -> Result:
        if reply.other_part:
            await asyncio.sleep(reply.wait)
            return Fault("range-mismatch", http_status=206)
        if reply.total > MAX_BYTES:
            await asyncio.sleep(reply.wait)
            return Fault("too-large", http_status=reply.status)
        resume = request.partial if reply.offset else None
        try:
            before = self._kept(resume)
        except OSError as error:
            return Fault(disk_fault(error), "spool")
        data, broken, takes = self._in_time(request, reply)
        size = len(before) + len(data)
        path = str(resume.path if resume is not None else request.spool)
        if resume is not None or size > request.memory:
            begins = now + reply.wait
            self._transfers[request.asset_id] = _Transfer(path, before, data, begins, now + takes)
        await asyncio.sleep(takes)
        self.life.check()
        if broken is not None:
            partial = None
            if size:
                try:
                    self.disk.spool(path, before + data)
                except OSError as error:
                    return Fault(disk_fault(error), "spool", received=len(data))
                partial = Partial(self.disk.path(path), size, _tagged(reply))
            return Fault(broken, http_status=reply.status, received=len(data), partial=partial)
        self._dies_of(request.url)
        body = Body(size, data=data)
        if resume is not None or size > request.memory:
            try:
                self.disk.spool(path, before + data)
            except OSError as error:
                return Fault(disk_fault(error), "spool", received=len(data))
            body = Body(size, path=self.disk.path(path))
        return Arrival(
            body,
            reply.status,
            "image/jpeg",
            request.url,
            _tagged(reply),
            resume is not None,
            len(data),
        )

    def _dies_of(self, url: str) -> None:
        deadly = self.scenario.pages[url].deadly
        if deadly is not None:
            self.life.kill(deadly)
            self.life.check()

    async def _text(self, request: FetchRequest, reply: Reply, _: float) -> Result:
        """A robots.txt: nothing is kept of one that breaks off."""
        data, broken, takes = self._in_time(request, reply)
        await asyncio.sleep(takes)
        self.life.check()
        if broken is not None:
            return Fault(broken, http_status=reply.status, received=len(data))
        body = Body(len(data), data=data)
        return Arrival(body, reply.status, "text/plain", request.url, received=len(data))

    def _kept(self, resume: Partial | None) -> bytes:
        """What is to be continued. Raises ``OSError``."""
        if resume is None:
            return b""
        text = str(resume.path)
        held = len(self.disk.temporaries.get(text, b""))
        self.witness.trace.require(
            held >= resume.size, "a part is kept", lambda: f"{text} has {held} of {resume.size}"
        )
        return self.disk.read(text)[: resume.size]

    def _in_time(self, request: FetchRequest, reply: Reply) -> tuple[bytes, str | None, float]:
        """What comes of the body, what breaks it off, and how long that takes."""
        speed = self.scenario.hosts[self.scenario.pages[request.url].group].speed
        limits = self.scenario.limits
        data, broken = reply.data, reply.broken
        takes = reply.wait + len(data) / speed
        if takes > limits.total_timeout:
            come = max(0, int((limits.total_timeout - reply.wait) * speed))
            return data[:come], "total-timeout", limits.total_timeout
        if broken == "stalled":
            return data, broken, min(limits.total_timeout, takes + limits.stall_timeout)
        return data, broken, takes


def _replaces(result: Result, kept: str) -> bool:
    """As in the real transport: whether other bytes are handed on in the place of ``kept``."""
    if isinstance(result, Arrival):
        return str(result.body.path) != kept
    if not isinstance(result, Fault):
        return False
    return result.partial is not None and str(result.partial.path) != kept


def _tagged(reply: Reply) -> Validators:
    return Validators(reply.tag)
