"""Progress never stops a run: not when its terminal is gone, not when nobody reads its pipe."""

from __future__ import annotations

import asyncio
import errno
import io
from typing import IO, cast

import pytest
from rich.console import Console

from fetcher.events import Paused
from fetcher.model import Tally
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
