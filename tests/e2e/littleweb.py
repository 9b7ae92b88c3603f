"""The little web on a thread of its own, for tests that run a mirror on theirs, or start one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import uvloop

from fetcher.demo.journal import Served
from fetcher.demo.steps import Answer, Picture, Step
from fetcher.demo.tls import Authority
from fetcher.demo.web import Web

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds after which something that must happen is taken for a hang."""


class LittleWeb:
    """``Web`` for other threads: what it is told is in force when the call returns."""

    def __init__(self, *, tls: Authority | None = None) -> None:
        self._tls = tls
        self._started: threading.Event = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="little web")
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(PATIENCE)
        if error is None and self._failure is not None:
            raise self._failure

    def serve(self, path: str, *steps: Step, host: str | None = None) -> None:
        self._ask(lambda: self._web.serve(path, *steps, host=host))

    def picture(self, path: str, size: int, *, host: str | None = None) -> bytes:
        """Serve a picture of the path's own; returns its bytes."""
        shown = Picture(size, path)
        self.serve(path, Answer(shown), host=host)
        return shown.data()

    def open(self, gate: str) -> None:
        self._ask(lambda: self._web.open(gate))

    def arrived(self, count: int, path: str | None = None) -> None:
        """Wait until ``count`` requests have arrived for ``path``, or at all."""
        waiting = asyncio.run_coroutine_threadsafe(self._web.arrived(count, path), self._loop)
        waiting.result(PATIENCE)

    def url(self, path: str) -> str:
        return self._ask(lambda: self._web.url(path))

    def connect_to(self, *hosts: str) -> dict[str, str]:
        return self._ask(lambda: self._web.connect_to(*hosts))

    @property
    def requests(self) -> list[Served]:
        return self._ask(lambda: self._web.requests)

    def requests_to(self, path: str) -> list[Served]:
        return self._ask(lambda: self._web.requests_to(path))

    def count(self, path: str | None = None) -> int:
        return self._ask(lambda: self._web.count(path))

    def _ask(self, question: Callable[[], T]) -> T:
        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(PATIENCE)

    def _serve(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._live())
        except BaseException as error:  # noqa: BLE001  raised in the thread that closes it
            self._failure = error
            self._started.set()

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        async with Web(tls=self._tls) as self._web:
            self._started.set()
            await self._closing.wait()
