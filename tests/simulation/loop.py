"""The virtual loop of a simulated run: it begins at a given time, counts its turns, asks the system
nothing, and gives up when there are far too many turns. What it would have a thread do, it does in
a later turn of its own; what it connects to, is a pipe in memory.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop
from typing import Any

MOST_TURNS = 400_000


class EndlessError(Exception):
    """The run does not come to an end."""


class _Blind(selectors.SelectSelector):
    """Nothing is ever ready, as nothing comes from outside."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        del timeout
        return []


class RunLoop(asyncio.SelectorEventLoop):
    def __init__(self, now: float) -> None:
        self._now = now
        self.turns = 0
        super().__init__(_Blind())
        self.thread_takes = 0.0
        """Seconds."""
        self.errors: list[str] = []
        """What reached nobody: bugs in callbacks, mostly."""
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._now

    def _note(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        """A turn as of asyncio's own loop, but nobody outside is asked (a seed takes a tenth less).
        When nothing is ready, time goes on to the next timer.
        """
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise EndlessError(f"no end after {self.turns:,} turns of the loop")
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]  # asyncio's own
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]  # likewise
        while timers and timers[0]._cancelled:
            heappop(timers)._scheduled = False
        if not ready and not self._stopping:  # type: ignore[attr-defined]  # likewise
            if not timers:
                raise EndlessError("nothing will ever happen: every task waits for another")
            self._now = max(self._now, timers[0]._when)
        until = self._now + self._clock_resolution  # type: ignore[attr-defined]  # likewise
        while timers and timers[0]._when < until:
            timer = heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def run_in_executor(  # type: ignore[override]  # its words, without their generics
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        del executor
        done: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001  whoever waits for it gets it
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)

        self.call_later(self.thread_takes, work)
        return done

    async def create_unix_connection(  # type: ignore[override]  # of all its forms, this one
        self, factory: Callable[[], asyncio.Protocol], *, sock: Any
    ) -> tuple[asyncio.BaseTransport, asyncio.Protocol]:
        protocol = factory()
        sock.attach(protocol)
        return sock, protocol

    def bury(self) -> None:
        """Cancel whatever is left, and close. No timer of a run that is over may go off."""
        for timer in list(self._scheduled):  # type: ignore[attr-defined]  # asyncio's own
            timer.cancel()
        for _ in range(100):
            tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            gathered = asyncio.gather(*tasks, return_exceptions=True)
            try:
                self.run_until_complete(gathered)
            except BaseException as error:  # noqa: BLE001  Killed, or EndlessError: it is over
                self.errors.append(repr(error))
        self.close()
