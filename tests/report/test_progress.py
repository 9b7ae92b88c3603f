"""Progress never stops a run: not when its terminal is gone, not when nobody reads its pipe."""

from __future__ import annotations

import asyncio
import errno
import io
from typing import IO, cast

import pytest
from rich.cells import cell_len
from rich.console import Console

from fetcher.events import Draining, Paused
from fetcher.model import HostBudget, State, Tally
from fetcher.policy.groups import GroupStatus
from fetcher.policy.holding import Hold, HoldReason
from fetcher.report import busy, holds
from fetcher.report.progress import Progress
from fetcher.report.running import RunningTally
from tests.fakes import clock


class Gone(io.StringIO):
    """A stream whose other end is no longer there."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.writes = 0

    def write(self, text: str, /) -> int:  # noqa: ARG002  nobody reads it
        self.writes += 1
        raise OSError(self.number, "gone")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
@pytest.mark.parametrize("terminal", [False, True])
def test_output_that_goes_nowhere_is_given_up(number: int, *, terminal: bool) -> None:
    stream = Gone(number)

    async def main() -> None:
        console = Console(file=cast("IO[str]", stream), force_terminal=terminal)
        progress = Progress(
            console, RunningTally(Tally(), 0.0), clock.VirtualClock(), title="mirror"
        )
        progress.notify(Paused("no-route", "no network", 1.0))
        drawing = asyncio.create_task(progress.run(list))
        await asyncio.sleep(60)
        progress.notify(Paused("no-route", "no network", 1.0))
        assert console.quiet
        drawing.cancel()
        await asyncio.wait([drawing])

    clock.run(main())
    assert stream.writes


# What fits.

HOLDS = (
    Hold(HoldReason.NOTHING),
    Hold(HoldReason.RATE, "rate-limited", lowered=True),
    Hold(HoldReason.BREAKER_OPEN, "connection-reset", until=600.0),
    Hold(HoldReason.RETRIES, until=112.0),
)
NAMES = ("staticflickr.com", "a.example", f"{'long-' * 12}name.example.org", "博物館.example.jp")
WIDTHS = (20, 40, 60, 79, 80, 100, 132, 200)


def status(name: str, hold: Hold, waiting: int) -> GroupStatus:
    return GroupStatus(
        name,
        HostBudget(rate=5.0, burst=5, concurrency=4),
        in_flight=4,
        ready=120,
        waiting=waiting,
        concurrency=4,
        rate=5.0,
        hold=hold,
    )


def lines(console: Console) -> list[str]:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def console_of(width: int, *, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("waiting", [0, 12_345])
def test_a_host_group_takes_one_line(waiting: int, width: int) -> None:
    for hold in HOLDS:
        console = console_of(width)
        console.print(busy.table([status(name, hold, waiting) for name in NAMES], 0.0, width))
        shown = lines(console)
        assert len(shown) == len(NAMES), shown
        assert all(cell_len(line.rstrip()) <= width for line in shown)


@pytest.mark.parametrize("hold", HOLDS)
def test_at_80_columns_one_sees_who_is_held_back_and_why(hold: Hold) -> None:
    console = console_of(80)
    console.print(busy.table([status("staticflickr.com", hold, 12_345)], 0.0, 80))
    (line,) = lines(console)
    assert "staticflickr.com" in line
    assert holds.live(status("", hold, 0), 0.0) in line
    assert "…" not in line


def test_groups_beyond_the_table_are_counted() -> None:
    console = console_of(80)
    console.print(busy.table([status(f"{n}.example", HOLDS[0], 0) for n in range(9)], 0.0, 80))
    assert lines(console)[-1].strip() == "… 1 more host group"


def drawn(width: int, states: dict[State, int], *, stores: bool = True) -> list[str]:
    console = console_of(width, terminal=True)
    tally = RunningTally(Tally(states=states), 0.0)
    tally.retries = 1
    progress = Progress(console, tally, clock.VirtualClock(), title="mirror", stores=stores)
    console.print(progress._picture())
    return lines(console)


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_the_head_takes_one_line_be_the_list_long_or_short(width: int) -> None:
    async def main() -> None:
        for n in (1, 9_178_275):
            head, pace, *_ = drawn(width, {State.PENDING: n, State.VERIFIED: n})
            assert "ETA" in head or width < 60
            assert head.startswith("mirror" if width >= 60 else "mir")
            assert pace.startswith("0.0/s")

    clock.run(main())


def test_one_retry_is_one() -> None:
    async def main() -> None:
        assert any(line.rstrip().endswith("  1 retry") for line in drawn(80, {}))

    clock.run(main())


def test_an_audit_does_not_speak_of_what_is_stored() -> None:
    async def main() -> None:
        for stores in (True, False):
            assert any(" stored" in line for line in drawn(80, {}, stores=stores)) == stores

    clock.run(main())


def test_a_line_breaks_between_words_on_a_terminal_and_not_at_all_in_a_log() -> None:
    async def main(*, terminal: bool) -> list[str]:
        console = console_of(80, terminal=terminal)
        progress = Progress(
            console, RunningTally(Tally(), 0.0), clock.VirtualClock(), title="mirror"
        )
        progress.notify(Draining("interrupted by a signal, SIGTERM", 4))
        return lines(console)

    (whole,) = clock.run(main(terminal=False))
    broken = clock.run(main(terminal=True))
    assert len(broken) == 2
    assert " ".join(map(str.strip, broken)).split() == whole.split()
