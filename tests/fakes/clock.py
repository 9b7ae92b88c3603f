"""Virtual time: an event loop that never waits. When nothing is ready it moves its clock on to the
next timer, so a test that spans hours takes milliseconds and comes out the same each time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_800_000_000.0
"""What the virtual wall clock shows at virtual time 0."""


class _Jumping(selectors.SelectSelector):
    """A selector whose timeouts pass at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.now += max(0.0, timeout)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen: every task waits for another")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    """``ports.Clock`` on the running virtual loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return EPOCH + self.now()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end in virtual time. A deadlock raises ``RuntimeError``."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def at(times: Mapping[float, Any]) -> None:
    """Call the values at the virtual times that are their keys."""
    loop = asyncio.get_running_loop()
    for when, callback in times.items():
        loop.call_at(when, callback)
