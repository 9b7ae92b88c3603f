"""Every key of the configuration: its name, default, unit and meaning. The one place for each.

The models only hold and check; layers, files and origins are ``loading``'s matter. pydantic stays
inside of this package: the rest of the program reads plain attributes of frozen objects.

Three kinds of keys: a section has keys of its own; a value has a unit; the host groups and
``network.connect_to`` take names that the user chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from fetcher.config import texts, units
from fetcher.config.agent import fill
from fetcher.config.units import GIB, HOUR, MIB, MINUTE, Unit


@dataclass(frozen=True, slots=True)
class In:
    """Annotates a field with the unit that its value is written in."""

    unit: Unit[Any]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.unit.parse)


class ConflictError(ValueError):
    """Two keys of one section that do not go together, each acceptable by itself."""

    def __init__(self, key: str, other: str, rule: str) -> None:
        super().__init__(rule)
        self.key = key
        self.other = other
        self.rule = rule


Mismatched: TypeAlias = Literal["quarantine", "discard", "keep"]
Durability: TypeAlias = Literal["batch", "file", "none"]
Layout: TypeAlias = Literal["files", "tar"]

_DURATION = In(units.DURATION)
_DURATION_OR_ZERO = In(units.DURATION_OR_ZERO)
_DURATION_OR_NULL = In(units.optional(units.DURATION, word=None))
_SIZE = In(units.SIZE)
_SIZE_OR_ZERO = In(units.SIZE_OR_ZERO)
_COUNT = In(units.COUNT)
_DURATION_OR_AUTO = In(units.optional(units.DURATION_OR_ZERO, word="auto"))
_COUNT_OR_AUTO = In(units.optional(units.COUNT, word="auto"))
_COUNT_OR_NULL = In(units.optional(units.COUNT, word=None))
_FLAG = In(units.FLAG)
_COLUMN = In(units.optional(texts.COLUMN, word=None))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timeout(_Section):
    connect: Annotated[float, _DURATION] = Field(
        default=10.0, description="Time for a connection to stand, name lookup and TLS included."
    )
    stall: Annotated[float, _DURATION] = Field(
        default=30.0,
        description="Longest silence of a host while its answer is awaited or under way.",
    )
    total: Annotated[float, _DURATION] = Field(
        default=10 * MINUTE,
        description="Longest time for one attempt, from the request to the last byte.",
    )


class Fetch(_Section):
    concurrency: Annotated[int, _COUNT] = Field(
        default=256,
        description="Attempts at once, each from its request to its row: what a crash can cost.",
    )
    processes: Annotated[int | None, _COUNT_OR_AUTO] = Field(
        default=None,
        description="Processes that ask and store; auto is one per core where limits are high. "
        "Unless it is 1, a list of 1 MiB and more is read by a process of its own.",
    )
    max_bytes: Annotated[int, _SIZE] = Field(
        default=256 * MIB, description="A larger image is not fetched whole: too-large."
    )
    memory: Annotated[int, _SIZE] = Field(
        default=256 * MIB,
        description="Memory for the bodies of images, over all attempts in flight.",
    )
    spool_above: Annotated[int, _SIZE_OR_ZERO] = Field(
        default=4 * MIB, description="A body larger than this goes to disk while it arrives."
    )
    user_agent: Annotated[str, In(texts.USER_AGENT)] = Field(
        default="fetcher/{version} (+{contact})",
        description="The User-Agent. Without a contact, the parenthesis that names it is left out.",
    )
    contact: Annotated[str | None, In(units.optional(texts.CONTACT, word=None))] = Field(
        default=None,
        description="Where the owner of a host can reach you: a web page or a mail address.",
    )
    timeout: Timeout = Timeout()

    @model_validator(mode="after")
    def _fits(self) -> Self:
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
        return self


class Budget(_Section):
    rate: Annotated[float | None, In(units.RATE)] = Field(
        default=5.0, description="Requests per second to one host group, on average."
    )
    burst: Annotated[int, _COUNT] = Field(
        default=5,
        description="Requests to one host group that may start at once after a quiet time.",
    )
    concurrency: Annotated[int, _COUNT] = Field(
        default=4, description="Attempts in flight at once to one host group."
    )
    bandwidth: Annotated[int | None, In(units.BANDWIDTH)] = Field(
        default=None, description="Bytes per second from one host group, on average."
    )
    adapt: Annotated[bool, _FLAG] = Field(
        default=True,
        description="Whether rate and concurrency give way, inside of these, to a host in trouble.",
    )


class Group(Budget):
    """Holds the budget in force: what the group leaves out, ``hosts.default`` has filled in."""

    match: Annotated[tuple[str, ...], In(texts.HOST_PATTERNS)] = Field(
        description="Hosts of this group; the first group that matches a host has it."
    )


class Hosts(_Section):
    default: Budget = Budget()
    groups: Mapping[str, Group] = Field(default={}, description="Budgets of named groups of hosts.")

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        default, groups = data.get("default", {}), data.get("groups", {})
        return {**data, "groups": {name: {**default, **groups[name]} for name in groups}}


class Retry(_Section):
    attempts: Annotated[int, _COUNT] = Field(
        default=5, description="Tries per image, the first included, over all runs."
    )
    first_delay: Annotated[float, _DURATION] = Field(
        default=1.0,
        description="Upper bound of the random delay after a first failure; it then doubles.",
    )
    max_delay: Annotated[float, _DURATION] = Field(
        default=5 * MINUTE, description="What that bound never exceeds."
    )
    max_retry_after: Annotated[float, _DURATION] = Field(
        default=HOUR, description="A host's Retry-After is obeyed up to this long."
    )
    patience: Annotated[float | None, _DURATION_OR_AUTO] = Field(
        default=None,
        description="How long a host group that only fails is left alone in all; auto is 12 times "
        "max_delay.",
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if self.first_delay > self.max_delay:
            raise ConflictError("first_delay", "max_delay", "at most")
        return self


class Network(_Section):
    connect_to: Mapping[
        Annotated[str, In(texts.FROM_ENDPOINT)], Annotated[str, In(texts.TO_ENDPOINT)]
    ] = Field(
        default={},
        description="Connect there instead, as curl's --connect-to; TLS verifies the old name.",
    )
    allow_private_addresses: Annotated[bool, _FLAG] = Field(
        default=False,
        description="Whether loopback, private and link-local addresses may be asked.",
    )
    ca_file: Annotated[Path | None, In(units.optional(texts.EXISTING_FILE, word=None))] = Field(
        default=None, description="Certificate authorities (PEM) trusted instead of the system's."
    )
    proxy: Annotated[str | None, In(units.optional(texts.PROXY, word=None))] = Field(
        default=None, description="A proxy that all requests go through."
    )
    allow_downgrade: Annotated[bool, _FLAG] = Field(
        default=False, description="Whether an https URL may redirect to plain http."
    )


class Store(_Section):
    mismatched: Annotated[Mismatched, In(texts.choice("quarantine", "discard", "keep"))] = Field(
        default="quarantine", description="What becomes of bytes that are not the listed image."
    )
    min_free: Annotated[int, _SIZE_OR_ZERO] = Field(
        default=GIB, description="The run stops before less than this is free on the disk."
    )
    durability: Annotated[Durability, In(texts.choice("batch", "file", "none"))] = Field(
        default="batch", description="When bytes are forced to disk: per batch, per file, or never."
    )
    finishers: Annotated[int, _COUNT] = Field(
        default=2, description="Threads that hash and write images."
    )
    layout: Annotated[Layout, In(texts.choice("files", "tar"))] = Field(
        default="files",
        description="What new images become: files, or members of tar shards.",
    )
    shard_size: Annotated[int, _SIZE] = Field(
        default=GIB, description="A shard that would grow beyond this is followed by another."
    )


class Consent(_Section):
    robots: Annotated[bool, _FLAG] = Field(
        default=True, description="Whether each host's robots.txt is asked for and obeyed."
    )
    robots_tag: Annotated[bool, _FLAG] = Field(
        default=True,
        description="Whether an X-Robots-Tag that says noai, noindex or the like is obeyed.",
    )
    exempt: Annotated[tuple[str, ...], In(texts.EXEMPT_HOSTS)] = Field(
        default=(), description="Hosts whose owner has given you leave: neither applies there."
    )


class Placeholders(_Section):
    redirects: Annotated[tuple[str, ...], In(texts.URL_PATTERNS)] = Field(
        default=(
            "https://*.yimg.com/*/photo_unavailable*",
            "http://*.yimg.com/*/photo_unavailable*",
        ),
        description="A redirect to one of these URLs says that the image is gone.",
    )
    digests: Annotated[tuple[str, ...], In(texts.DIGESTS)] = Field(
        default=(), description="Bytes with one of these MD5s stand for an image that is gone."
    )


class Columns(_Section):
    id: Annotated[str | None, _COLUMN] = Field(
        default=None,
        description="Column of the image's identity; null finds it by its usual names.",
    )
    subset: Annotated[str | None, _COLUMN] = Field(
        default=None, description="Column of the subset; null finds it by its usual names."
    )
    url: Annotated[str | None, _COLUMN] = Field(
        default=None, description="Column of the URL; null finds it by its usual names."
    )
    size: Annotated[str | None, _COLUMN] = Field(
        default=None, description="Column of the size in bytes; null finds it by its usual names."
    )
    md5: Annotated[str | None, _COLUMN] = Field(
        default=None, description="Column of the MD5; null finds it by its usual names."
    )


class Source(_Section):
    columns: Columns = Columns()
    check_bytes: Annotated[int, _SIZE_OR_ZERO] = Field(
        default=32 * MIB, description="How much of a list is checked before anything is fetched."
    )


class Run(_Section):
    drain: Annotated[float, _DURATION_OR_ZERO] = Field(
        default=30.0,
        description="How long a run that is told to stop waits for attempts in flight.",
    )
    max_runtime: Annotated[float | None, _DURATION_OR_NULL] = Field(
        default=None, description="The run stops after this time; the same command resumes."
    )
    limit: Annotated[int | None, _COUNT_OR_NULL] = Field(
        default=None, description="The run stops after settling this many images."
    )
    tolerate: Annotated[float, In(units.SHARE)] = Field(
        default=0.0, description="Share of lost images up to which the exit code is 0."
    )
    subsets: Annotated[tuple[str, ...] | None, In(units.optional(texts.SUBSETS, word=None))] = (
        Field(default=None, description="Only these subsets of the lists; null is all.")
    )


class Config(_Section):
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
