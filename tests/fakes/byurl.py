"""A transport whose answer the URL's path names, and a recipe of a crew that has it. Both can be
pickled, so that they work in a worker's process too."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import resource
import signal
from urllib.parse import urlsplit

from fetcher.engine import TaskCrew
from fetcher.model import Arrival, Fault, Redirect
from fetcher.ports import FetchRequest, Turn
from tests.fakes.landing import InlineLanding
from tests.fakes.transport import image


class ByUrlTransport:
    """``/KIND/N``: the image of asset N is its number, fifty digits or more. ``slow`` has to wait
    for its connection.
    """

    def __init__(self, landing: InlineLanding) -> None:
        self._landing = landing

    async def fetch(self, request: FetchRequest) -> Arrival | Redirect | Fault:
        _, kind, number = urlsplit(request.url).path.split("/")
        await asyncio.sleep(0)
        if request.turn is not None:
            await _in_turn(request.turn, slow=kind == "slow")
        await _wait(kind)
        _die(kind)
        if kind == "pid":
            return Fault("http-404", str(os.getpid()))
        if kind == "gone":
            return Fault("http-404", http_status=404)
        if kind == "echo":
            return Fault("truncated", str(request.memory), partial=request.partial)
        if kind == "moved":
            return Redirect(302, "http://h.test/elsewhere")
        if kind == "astray":
            return Redirect(302, f"http://h.test/crash/{number}")
        if kind == "refused":
            self._landing.refuse.append(Fault("disk-full", "no room"))
        return image((number if kind != "wrong" else "x").encode() * 50, request.url)

    async def reach(self, url: str) -> bool:
        return url.endswith("/up")

    async def close(self) -> None:
        pass


def _die(kind: str) -> None:
    if kind == "bug":
        raise ZeroDivisionError("a bug")
    if kind in {"kill", "fatal"}:
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "crash":  # as a library does that goes astray; but quietly
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), signal.SIGSEGV)


async def _wait(kind: str) -> None:
    if kind in {"later", "fatal"}:
        await asyncio.sleep(0.05)
    if kind == "never":
        await asyncio.Event().wait()


async def _in_turn(turn: Turn, *, slow: bool) -> None:
    if slow:
        turn.put_off()
    if not turn.has_leave:
        await turn.come()
    turn.taken()


class ByUrlRecipe:
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def crew(self) -> TaskCrew:
        landing = InlineLanding()
        return TaskCrew(ByUrlTransport(landing), landing, lambda n: f"spool/{n}")
