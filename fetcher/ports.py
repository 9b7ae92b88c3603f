"""What the engine, and who reads lists, need of the world, as Protocols.

Adapters implement these; only ``fetcher.cli`` knows which. ``Store``, ``Manifest``, ``RobotsBook``
and ``Crew`` have one conformance suite each, under ``tests/conformance``, which all that is real
and all fakes of it pass alike. Each port stands behind the values that pass through it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from fetcher.events import Event
from fetcher.model import (
    Arrival,
    Asset,
    BadRow,
    Body,
    Fault,
    Found,
    HostMemory,
    Landed,
    Lease,
    LeaseRequest,
    Method,
    Outcome,
    Partial,
    Receipt,
    Redirect,
    RobotsNote,
    Row,
    RowTally,
    Slot,
    SourceInfo,
    Tally,
)


class Clock(Protocol):
    def now(self) -> float:
        """Monotonic seconds; what budgets, timeouts and retries are computed with."""

    def wall(self) -> float:
        """Seconds since the epoch; what is written down."""


class Observer(Protocol):
    def notify(self, event: Event) -> None:
        """Take note of ``event``; called on the event loop, so it must not block."""


class Turn(Protocol):
    """When one request to a host group with a rate may be sent. Who has leave sends, or gives it
    back before anything that may take time.
    """

    @property
    def has_leave(self) -> bool:
        """Whether it may be sent now."""

    def put_off(self) -> None:
        """There is no connection yet: others may be sent meanwhile."""

    async def come(self) -> None:
        """Wait for leave, when all that is left to do is to send. Raises ``TurnedBackError``."""

    def taken(self) -> None:
        """It is sent."""


class TurnedBackError(Exception):
    """The request is not to be sent now."""


class FetchRequest(Struct, frozen=True):
    """One hop of one attempt."""

    url: str
    asset_id: int
    memory: int
    """Bytes of the body that may be held in memory; what goes beyond is spooled to ``spool``."""
    spool: Path | str
    """Where to spool: a path of the store's, unique to the asset."""
    expected_size: int | None = None
    """Of use where the framing cannot tell a whole body from a cut one."""
    partial: Partial | None = None
    """What an earlier attempt kept: ask for the rest only."""
    cut_at: int | None = None
    """It is no image, but a text about them: so many bytes are enough, and in memory; there is no
    X-Robots-Tag to look for, and nothing to keep of a body that breaks off."""
    method: Method = Method.GET
    turn: Turn | None = None
    """If set, the host group has a rate."""


class Transport(Protocol):
    async def fetch(self, request: FetchRequest) -> Arrival | Found | Redirect | Fault:
        """Send one request and take in its answer; never follow a redirect, never raise for what a
        server or the network may do. ``Found`` answers any other method than GET. ``request.turn``
        is asked right before the request is sent, and never after that; that it turns back is
        passed on, and what ``request.partial`` names is as it was.

        Where ``Fault.partial`` is ``None``, what ``request.partial`` names is as it was, except
        after too-large or a fault of the disk. Cancellation is passed on, and removes it too: no
        file is left behind.
        """

    async def reach(self, url: str) -> bool:
        """Whether a connection to where ``url`` is can be opened. Sends no request; never raises
        for what a server or the network may do.
        """

    async def close(self) -> None:
        """Close every connection."""


class Staged(Struct, frozen=True):
    """Bytes that are written whole, but neither durable nor under their final name yet."""

    temporary: str
    """Its path."""
    key: str
    """Where they will be, relative to DIR, with forward slashes."""
    size: int
    slot: Slot | None = None
    """Their place in a shard, if ``key`` leads into one."""


class Store(Protocol):
    """Where bytes end up. All methods block and are called from finishing threads.

    The contract: ``stage`` takes bytes over, checks their length and says where they will be;
    ``publish`` makes a batch durable in these places. When it returns, neither a kill nor a power
    cut takes the batch away, and only then may the manifest name the places. Whoever reads a place
    that the manifest names, at any instant and after any crash, finds the whole bytes. Trouble is a
    ``StoreError`` with the local fault's code, and leaves nothing of the batch behind.

    A store of files has its places under the final names that it was asked for: whoever reads one,
    named by the manifest or not, finds a whole file, and a name that exists is replaced atomically.
    A store of shards appends, and has places of its own for images: what was published, and is not
    in the manifest, is cut off by the next run (``fetcher.store.tails``). There a batch is
    everything that the thread has staged and not discarded.
    """

    def stage(
        self, key: str, body: Body, *, name: str, about: tuple[Asset, Receipt] | None = None
    ) -> Staged:
        """Take ``body`` over for ``key``, under the temporary ``name``; a spooled body as it lies.

        ``about`` is what a store may write down beside it.
        """

    def publish(self, batch: Sequence[Staged]) -> None:
        """Make all of ``batch`` durable under their final names."""

    def confirm(self, keys: Sequence[str]) -> None:
        """Make files that are under their final names already durable."""

    def spool_path(self, name: str) -> Path:
        """A place on the same file system for bytes that do not fit into memory."""

    def find(self, key: str) -> Path | None:
        """The regular file under a final name, or ``None``; links are not followed."""

    def discard(self, path: Path) -> None:
        """Remove a spool file or a temporary file; no error if it is not there."""

    def leftovers(self) -> Iterable[Path]:
        """Temporary and spool files that an earlier run, which was killed, left behind."""

    def is_fresh(self) -> bool:
        """Whether nothing was ever published here."""


class Manifest(Protocol):
    async def lease(self, request: LeaseRequest) -> Lease:
        """Hand out assets. Leases are not stored: a crash returns all of them."""

    async def give_back(self, asset_ids: Sequence[int]) -> None:
        """Return leased assets unsettled."""

    async def settle(self, outcomes: Sequence[Outcome]) -> bool:
        """Write outcomes and their attempts in one transaction; return when it is committed.

        An outcome with state ``PENDING`` spends an attempt and stays leased; any other ends the
        lease. Returns whether there is something to lease by that: an asset that a list changed
        while it was out is pending still, as it is listed now.
        """

    async def tally(self) -> Tally:
        """Where it stands; costs the same whatever the list's length."""

    async def host_memories(self) -> Sequence[HostMemory]:
        """What was learned of host groups, as ``remember_hosts`` was last told."""

    async def remember_hosts(self, memories: Sequence[HostMemory]) -> None:
        """Keep these; each replaces what was known of its group."""


class RobotsBook(Protocol):
    """Where it is kept over runs what robots.txt files said."""

    async def recall(self, origins: Sequence[str], token: str) -> Mapping[str, RobotsNote]:
        """What is known of these origins for ``token``, however old; by origin."""

    async def remember(self, notes: Sequence[RobotsNote]) -> None:
        """Keep these, in place of what was known of their origins."""


class Refused(Struct, frozen=True):
    """An arrival that was not kept, and why: a fault of the transfer, or of our own side."""

    asset_id: int
    fault: Fault


class Landing(Protocol):
    """From arrival to kept file: hash, judge, store. Answers come in batches, on the event loop."""

    def start(
        self,
        deliver: Callable[[Sequence[Landed | Refused]], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        """Begin; ``deliver`` is called on the running loop with what became of each arrival, and
        ``broken`` if a bug has ended the landing, after which nothing more is delivered.
        """

    def submit(self, asset: Asset, arrival: Arrival) -> bool:
        """Take over an arrival, its spool file included. Whether it will be delivered before the
        loop waits for anything: then nobody needs to be told of the arrival alone.
        """

    async def close(self) -> None:
        """Finish what was submitted, deliver it, and end."""


class Errand(Struct, frozen=True):
    """What a crew is sent out for: one hop of one attempt. A plain value, fit for any courier."""

    asset: Asset
    url: str
    """Of this hop."""
    group: str
    """The host group that it is charged to."""
    memory: int
    """Bytes of the body that may be held in memory."""
    partial: Partial | None = None
    cut_at: int | None = None
    """If set, the body is no image: it is not landed, but reported, up to this many bytes of it."""
    method: Method = Method.GET
    leave: bool | None = None
    """If set, its host group has a rate, and each ``Step`` is reported: whether it may be sent
    without asking.
    """


class Arrived(Struct, frozen=True):
    """A whole body has come and is being landed: its connection is free again."""

    received: int
    """Bytes of it that came over the wire."""


class Abandoned(Struct, frozen=True):
    """The errand was broken off because the run is ending; nothing is left of its body."""


class TurnedBack(Struct, frozen=True):
    """The errand was broken off before its request was sent: all is as it was."""


class Step(Enum):
    """Of an errand to a host group with a rate, on its way to being sent."""

    PUT_OFF = auto()
    """A connection is to be opened first: it gives its leave back."""
    READY = auto()
    """A connection is open: it waits for ``Crew.may_send``."""
    SENT = auto()


class Report(Struct, frozen=True):
    """What has come of an errand. ``Arrived`` and ``Step`` are followed by another one; any other
    is the last.
    """

    asset_id: int
    result: (
        Step
        | Arrived
        | Arrival
        | Found
        | Redirect
        | Fault
        | Landed
        | Refused
        | Abandoned
        | TurnedBack
    )
    received: int | None = None
    """Bytes that arrived, with a ``Landed`` or ``Refused`` that followed at once: then there was no
    ``Arrived`` before.
    """


class Crew(Protocol):
    """Carries out errands: a request goes out, and what arrives is landed.

    It decides nothing: each errand is one request that the frontier has charged to its host group,
    and every one of them is reported on, however it ends.
    """

    async def start(
        self,
        deliver: Callable[[Sequence[Report]], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        """Begin. ``deliver`` is called on the running loop; it may send further errands at once.
        ``broken`` is called if a bug has ended the crew, after which nothing more is delivered.
        """

    def send(self, errand: Errand) -> None:
        """Begin with it at once. One errand at a time for each asset."""

    def may_send(self, asset_id: int) -> None:
        """Answers ``Step.READY``."""

    def turn_back(self, asset_id: int) -> None:
        """Answers it otherwise: the errand ends as ``TurnedBack``."""

    async def reach(self, urls: Sequence[str]) -> bool:
        """Whether a connection to any of these can be opened. Sends no request."""

    def abandon(self) -> None:
        """Break off every request that is under way."""

    async def close(self, patience: float) -> None:
        """Wait for what is under way, but abandon requests after ``patience`` seconds, and turn
        those back at once that are not sent yet and wait for their turn; land and report what has
        arrived, and end. To be called again, it can only become less patient.
        """


class Adoption(Struct, frozen=True):
    """What was found: whole files that match their expectation, and beginnings of bodies."""

    landed: tuple[Landed, ...] = ()
    partials: Mapping[int, Partial] = field(default_factory=dict)
    """By asset_id."""
    fault: Fault | None = None
    """Of our side: the disk could not be looked at. Then nothing else is said."""


class Recovery(Protocol):
    """What an earlier run brought and could not settle, and what this one leaves behind."""

    async def adopt(self, assets: Sequence[Asset]) -> Adoption:
        """Look for bytes of these assets."""

    def discard(self, partial: Partial) -> None:
        """Remove what was kept of a body that will not be completed."""

    async def close(self) -> None:
        """Remove all temporary files, when no crew is at work any more: none outlives a run."""


class SourceCursor(Struct, frozen=True):
    """Where to go on reading: after ``after_line``, or not at all if it is ``complete``."""

    source_id: int
    after_line: int
    complete: bool


class StagedRows(Struct, frozen=True):
    """Rows of one source, line after line, that another process has made ready for the manifest:
    ``image`` is in a form of the manifest's own.
    """

    line: int
    """Of the first."""
    count: int
    image: bytes | bytearray

    @property
    def through(self) -> int:
        return self.line + self.count - 1


class NamesToNumber(Struct, frozen=True):
    """What the manifest keeps as numbers."""

    hosts: tuple[str, ...]
    subsets: tuple[str, ...]
    texts: tuple[str, ...]
    """Of further columns."""


class NameNumbers(Struct, frozen=True):
    """By which numbers."""

    hosts: Mapping[str, int]
    subsets: Mapping[str, int]
    texts: Mapping[str, int]


class RowBook(Protocol):
    """The manifest as an import sees it. A batch and the reading position commit together."""

    async def list_is_complete(self, path: str, fingerprint: str) -> bool:
        """Whether this very list was read to its end."""

    async def finish_list(self, path: str, fingerprint: str) -> None:
        """All tables of the list have been read."""

    async def begin_source(self, info: SourceInfo, fingerprint: str) -> SourceCursor:
        """Begin, or go on with, one table of a list."""

    async def import_rows(
        self, source_id: int, rows: Sequence[Row | BadRow], through_line: int
    ) -> RowTally:
        """Commit a batch; the tally is the batch's."""

    async def number_names(self, names: NamesToNumber) -> NameNumbers:
        """What whoever stages rows has to know of them."""

    async def import_staged(self, source_id: int, staged: StagedRows) -> RowTally:
        """Commit a batch that was made ready; otherwise as ``import_rows``."""

    async def finish_source(self, source_id: int) -> None:
        """The table has been read to its end."""

    async def finish_import(self) -> None:
        """All lists of this command have been read."""
