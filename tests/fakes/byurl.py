"""A transport whose answer the URL's path names, and a recipe of a crew that has it. Both can be
pickled, so that they work in a worker's process too."""

from __future__ import annotations

import asyncio
import os
import signal
from urllib.parse import urlsplit

from fetcher.engine import TaskCrew
from fetcher.model import Arrival, Fault, Redirect
from fetcher.ports import FetchRequest
from tests.fakes.landing import InlineLanding
from tests.fakes.transport import image


class ByUrlTransport:
    """``/KIND/N``: the image of asset N is its number, fifty digits or more."""

    def __init__(self, landing: InlineLanding) -> None:
        self._landing = landing

    async def fetch(self, request: FetchRequest) -> Arrival | Redirect | Fault:
        _, kind, number = urlsplit(request.url).path.split("/")
        await asyncio.sleep(0)
        if kind == "never":
            await asyncio.Event().wait()
        if kind == "bug":
            raise ZeroDivisionError("a bug")
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "pid":
            return Fault("http-404", str(os.getpid()))
        if kind == "gone":
            return Fault("http-404", http_status=404)
        if kind == "echo":
            return Fault("truncated", str(request.memory), partial=request.partial)
        if kind == "moved":
            return Redirect(302, "http://h.test/elsewhere")
        if kind == "refused":
            self._landing.refuse.append(Fault("disk-full", "no room"))
        return image((number if kind != "wrong" else "x").encode() * 50, request.url)

    async def reach(self, url: str) -> bool:
        return url.endswith("/up")

    async def close(self) -> None:
        pass


class ByUrlRecipe:
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def crew(self) -> TaskCrew:
        landing = InlineLanding()
        return TaskCrew(ByUrlTransport(landing), landing, lambda n: f"spool/{n}")
