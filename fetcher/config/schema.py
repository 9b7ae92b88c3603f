"""Every key of the configuration: its name, default, unit and meaning. The one place for each.

The classes only hold; layers, files and origins are ``loading``'s matter, and how what was given
becomes one of them is ``building``'s.

Three kinds of keys: a section has keys of its own; a value has a unit; the host groups and
``network.connect_to`` take names that the user chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Struct

from fetcher.config import texts, units
from fetcher.config.agent import fill
from fetcher.config.units import GIB, HOUR, MIB, MINUTE, Unit


class In(Struct, frozen=True):
    """Annotates a key of one value: the unit that it is written in, and what it is for."""

    unit: Unit[Any]
    meaning: str


class Pairs(Struct, frozen=True):
    """Annotates a key whose value maps what the user names: how both are written."""

    key: Unit[str]
    value: Unit[str]
    meaning: str


class LikeSibling(Struct, frozen=True):
    """Annotates sections that the user names: the key beside them that has what they leave out."""

    name: str


class ConflictError(ValueError):
    """Two keys of one section that do not go together, each acceptable by itself; raised by whoever
    makes the section.
    """

    def __init__(self, key: str, other: str, rule: str) -> None:
        super().__init__(rule)
        self.key = key
        self.other = other
        self.rule = rule


Mismatched: TypeAlias = Literal["quarantine", "discard", "keep"]
Durability: TypeAlias = Literal["batch", "file", "none"]
Layout: TypeAlias = Literal["files", "tar"]

_DURATION = units.DURATION
_DURATION_OR_ZERO = units.DURATION_OR_ZERO
_DURATION_OR_NULL = units.optional(units.DURATION, word=None)
_SIZE = units.SIZE
_SIZE_OR_ZERO = units.SIZE_OR_ZERO
_COUNT = units.COUNT
_DURATION_OR_AUTO = units.optional(units.DURATION_OR_ZERO, word="auto")
_COUNT_OR_AUTO = units.optional(units.COUNT, word="auto")
_COUNT_OR_NULL = units.optional(units.COUNT, word=None)
_FLAG = units.FLAG
_COLUMN = units.optional(texts.COLUMN, word=None)


class Timeout(Struct, frozen=True):
    connect: Annotated[
        float, In(_DURATION, "Time for a connection to stand, name lookup and TLS included.")
    ] = 10.0
    stall: Annotated[
        float, In(_DURATION, "Longest silence of a host while its answer is awaited or under way.")
    ] = 30.0
    total: Annotated[
        float, In(_DURATION, "Longest time for one attempt, from the request to the last byte.")
    ] = 10 * MINUTE


class Fetch(Struct, frozen=True):
    concurrency: Annotated[
        int,
        In(_COUNT, "Attempts at once, each from its request to its row: what a crash can cost."),
    ] = 256
    processes: Annotated[
        int | None,
        In(
            _COUNT_OR_AUTO,
            "Processes that ask and store; auto is one per core where limits are high. "
            "Unless it is 1, a list of 1 MiB and more is read by a process of its own.",
        ),
    ] = None
    max_bytes: Annotated[int, In(_SIZE, "A larger image is not fetched whole: too-large.")] = (
        256 * MIB
    )
    memory: Annotated[
        int, In(_SIZE, "Memory for the bodies of images, over all attempts in flight.")
    ] = 256 * MIB
    spool_above: Annotated[
        int, In(_SIZE_OR_ZERO, "A body larger than this goes to disk while it arrives.")
    ] = 4 * MIB
    user_agent: Annotated[
        str,
        In(
            texts.USER_AGENT,
            "The User-Agent. Without a contact, the parenthesis that names it is left out.",
        ),
    ] = "fetcher/{version} (+{contact})"
    contact: Annotated[
        str | None,
        In(
            units.optional(texts.CONTACT, word=None),
            "Where the owner of a host can reach you: a web page or a mail address.",
        ),
    ] = None
    timeout: Timeout = Timeout()

    def __post_init__(self) -> None:
        if self.spool_above > self.memory:
            raise ConflictError("spool_above", "memory", "at most")
        if self.contact is not None and "{contact}" not in self.user_agent:
            raise ConflictError(
                "user_agent", "contact", "a text that has {contact} in it, because of"
            )
        if not fill(self.user_agent, version="0", contact=self.contact):
            raise ConflictError(
                "user_agent", "contact", "a text with {contact} only in parentheses, because of"
            )


class Budget(Struct, frozen=True):
    rate: Annotated[
        float | None, In(units.RATE, "Requests per second to one host group, on average.")
    ] = 5.0
    burst: Annotated[
        int, In(_COUNT, "Requests to one host group that may start at once after a quiet time.")
    ] = 5
    concurrency: Annotated[int, In(_COUNT, "Attempts in flight at once to one host group.")] = 4
    bandwidth: Annotated[
        int | None, In(units.BANDWIDTH, "Bytes per second from one host group, on average.")
    ] = None
    adapt: Annotated[
        bool,
        In(_FLAG, "Whether rate and concurrency give way, inside of these, to a host in trouble."),
    ] = True


class Group(Budget, frozen=True, kw_only=True):
    """Holds the budget in force: what the group leaves out, ``hosts.default`` has filled in."""

    match: Annotated[
        tuple[str, ...],
        In(texts.HOST_PATTERNS, "Hosts of this group; the first group that matches a host has it."),
    ]


class Hosts(Struct, frozen=True):
    default: Budget = Budget()
    groups: Annotated[Mapping[str, Group], LikeSibling("default")] = {}
    """Budgets of named groups of hosts."""


class Retry(Struct, frozen=True):
    attempts: Annotated[int, In(_COUNT, "Tries per image, the first included, over all runs.")] = 5
    first_delay: Annotated[
        float,
        In(_DURATION, "Upper bound of the random delay after a first failure; it then doubles."),
    ] = 1.0
    max_delay: Annotated[float, In(_DURATION, "What that bound never exceeds.")] = 5 * MINUTE
    max_retry_after: Annotated[
        float, In(_DURATION, "A host's Retry-After is obeyed up to this long.")
    ] = HOUR
    patience: Annotated[
        float | None,
        In(
            _DURATION_OR_AUTO,
            "How long a host group that only fails is left alone in all; auto is 12 times "
            "max_delay.",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.first_delay > self.max_delay:
            raise ConflictError("first_delay", "max_delay", "at most")


class Network(Struct, frozen=True):
    connect_to: Annotated[
        Mapping[str, str],
        Pairs(
            texts.FROM_ENDPOINT,
            texts.TO_ENDPOINT,
            "Connect there instead, as curl's --connect-to; TLS verifies the old name.",
        ),
    ] = {}
    allow_private_addresses: Annotated[
        bool, In(_FLAG, "Whether loopback, private and link-local addresses may be asked.")
    ] = False
    ca_file: Annotated[
        Path | None,
        In(
            units.optional(texts.EXISTING_FILE, word=None),
            "Certificate authorities (PEM) trusted instead of the system's.",
        ),
    ] = None
    proxy: Annotated[
        str | None,
        In(units.optional(texts.PROXY, word=None), "A proxy that all requests go through."),
    ] = None
    allow_downgrade: Annotated[
        bool, In(_FLAG, "Whether an https URL may redirect to plain http.")
    ] = False


class Store(Struct, frozen=True):
    mismatched: Annotated[
        Mismatched,
        In(
            texts.choice("quarantine", "discard", "keep"),
            "What becomes of bytes that are not the listed image.",
        ),
    ] = "quarantine"
    min_free: Annotated[
        int, In(_SIZE_OR_ZERO, "The run stops before less than this is free on the disk.")
    ] = GIB
    durability: Annotated[
        Durability,
        In(
            texts.choice("batch", "file", "none"),
            "When bytes are forced to disk: per batch, per file, or never.",
        ),
    ] = "batch"
    finishers: Annotated[int, In(_COUNT, "Threads that hash and write images.")] = 2
    layout: Annotated[
        Layout,
        In(
            texts.choice("files", "tar"), "What new images become: files, or members of tar shards."
        ),
    ] = "files"
    shard_size: Annotated[
        int, In(_SIZE, "A shard that would grow beyond this is followed by another.")
    ] = GIB


class Consent(Struct, frozen=True):
    robots: Annotated[
        bool, In(_FLAG, "Whether each host's robots.txt is asked for and obeyed.")
    ] = True
    robots_tag: Annotated[
        bool, In(_FLAG, "Whether an X-Robots-Tag that says noai, noindex or the like is obeyed.")
    ] = True
    exempt: Annotated[
        tuple[str, ...],
        In(texts.EXEMPT_HOSTS, "Hosts whose owner has given you leave: neither applies there."),
    ] = ()


class Placeholders(Struct, frozen=True):
    redirects: Annotated[
        tuple[str, ...],
        In(texts.URL_PATTERNS, "A redirect to one of these URLs says that the image is gone."),
    ] = (
        "https://*.yimg.com/*/photo_unavailable*",
        "http://*.yimg.com/*/photo_unavailable*",
    )
    digests: Annotated[
        tuple[str, ...],
        In(texts.DIGESTS, "Bytes with one of these MD5s stand for an image that is gone."),
    ] = ()


class Columns(Struct, frozen=True):
    id: Annotated[
        str | None, In(_COLUMN, "Column of the image's identity; null finds it by its usual names.")
    ] = None
    subset: Annotated[
        str | None, In(_COLUMN, "Column of the subset; null finds it by its usual names.")
    ] = None
    url: Annotated[
        str | None, In(_COLUMN, "Column of the URL; null finds it by its usual names.")
    ] = None
    size: Annotated[
        str | None, In(_COLUMN, "Column of the size in bytes; null finds it by its usual names.")
    ] = None
    md5: Annotated[
        str | None, In(_COLUMN, "Column of the MD5; null finds it by its usual names.")
    ] = None


class Source(Struct, frozen=True):
    columns: Columns = Columns()
    check_bytes: Annotated[
        int, In(_SIZE_OR_ZERO, "How much of a list is checked before anything is fetched.")
    ] = 32 * MIB


class Run(Struct, frozen=True):
    drain: Annotated[
        float,
        In(_DURATION_OR_ZERO, "How long a run that is told to stop waits for attempts in flight."),
    ] = 30.0
    max_runtime: Annotated[
        float | None,
        In(_DURATION_OR_NULL, "The run stops after this time; the same command resumes."),
    ] = None
    limit: Annotated[
        int | None, In(_COUNT_OR_NULL, "The run stops after settling this many images.")
    ] = None
    tolerate: Annotated[
        float, In(units.SHARE, "Share of lost images up to which the exit code is 0.")
    ] = 0.0
    subsets: Annotated[
        tuple[str, ...] | None,
        In(
            units.optional(texts.SUBSETS, word=None),
            "Only these subsets of the lists; null is all.",
        ),
    ] = None


class Config(Struct, frozen=True):
    """The configuration in force. Durations are seconds, sizes bytes; ``None`` is "no limit"."""

    fetch: Fetch = Fetch()
    hosts: Hosts = Hosts()
    retry: Retry = Retry()
    network: Network = Network()
    store: Store = Store()
    consent: Consent = Consent()
    placeholders: Placeholders = Placeholders()
    source: Source = Source()
    run: Run = Run()


DEFAULTS: Final = Config()
