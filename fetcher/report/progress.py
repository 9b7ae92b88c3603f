"""Progress on standard error: a live display on a terminal, timestamped lines anywhere else.

Both only look: at the running tally, and at the frontier's host groups. Drawing happens on the
event loop a few times a second and takes a few milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fetcher.events import (
    BreakerOpened,
    CooledDown,
    Draining,
    Event,
    ImportFinished,
    Paused,
    ReaderLost,
    Resumed,
    RobotsAwaited,
    SentAhead,
)
from fetcher.model import State
from fetcher.policy.groups import GroupStatus
from fetcher.ports import Clock
from fetcher.report import busy, holds, text
from fetcher.report.busy import GAP
from fetcher.report.running import RunningTally
from fetcher.report.ticking import LINE_EVERY, NOBODY_READS, REDRAW

GROUPS_IN_LOG: Final = 3
_WIDEST_BAR: Final = 30
_LEAST_BAR: Final = 5
"""Columns."""

_COLOURS: Final = {
    State.VERIFIED: "green",
    State.UNVERIFIED: "green",
    State.ALIVE: "green",
    State.MISMATCHED: "yellow",
    State.GONE: "red",
    State.DENIED: "red",
    State.FAILED: "red",
    State.INVALID: "red",
}


class Progress:
    """An observer; ``run`` draws until it is cancelled, and a last time then."""

    def __init__(
        self,
        console: Console,
        tally: RunningTally,
        clock: Clock,
        *,
        title: str,
        stores: bool = True,
    ) -> None:
        """``stores``: whether images are kept; an audit keeps none, and shows nothing of it."""
        self._console = console
        self._tally = tally
        self._groups: Callable[[], Sequence[GroupStatus]] = list
        self._clock = clock
        self._title = title
        self._stores = stores
        self._live = console.is_terminal

    def notify(self, event: Event) -> None:
        self._tally.notify(event)
        sentence = _sentence(event)
        # A terminal shows cool-downs in the group's line; a log has no other place for them.
        if sentence and not (self._live and isinstance(event, CooledDown | BreakerOpened)):
            self._line(sentence)

    async def run(self, groups: Callable[[], Sequence[GroupStatus]]) -> None:
        """``groups``: the host groups that are busy, asked for each time it draws."""
        self._groups = groups
        try:
            await (self._draw() if self._live else self._report())
        except NOBODY_READS:
            self._console.quiet = True

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(LINE_EVERY)
            self._line(self._summary())
            for sentence in self._held_back():
                self._line(sentence)

    async def _draw(self) -> None:
        with self._display() as live:
            try:
                while True:
                    live.update(self._picture(), refresh=True)
                    await asyncio.sleep(REDRAW)
            finally:
                live.update(self._picture(), refresh=True)

    def _display(self) -> Live:
        return Live(console=self._console, auto_refresh=False, redirect_stdout=False)

    def _line(self, sentence: str) -> None:
        stamp = text.moment(self._clock.wall())
        # As a Text it is not searched for markup and emoji, which a name may look like.
        try:
            # In a log it is one line, on a terminal it breaks between words.
            self._console.print(Text(f"{stamp}  {sentence}"), soft_wrap=not self._live)
        except NOBODY_READS:
            self._console.quiet = True

    def _summary(self) -> str:
        tally = self._tally
        speed = tally.sample(self._clock.now())
        parts = [f"{tally.total - tally.pending:,} of {self._of()}"]
        parts += [f"{state} {n:,}" for state, n in _reached(tally)]
        parts += [text.rate(speed.images), f"{text.size(speed.bytes)}/s", self._eta()]
        return "  ".join(parts)

    def _held_back(self) -> list[str]:
        """What faults do to host groups, for the busiest of them."""
        now = self._clock.now()
        held = [group for group in self._groups() if group.hold.code is not None]
        held.sort(key=lambda group: group.ready + group.waiting, reverse=True)
        return [
            f"{text.printable(group.name)}: {holds.live(group, now)}, "
            f"{holds.allowed(group)}, {group.concurrency} at once"
            for group in held[:GROUPS_IN_LOG]
        ]

    def _of(self) -> str:
        return f"{self._tally.total:,}{'+' if self._tally.importing else ''}"

    def _eta(self) -> str:
        eta = self._tally.eta(self._tally.sample(self._clock.now()))
        return f"ETA {text.duration(eta)}" if eta is not None else "ETA unknown"

    def _picture(self) -> RenderableType:
        tally, now = self._tally, self._clock.now()
        speed = tally.sample(now)
        done = tally.total - tally.pending
        head = self._head(done, text.duration(now - tally.started))
        pace = [text.rate(speed.images), f"{text.size(speed.bytes)}/s"]
        pace += [f"{text.size(tally.stored_bytes)} stored"] if self._stores else []
        pace += [text.counted(tally.retries, "retry", "retries")]
        states = Text("  ").join(
            Text(f"{state} {n:,}", style=_COLOURS[state]) for state, n in _reached(tally)
        )
        return Group(
            head, Text("  ".join(pace)), states or Text("nothing settled yet"), *self._notices(now)
        )

    def _head(self, done: int, passed: str) -> Table:
        title = text.printable(self._title)
        words = [f"{done:,} of {self._of()}", passed, self._eta()]
        room = self._console.width - sum(map(cell_len, (title, *words))) - (len(words) + 1) * GAP
        cells: list[RenderableType] = [Text(title, style="bold")]
        if room >= _LEAST_BAR:
            width = min(_WIDEST_BAR, room)
            total = max(self._tally.total, 1)
            cells.append(ProgressBar(total=total, completed=done, width=width))
        head = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        for _ in (*cells, *words):
            head.add_column(no_wrap=True, overflow="ellipsis")
        head.add_row(*cells, *map(Text, words))
        return head

    def _notices(self, now: float) -> list[RenderableType]:
        notices: list[RenderableType] = []
        if self._tally.pause is not None:
            notices.append(Text(_sentence(self._tally.pause) or "", style="bold yellow"))
        notices.append(busy.table(self._groups(), now, self._console.width))
        return notices


def _reached(tally: RunningTally) -> list[tuple[State, int]]:
    return [(state, n) for state, n in tally.states.items() if n and state.terminal]


def _sentence(event: Event) -> str | None:
    if isinstance(event, CooledDown):
        name = text.printable(event.group)
        return f"{name} is left alone for {text.duration(event.seconds)} ({event.code})"
    if isinstance(event, RobotsAwaited):
        return (
            f"{text.printable(event.origin)} answers {event.http_status} for its robots.txt "
            f"({event.code}): its images wait, and it is asked again"
        )
    if isinstance(event, BreakerOpened):
        name = text.printable(event.group)
        seconds = text.duration(event.seconds)
        return f"{name} only fails ({event.code}); it is left alone for {seconds}"
    if isinstance(event, Paused):
        return (
            f"paused for {text.duration(event.seconds)}: {event.code}: "
            f"{text.printable(event.detail)} — no attempt is charged; it goes on by itself"
        )
    if isinstance(event, Resumed):
        return "what it paused for is over; going on"
    if isinstance(event, Draining):
        return (
            f"stopping ({text.printable(event.reason)}): waiting for {event.in_flight} "
            "in flight; once more to stop at once"
        )
    if isinstance(event, ReaderLost):
        where, detail = text.printable(event.source), text.printable(event.detail)
        return f"the process that reads {where} is lost ({detail}); this one reads on"
    if isinstance(event, SentAhead):
        return (
            f"the last {event.deaths} runs ended without a word: a worker process asks and stores, "
            "so that it is found out if an image is why"
        )
    if isinstance(event, ImportFinished):
        return "all lists are read"
    return None
