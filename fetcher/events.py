"""What a run tells its observers: facts, as values. How they look is the observer's business."""

from __future__ import annotations

from dataclasses import dataclass

from fetcher.model import Outcome, RowTally


@dataclass(frozen=True, slots=True)
class RowsImported:
    """A batch of rows is committed to the manifest."""

    source: str
    tally: RowTally
    """Of this batch."""


@dataclass(frozen=True, slots=True)
class ImportFinished:
    """All lists are read to their end."""


@dataclass(frozen=True, slots=True)
class ReaderLost:
    """The process that reads a list is gone, or could not be started: the run itself reads on."""

    source: str
    detail: str


@dataclass(frozen=True, slots=True)
class SentAhead:
    """So many runs died, one after another, that a worker process does what this one would do
    itself: if an image is why, it is found.
    """

    deaths: int


@dataclass(frozen=True, slots=True)
class Settled:
    """These outcomes are committed to the manifest."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class CooledDown:
    """A host group asked to be left alone for ``seconds``."""

    group: str
    seconds: float
    code: str


@dataclass(frozen=True, slots=True)
class RobotsAwaited:
    """An origin answers, but not with its robots.txt; its images wait for that."""

    origin: str
    code: str
    http_status: int


@dataclass(frozen=True, slots=True)
class BreakerOpened:
    """Only failures came back from a host group; it is left alone for ``seconds``."""

    group: str
    seconds: float
    code: str


@dataclass(frozen=True, slots=True)
class Paused:
    """A fault of our own side; the run goes on by itself after ``seconds``."""

    code: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The fault that the run paused for is gone."""


@dataclass(frozen=True, slots=True)
class Draining:
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
