"""Progress of a command that reads and sends nothing: one line on a terminal that is drawn anew, or
a timestamped line now and then anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fetcher.report.text import moment

REDRAW: Final = 0.25
"""Seconds, on a terminal."""
LINE_EVERY: Final = 10.0
"""Seconds, anywhere else."""
NOBODY_READS: Final = (OSError, SystemExit)
"""A terminal that is gone, a pipe whose reader is: no reason to stop, least of all a run of weeks.
The console itself would end the process on a broken pipe.
"""


class Ticker:
    """A context manager; ``tell`` is cheap and may be called as often as one likes."""

    def __init__(
        self, console: Console, now: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._console = console
        self._now = now
        self._wall = wall
        self._every = REDRAW if console.is_terminal else LINE_EVERY
        self._next = now() + self._every
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tell(self, sentence: Callable[[], str]) -> None:
        """``sentence`` is asked for only when it is time."""
        now = self._now()
        if now < self._next:
            return
        self._next = now + self._every
        try:
            if self._console.is_terminal:
                self._live.update(Text(sentence(), no_wrap=True, overflow="ellipsis"), refresh=True)
            else:
                at = moment(self._wall())
                self._console.print(f"{at}  {sentence()}", soft_wrap=True)
        except NOBODY_READS:
            pass
