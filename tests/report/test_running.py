"""What the display counts while a run is on."""

from __future__ import annotations

from fetcher.events import RowsImported
from fetcher.model import RowTally, State, Tally
from fetcher.report.running import RunningTally


def test_rows_that_are_known_are_not_counted_again() -> None:
    """A list that grew is read from its beginning."""
    running = RunningTally(Tally({State.VERIFIED: 70, State.PENDING: 30}), 0.0)
    running.notify(RowsImported("/list.csv", RowTally(100, 100, 0, 0, new=0)))
    running.notify(RowsImported("/list.csv", RowTally(20, 15, 3, 2, new=15)))
    assert (running.total, running.pending) == (115, 45)
