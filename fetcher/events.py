"""What a run tells its observers: facts, as values. How they look is the observer's business."""

from __future__ import annotations

from msgspec import Struct

from fetcher.model import Outcome, RowTally


class RowsImported(Struct, frozen=True):
    """A batch of rows is committed to the manifest."""

    source: str
    tally: RowTally
    """Of this batch."""


class ImportFinished(Struct, frozen=True):
    """All lists are read to their end."""


class ReaderLost(Struct, frozen=True):
    """The process that reads a list is gone, or could not be started: the run itself reads on."""

    source: str
    detail: str


class SentAhead(Struct, frozen=True):
    """So many runs died, one after another, that a worker process does what this one would do
    itself: if an image is why, it is found.
    """

    deaths: int


class Settled(Struct, frozen=True):
    """These outcomes are committed to the manifest."""

    outcomes: tuple[Outcome, ...]


class CooledDown(Struct, frozen=True):
    """A host group asked to be left alone for ``seconds``."""

    group: str
    seconds: float
    code: str


class RobotsAwaited(Struct, frozen=True):
    """An origin answers, but not with its robots.txt; its images wait for that."""

    origin: str
    code: str
    http_status: int


class BreakerOpened(Struct, frozen=True):
    """Only failures came back from a host group; it is left alone for ``seconds``."""

    group: str
    seconds: float
    code: str


class Paused(Struct, frozen=True):
    """A fault of our own side; the run goes on by itself after ``seconds``."""

    code: str
    detail: str
    seconds: float


class Resumed(Struct, frozen=True):
    """The fault that the run paused for is gone."""


class Draining(Struct, frozen=True):
    """The run is ending before its end: no new requests, ``in_flight`` are waited for."""

    reason: str
    in_flight: int


Event = (
    RowsImported
    | ImportFinished
    | ReaderLost
    | SentAhead
    | Settled
    | CooledDown
    | RobotsAwaited
    | BreakerOpened
    | Paused
    | Resumed
    | Draining
)
