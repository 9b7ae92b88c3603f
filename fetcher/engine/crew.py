"""A crew in one process: runners that ask, and a landing that keeps.

A runner is a task that carries out one errand after another, so that an image costs no task, no
timer and no future of its own. What a report leads to is decided while it is delivered; the runner
that delivered it takes the next errand without ever having waited.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from fetcher.model import Arrival, Fault, Found, Landed, Redirect
from fetcher.ports import (
    Abandoned,
    Arrived,
    Errand,
    FetchRequest,
    Landing,
    Refused,
    Report,
    Step,
    Transport,
    TurnedBack,
    TurnedBackError,
)


class TaskCrew:
    """``ports.Crew`` on the running event loop. ``spool_path`` gives a path for an asset's id."""

    def __init__(
        self, transport: Transport, landing: Landing, spool_path: Callable[[int], str]
    ) -> None:
        self._transport = transport
        self._landing = landing
        self._spool_path = spool_path
        self._errands: deque[Errand] = deque()
        self._runners: dict[asyncio.Task[None], None] = {}
        self._parked: list[asyncio.Future[None]] = []
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        """Whether errands that could be sent may be, by asset."""
        self._looking = 0
        """Runners that will look for an errand without having to be woken."""
        self._at_once: dict[int, int] = {}
        """Bytes that arrived of assets which are being landed in this turn of the loop."""
        self._closing = False

    async def start(
        self,
        deliver: Callable[[Sequence[Report]], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._deliver = deliver
        self._broken = broken
        self._landing.start(self._landed, broken)

    def send(self, errand: Errand) -> None:
        self._errands.append(errand)
        if len(self._errands) <= self._looking:
            return
        self._looking += 1
        if self._parked:
            self._parked.pop().set_result(None)
        else:
            runner = asyncio.get_running_loop().create_task(self._run())
            self._runners[runner] = None
            runner.add_done_callback(self._ended)

    def may_send(self, asset_id: int) -> None:
        self._answer(asset_id, may_send=True)

    def turn_back(self, asset_id: int) -> None:
        self._answer(asset_id, may_send=False)

    def _answer(self, asset_id: int, *, may_send: bool) -> None:
        waits = self._waiting.pop(asset_id, None)
        if waits is not None and not waits.done():
            waits.set_result(may_send)

    async def reach(self, urls: Sequence[str]) -> bool:
        tries = [asyncio.ensure_future(self._transport.reach(url)) for url in urls]
        try:
            return any([await reached for reached in asyncio.as_completed(tries)])
        finally:
            for one in tries:
                one.cancel()

    def abandon(self) -> None:
        for runner in tuple(self._runners):
            runner.cancel()

    async def close(self, patience: float) -> None:
        self._closing = True
        self._dismiss()
        for asset_id in tuple(self._waiting):
            self.turn_back(asset_id)
        if self._runners:
            await asyncio.wait(self._runners, timeout=patience)
        self.abandon()
        if self._runners:
            await asyncio.wait(self._runners)
        # A runner that is cancelled before its first step has taken no errand.
        left = [Report(errand.asset.asset_id, Abandoned()) for errand in self._errands]
        self._errands.clear()
        if left:
            self._deliver(left)
        await self._landing.close()
        await asyncio.sleep(0)  # let the landing's last delivery in
        await self._transport.close()

    def _dismiss(self) -> None:
        """Let the runners that have nothing to do end."""
        for parked in self._parked:
            if not parked.done():
                parked.set_result(None)
                self._looking += 1
        self._parked.clear()

    async def _run(self) -> None:
        """A runner's life."""
        loop = asyncio.get_running_loop()  # which takes a system call on some Pythons
        while True:
            self._looking -= 1
            if self._errands:
                await self._carry_out(self._errands.popleft())
            elif self._closing:
                return
            else:
                parked = loop.create_future()
                self._parked.append(parked)
                await parked

    async def _carry_out(self, errand: Errand) -> None:
        asset = errand.asset
        request = FetchRequest(
            url=errand.url,
            asset_id=asset.asset_id,
            memory=errand.memory,
            spool=self._spool_path(asset.asset_id),
            expected_size=asset.expected.size,
            partial=errand.partial,
            cut_at=errand.cut_at,
            method=errand.method,
            turn=_Turn(self, errand) if errand.leave is not None else None,
        )
        result: Arrival | Found | Redirect | Fault | TurnedBack
        try:
            result = await self._transport.fetch(request)
        except TurnedBackError:
            result = TurnedBack()
        except asyncio.CancelledError:
            # The transport has removed what it had of the body.
            self._deliver([Report(asset.asset_id, Abandoned())])
            raise
        self._looking += 1
        if isinstance(result, Arrival) and errand.cut_at is None:
            if self._landing.submit(asset, result):
                self._at_once[asset.asset_id] = result.received
            else:
                self._deliver([Report(asset.asset_id, Arrived(result.received))])
        else:
            self._deliver([Report(asset.asset_id, result)])

    async def await_turn(self, asset_id: int) -> None:
        """For ``_Turn``. The run's end is the end of all waiting. Raises ``TurnedBackError``."""
        if self._closing:
            raise TurnedBackError
        waits = self._waiting[asset_id] = asyncio.get_running_loop().create_future()
        self.tell(asset_id, Step.READY)
        try:
            may_send = await waits
        finally:
            self._waiting.pop(asset_id, None)
        if not may_send:
            raise TurnedBackError

    def tell(self, asset_id: int, step: Step) -> None:
        """For ``_Turn``."""
        try:
            self._deliver([Report(asset_id, step)])
        except Exception as error:  # noqa: BLE001  a bug; the transport would take it for a fault
            self._broken(error)

    def _landed(self, results: Sequence[Landed | Refused]) -> None:
        try:
            taken = self._at_once.pop
            self._deliver([Report(one.asset_id, one, taken(one.asset_id, None)) for one in results])
        except Exception as error:  # noqa: BLE001  a bug; the loop would only log it
            self._broken(error)

    def _ended(self, runner: asyncio.Task[None]) -> None:
        del self._runners[runner]
        if not runner.cancelled() and (error := runner.exception()) is not None:
            self._broken(error)


class _Turn:
    """``ports.Turn`` of one errand."""

    __slots__ = ("_asset_id", "_crew", "has_leave")

    def __init__(self, crew: TaskCrew, errand: Errand) -> None:
        self._crew = crew
        self._asset_id = errand.asset.asset_id
        self.has_leave = bool(errand.leave)

    def put_off(self) -> None:
        if self.has_leave:
            self.has_leave = False
            self._crew.tell(self._asset_id, Step.PUT_OFF)

    async def come(self) -> None:
        await self._crew.await_turn(self._asset_id)
        self.has_leave = True

    def taken(self) -> None:
        self._crew.tell(self._asset_id, Step.SENT)
