"""The virtual loop of a simulated run: it begins at a given time, counts its turns, asks the system
nothing, and gives up when there are far too many turns.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

MOST_TURNS = 400_000


class EndlessError(Exception):
    """The run does not come to an end."""


class _Blind(selectors.SelectSelector):
    """Timeouts pass at once; nothing is ever ready, as nothing comes from outside."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self.now = now
        self.turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise EndlessError(f"no end after {self.turns:,} turns of the loop")
        if timeout is None:
            raise EndlessError("nothing will ever happen: every task waits for another")
        if timeout > 0:
            self.now += timeout
        return []


class RunLoop(asyncio.SelectorEventLoop):
    def __init__(self, now: float) -> None:
        self._blind = _Blind(now)
        super().__init__(self._blind)
        self.errors: list[str] = []
        """What reached nobody: bugs in callbacks, mostly."""
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._blind.now

    @property
    def turns(self) -> int:
        return self._blind.turns

    def _note(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

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
