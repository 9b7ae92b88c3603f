"""What a worker process does: serve a crew over a socket until the run has no more use for it.

Signals are the run's business, and ignored: a terminal sends Ctrl-C to all of its processes, and
only the run knows what it means for an image that is half here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from collections.abc import Sequence
from typing import Any, Protocol

from fetcher.engine.courier import Courier
from fetcher.engine.messages import (
    Abandon,
    Broke,
    Close,
    Closed,
    Ping,
    Pong,
    Reach,
    Reached,
    Turn,
    pack_report,
    unpack,
)
from fetcher.ports import Crew, Errand, Report


class Recipe(Protocol):
    """How a worker's crew is made: a picklable value, used in the worker's process."""

    def loop(self) -> asyncio.AbstractEventLoop:
        """A new event loop."""

    def crew(self) -> Crew:
        """A new crew, made while that loop runs."""


def work(end: socket.socket, recipe: Recipe) -> None:
    """A worker process's life."""
    with asyncio.Runner(loop_factory=recipe.loop) as runner:
        runner.run(_serve(end, recipe))


async def _serve(end: socket.socket, recipe: Recipe) -> None:
    if await _is_wanted(end):
        await _Service(recipe.crew()).serve(end)


async def _is_wanted(end: socket.socket) -> bool:
    """Wait until the run has something to say: before that, there may be no place to work in.
    ``False`` if it hangs up instead.
    """
    told = asyncio.Event()
    end.setblocking(False)
    loop = asyncio.get_running_loop()
    loop.add_reader(end.fileno(), told.set)
    await told.wait()
    loop.remove_reader(end.fileno())
    return bool(end.recv(1, socket.MSG_PEEK))


class _Service:
    """Between a crew and the courier."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._patience: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._questions: asyncio.Queue[Reach] = asyncio.Queue()
        self._hung_up = asyncio.Event()
        self._all_said = False

    async def serve(self, end: socket.socket) -> None:
        await self._crew.start(self._deliver, self._broken)
        self._courier = await Courier.over(end, self._receive, self._lost)
        answering = asyncio.create_task(self._answer())
        await self._crew.close(await self._patience)
        answering.cancel()
        self._courier.send(Closed())
        self._all_said = True
        self._courier.close()
        await self._hung_up.wait()

    def _receive(self, messages: Sequence[Any]) -> None:
        for message in map(unpack, messages):
            if isinstance(message, Errand):
                self._crew.send(message)
            elif isinstance(message, Turn):
                tell = self._crew.may_send if message.may_send else self._crew.turn_back
                tell(message.asset_id)
            elif isinstance(message, Ping):
                self._courier.send(Pong())
            elif isinstance(message, Reach):
                self._questions.put_nowait(message)
            elif isinstance(message, Abandon):
                self._crew.abandon()
            elif isinstance(message, Close) and not self._patience.done():
                self._patience.set_result(message.patience)

    async def _answer(self) -> None:
        while True:
            question = await self._questions.get()
            self._courier.send(Reached(await self._crew.reach(question.urls)))

    def _deliver(self, reports: Sequence[Report]) -> None:
        for report in reports:
            self._courier.send(pack_report(report))
        if len(reports) > 1:  # they landed together, and nothing else of this turn will
            self._courier.flush()

    def _broken(self, error: BaseException) -> None:
        self._courier.send(Broke("".join(traceback.format_exception(error))))

    def _lost(self) -> None:
        if not self._all_said:
            # The run has gone, and with it the manifest's lock: not one file more.
            os._exit(1)
        self._hung_up.set()
