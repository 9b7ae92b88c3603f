"""What a seed draws, as values: the world, and what befalls it in each run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from fetcher.model import BadRow, HostBudget, Keep, Method, Row
from fetcher.policy.consent import ConsentRule
from fetcher.policy.retry import RetryRule

PLACEHOLDERS = "http://gone.test/*"
MAX_BYTES = 20_000
"""The transport's limit."""


class Ranges(Enum):
    """How a page answers a request for the rest of it."""

    HONOURED = auto()
    IGNORED = auto()
    """200, and all of it again."""
    OTHER_PART = auto()
    """206, but from another byte on."""


class Head(Enum):
    """What a page says to a HEAD."""

    HONEST = auto()
    NOT_ALLOWED = auto()
    FORBIDDEN = auto()
    UNKNOWN = auto()
    OTHER_SIZE = auto()
    NO_SIZE = auto()
    OTHER_TYPE = auto()
    CODED = auto()
    BROKEN = auto()


Rules = tuple[tuple[str, bool], ...]
"""What a robots.txt says to us: beginnings of paths, and whether they may be asked for. The longest
that fits decides."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a URL is on the web. Its lines are looked at in their order; the first that applies is
    the answer.
    """

    group: str
    blocked: bool = False
    """Its address is not allowed: the transport must refuse."""
    faults: tuple[str, ...] = ()
    """Codes of network faults that the first requests end with."""
    fault: str | None = None
    """... and every request."""
    statuses: tuple[int, ...] = ()
    """The first answers."""
    location: str | None = None
    status: int = 200
    older: bytes | None = None
    """What it showed to the first request that reached its body."""
    body: bytes = b""
    cuts: int = 0
    """So many answers break off."""
    ranges: Ranges = Ranges.HONOURED
    tagged: bool = True
    """It has an ETag."""
    opted_out: bool = False
    """It has an X-Robots-Tag that asks not to take it."""
    head: Head = Head.HONEST
    deadly: int | None = None
    """How a worker ends that has received its body: minus the signal's number, if by one."""


class Form(Enum):
    """What Retry-After looks like."""

    NONE = auto()
    SECONDS = auto()
    DATE = auto()
    PAST = auto()
    NONSENSE = auto()


@dataclass(frozen=True, slots=True)
class Host:
    """A host group's machines. Times in seconds, ``speed`` in bytes per second."""

    latency: float
    jitter: float
    speed: float
    loss: float = 0.0
    stalls: float = 0.0
    """The share of bodies that stop coming."""
    most: float | None = None
    """Requests per second above which it throttles."""
    throttles_with: int = 429
    form: Form = Form.NONE
    asks_for: float = 0.0
    """Seconds, in its Retry-After."""


@dataclass(frozen=True, slots=True)
class Outage:
    """From ``begin`` to ``end`` every request ends with ``code``; ``group`` ``None`` is all."""

    begin: float
    end: float
    code: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """The operations ``first`` to ``last`` of a run fail with ``kind``."""

    first: int
    last: int
    kind: str


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a run is cut off: at a time, at an operation of the disk or of the manifest."""

    time: float | None = None
    disk: int | None = None
    book: int | None = None
    power: bool = False
    """What was not synced is lost or torn."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A worker's end, as by kill -9: the ``worker``-th that was hired, at its ``step``-th operation
    of the disk, or ``after`` so many seconds.
    """

    worker: int
    step: int | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """Worker processes, and the way to them. Times in seconds."""

    workers: int
    delay: float
    """That a message takes, at most."""
    hiring: float
    """That it takes until another one is there."""
    torn: bool = False
    """Messages come in pieces."""


@dataclass(frozen=True, slots=True)
class Run:
    """What befalls one run. Times count from its begin. ``lists``: the version that it reads."""

    version: int = 0
    stop: float | None = None
    stop_now: float | None = None
    kill: Kill | None = None
    disk: tuple[Trouble, ...] = ()
    book: tuple[Trouble, ...] = ()
    limit: int | None = None
    gaps: float = 0.0
    """Seconds between two batches of the import."""
    rest: float = 0.5
    """Seconds between it and the next one."""
    crashes: tuple[Crash, ...] = ()
    """What befalls its workers, if there are any."""

    @property
    def calm(self) -> bool:
        """Nothing befalls it, or nothing but workers' ends: it has to come to the end."""
        return self == Run(self.version, gaps=self.gaps, rest=self.rest, crashes=self.crashes)


@dataclass(frozen=True, slots=True)
class Limits:
    concurrency: int
    memory: int
    capacity: int
    spool_above: int
    drain: float
    first_pause: float
    longest_pause: float
    threads: int
    total_timeout: float
    stall_timeout: float


@dataclass(frozen=True, slots=True)
class Scenario:
    seed: int
    limits: Limits
    retry: RetryRule
    budgets: dict[str, HostBudget]
    hosts: dict[str, Host]
    """By group, as the budgets."""
    pages: dict[str, Page]
    versions: tuple[tuple[Row | BadRow, ...], ...]
    """The image list as it was, one after another."""
    runs: tuple[Run, ...]
    outages: tuple[Outage, ...] = ()
    batch: int = 50
    mismatched: Keep = Keep.QUARANTINE
    landing: float = 0.0
    """Seconds that a batch takes to land."""
    booking: float = 0.0
    """Seconds that the manifest takes for a call."""
    real_database: bool = False
    method: Method = Method.GET
    """``HEAD`` is an audit."""
    measure_only: bool = False
    """It is an audit, of whole images."""
    consent: ConsentRule | None = None
    robots: dict[bytes, Rules] = field(default_factory=dict)
    """What each robots.txt of the world says to us, by its bytes."""
    fleet: Fleet | None = None
    placeholder: bytes = field(default=b"", repr=False)
    """An image that stands for those that are gone."""

    @property
    def audits(self) -> bool:
        return self.measure_only or self.method is not Method.GET
