"""The nouns of the project, as values.

Everything that passes between the layers is one of these: frozen, slotted, picklable, and free of
behaviour beyond what follows from its own fields. A batch of assets can therefore cross a queue, a
process or a network unchanged. Nothing here reads a clock, a file or the configuration.

Digests are base64 text throughout, as in the image lists. Sizes are bytes. Points in time are
seconds since the epoch (``…_at``); durations are seconds.

They are structs rather than dataclasses or named tuples, as every image makes some fifteen of them
on its way: one of a dozen fields is made in 0.15 µs, and would take 2 to 3 and 0.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct, field


class State(StrEnum):
    """Where an asset stands. All but ``PENDING`` are terminal."""

    PENDING = "pending"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    ALIVE = "alive"
    MISMATCHED = "mismatched"
    GONE = "gone"
    DENIED = "denied"
    FAILED = "failed"
    INVALID = "invalid"

    @property
    def terminal(self) -> bool:
        return self is not State.PENDING


KEPT: Final = frozenset({State.VERIFIED, State.UNVERIFIED})
"""The states that a mirror is after; exit code 0 means that there are no others."""


class Fate(StrEnum):
    """What a fault means for the asset that it befell."""

    TRANSIENT = "transient"
    """May pass: the asset is tried again until its attempts run out."""
    PERMANENT = "permanent"
    """Will not pass: the asset is settled at once."""
    LOCAL = "local"
    """Our own trouble: it costs no attempt, changes no state, and pauses or stops the run."""


class Method(StrEnum):
    """How an image is asked for."""

    GET = "get"
    HEAD = "head"
    """Its head alone (RFC 9110 section 9.3.2)."""
    PROBE = "probe"
    """A GET for its first bytes, which tell its type, and of how many they are."""


class Expectation(Struct, frozen=True):
    """What the list says of an image's bytes. ``None`` is "the list does not say"."""

    size: int | None = None
    md5: str | None = None

    @property
    def checkable(self) -> bool:
        return self.size is not None or self.md5 is not None


class Row(Struct, frozen=True):
    """One usable line of an image list. ``line`` counts from 1, the header included."""

    line: int
    image_id: str
    subset: str
    """Empty where the list knows no subsets."""
    url: str
    expected: Expectation
    extra: tuple[str, ...] = ()
    """The list's other columns, in the order that its ``SourceInfo.extra_columns`` names."""


class BadRow(Struct, frozen=True):
    """A line that cannot become an asset, with the reason as a stable kebab-case word."""

    line: int
    reason: str
    detail: str
    text: str
    """What was read, cut to a length that is fit to keep."""


class Asset(Struct, frozen=True):
    """An accepted row: identity, URL, and what is expected of its bytes."""

    asset_id: int
    """The manifest's key: dense, ascending in the order of acceptance."""
    image_id: str
    subset: str
    url: str
    host: str
    """The URL's host name: lower case, without port; an IPv6 address without brackets."""
    expected: Expectation
    attempts: int = 0
    """Attempts already spent on it, over all runs."""
    extra: str = ""
    """The list's other columns, as a JSON object, where a run needs them with the image."""


class Lease(Struct, frozen=True):
    """Assets handed to an engine, to be settled or returned."""

    assets: tuple[Asset, ...]
    exhausted: bool = True
    """The manifest looked everywhere: what is missing to the request's limit is not there."""


class LeaseRequest(Struct, frozen=True):
    """Up to ``limit`` pending assets that are not leased, in list order within a host."""

    limit: int
    room: Mapping[str, int] = field(default_factory=dict)
    """How many more assets each known host group can take."""
    default_room: int = 1
    """The same for host groups not named in ``room``."""


class Validators(Struct, frozen=True):
    """What a server said that identifies these very bytes (RFC 9110 section 8.8)."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def if_range(self) -> str | None:
        """The value for ``If-Range``; weak tags do not qualify (RFC 9110 section 13.1.5)."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


class Body(Struct, frozen=True):
    """The bytes of a response: in memory (``data``, not to be changed any more) or in a spool file
    (``path``); never both.
    """

    size: int
    data: bytes | bytearray | None = None
    path: Path | None = None


class Partial(Struct, frozen=True):
    """The first bytes of an image whose transfer was cut: enough to ask for the rest."""

    path: Path
    size: int
    validators: Validators
    ended: bool = False
    """The body ended without an error, but where the framing cannot tell an end from a cut."""


class Arrival(Struct, frozen=True):
    """A whole body, not looked at yet."""

    body: Body
    http_status: int
    content_type: str | None
    """As the server declared it; the verdict trusts the bytes instead."""
    final_url: str
    validators: Validators = Validators()
    resumed: bool = False
    """Put together from more than one response."""
    received: int = 0
    """Bytes of it that the last response brought over the wire."""
    content_encoding: str | None = None
    """As the server declared it, unasked; the body is as it came over the wire."""


class Found(Struct, frozen=True):
    """What an answer says of an image whose bytes were not asked for, or only the first of them."""

    method: Method
    http_status: int
    size: int | None
    """Of all of it; ``None`` if the answer does not say."""
    content_type: str | None
    """To a HEAD as the server declared it, else sniffed from the first bytes."""
    final_url: str
    coded: bool = False
    """It has a Content-Encoding, unasked: size and type are not those of the image."""
    received: int = 0
    """Body bytes that came over the wire."""


class Redirect(Struct, frozen=True):
    """A 3xx with a target, resolved against the URL that answered."""

    http_status: int
    target: str


class Fault(Struct, frozen=True):
    """A classified failure. What a code means is in ``fetcher.policy.codes``."""

    code: str
    detail: str = ""
    """For people: what was seen. Never grouped on."""
    http_status: int | None = None
    final_url: str | None = None
    retry_after: float | None = None
    """Seconds for which the host asked to be left alone (RFC 9110 section 10.2.3)."""
    received: int = 0
    """Body bytes that came over the wire before it."""
    partial: Partial | None = None


class Receipt(Struct, frozen=True):
    """What arrived, measured."""

    size: int
    md5: str
    content_type: str | None
    """Sniffed from the bytes; ``None`` if they are of no known type."""
    final_url: str
    http_status: int
    validators: Validators = Validators()


class Slot(Struct, frozen=True):
    """Where in its shard an image lies: its first byte, and the end of all that belongs to it."""

    offset: int
    end: int


class Keep(StrEnum):
    """What becomes of the bytes."""

    STORE = "store"
    QUARANTINE = "quarantine"
    DISCARD = "discard"


class Verdict(Struct, frozen=True):
    """The judgement of a receipt against what was expected."""

    state: State
    code: str | None
    keep: Keep


class Landed(Struct, frozen=True):
    """What became of an arrival: measured, judged, and kept as the verdict says."""

    asset_id: int
    receipt: Receipt
    verdict: Verdict
    path: str | None
    """Relative to DIR; ``None`` if nothing was kept."""
    slot: Slot | None = None
    """If ``path`` leads into a shard."""


class Outcome(Struct, frozen=True):
    """What one attempt came to; the manifest's unit of settlement.

    ``state`` is ``PENDING`` when the attempt failed and another will follow. ``attempt`` is 0 when
    no request was needed: the list's URL is unusable, or the file was there already.
    """

    asset_id: int
    state: State
    attempt: int
    started_at: float
    elapsed: float
    code: str | None = None
    http_status: int | None = None
    final_url: str | None = None
    """``None`` where it is the listed URL."""
    actual_size: int | None = None
    actual_md5: str | None = None
    path: str | None = None
    """Relative to DIR, with forward slashes; ``None`` if nothing was kept."""
    received: int = 0
    """Body bytes that this attempt brought over the wire."""
    detail: str | None = None
    slot: Slot | None = None
    """If ``path`` leads into a shard."""


class RobotsNote(Struct, frozen=True):
    """What an origin's robots.txt said to us, as it is kept over runs."""

    origin: str
    token: str
    """The product that it was read for."""
    fetched_at: float
    rules: str
    """As ``fetcher.policy.robots`` writes them; empty if there are none."""


class HostBudget(Struct, frozen=True):
    """What a host group is allowed. ``None`` is "no limit"."""

    rate: float | None
    """Requests per second."""
    burst: int
    """Requests that may start at once after a quiet time."""
    concurrency: int
    bandwidth: float | None = None
    """Body bytes per second, kept on average by delaying the next start."""
    adapt: bool = False
    """Whether rate and concurrency follow, inside of these, what the host's answers say."""


class HostMemory(Struct, frozen=True):
    """What one run learned of a host group, for the next one. ``None`` is "nothing"."""

    group: str
    at: float
    """When this was so."""
    rate: float | None = None
    """Requests per second that it was asked at most."""
    bad_rate: float | None = None
    """Requests per second that it was seen to refuse."""
    concurrency: int | None = None
    """Attempts in flight that it got at most."""
    code: str | None = None
    """Why these are below the budget."""
    held_until: float | None = None
    """The end of a cool-down, or of an open circuit breaker."""
    held_code: str | None = None
    """Why it was left alone until then."""


class RowTally(Struct, frozen=True):
    """Law 1: ``read == accepted + duplicate + rejected``."""

    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    new: int = 0
    """Of the accepted, those that no list had before; known of what has just been imported."""

    def __add__(self, other: RowTally) -> RowTally:
        return RowTally(
            self.read + other.read,
            self.accepted + other.accepted,
            self.duplicate + other.duplicate,
            self.rejected + other.rejected,
            self.new + other.new,
        )

    def __eq__(self, other: object) -> bool:
        """What is new among the accepted does not count: a manifest does not say it for ever."""
        return isinstance(other, RowTally) and self._law() == other._law()

    def __hash__(self) -> int:
        return hash(self._law())

    def _law(self) -> tuple[int, int, int, int]:
        return self.read, self.accepted, self.duplicate, self.rejected


class Tally(Struct, frozen=True):
    """Where a manifest stands, in numbers."""

    states: dict[State, int] = field(default_factory=dict)
    """Every state is present, zero or not."""
    codes: dict[str, int] = field(default_factory=dict)
    """Assets by the code of their state; those that are pending and tried count with the last."""
    rows: RowTally = RowTally()
    expected_bytes: int = 0
    stored_bytes: int = 0

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def pending(self) -> int:
        return self.states.get(State.PENDING, 0)

    @property
    def kept(self) -> int:
        return sum(self.states.get(state, 0) for state in KEPT)


class Selection(Struct, frozen=True):
    """Which rows of the lists the user asked for. ``None`` is "all"."""

    subsets: frozenset[str] | None = None
    ids: frozenset[str] | None = None

    def wants(self, subset: str, image_id: str) -> bool:
        return (self.subsets is None or subset in self.subsets) and (
            self.ids is None or image_id in self.ids
        )

    @property
    def everything(self) -> bool:
        return self.subsets is None and self.ids is None


class SourceInfo(Struct, frozen=True):
    """One table of rows: a file, or a member of an archive."""

    list_path: str
    """The image list's absolute path."""
    member: str | None
    """The path inside of the archive, where the list is one."""
    extra_columns: tuple[str, ...]
    """Names of the columns that are kept beside the ones that make an asset."""
