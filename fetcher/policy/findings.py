"""What ``fetcher verify`` may find, what it means, and what to do: one table.

A kind is a stable word. *Damage* is what makes a mirror not what its manifest says. A *note* is
nothing to worry about: bytes that are there by rights, or that the next run deals with.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

ASIDE: Final = "mismatched/.damaged"
"""The folder that repairs move to what is broken; whatever is below it is passed over."""


class Kind(StrEnum):
    MISSING = "missing"
    ALTERED = "altered"
    TRUNCATED = "truncated"
    OVERLONG = "overlong"
    EMPTY = "empty"
    SWAPPED = "swapped"
    LINK = "link"
    DIRECTORY = "directory"
    SPECIAL = "special"
    UNREADABLE = "unreadable"
    MISPLACED = "misplaced"
    CASE_VARIANT = "case-variant"
    EXTRA = "extra"
    UNCLAIMED = "unclaimed"
    SUPERSEDED = "superseded"
    LEFTOVER = "leftover"
    FOREIGN = "foreign"


class KindInfo(Struct, frozen=True):
    damage: bool
    meaning: str
    advice: str


_REFETCH: Final = "--repair puts the image back to pending and the bytes aside"
_ASIDE: Final = "--repair puts it aside"

KINDS: Final[dict[Kind, KindInfo]] = {
    Kind.MISSING: KindInfo(
        True, "no file under its name", "--repair puts the image back to pending"
    ),
    Kind.ALTERED: KindInfo(True, "as long as recorded, with other bytes", _REFETCH),
    Kind.TRUNCATED: KindInfo(True, "shorter than recorded", _REFETCH),
    Kind.OVERLONG: KindInfo(True, "longer than recorded", _REFETCH),
    Kind.EMPTY: KindInfo(True, "without a byte", _REFETCH),
    Kind.SWAPPED: KindInfo(True, "has the bytes of another image, which is broken too", _REFETCH),
    Kind.LINK: KindInfo(
        True, "a link in place of the file, or of a folder that leads to it", _REFETCH
    ),
    Kind.DIRECTORY: KindInfo(True, "a folder in place of the file", _REFETCH),
    Kind.SPECIAL: KindInfo(True, "a pipe, socket or device in place of the file", _REFETCH),
    Kind.UNREADABLE: KindInfo(
        True,
        "cannot be read",
        "look at its permissions, and at the disk's log; --repair does what can be done",
    ),
    Kind.MISPLACED: KindInfo(
        True,
        "a listed image's file elsewhere, or with another extension, than recorded",
        "--repair puts it where the next run takes it up, or aside if its bytes do not match",
    ),
    Kind.CASE_VARIANT: KindInfo(
        True, "the name of a missing file in other upper and lower case", _ASIDE
    ),
    Kind.EXTRA: KindInfo(True, "of no image of the list, or no file", _ASIDE),
    Kind.UNCLAIMED: KindInfo(
        False, "of an image that is not recorded as stored", "the next run looks whether it fits"
    ),
    Kind.SUPERSEDED: KindInfo(
        False,
        "whole as once recorded, quarantined, or a copy in a shard, of an image recorded anew",
        "nothing; of a copy in a shard: --repair puts it aside, so that readers meet no other",
    ),
    Kind.LEFTOVER: KindInfo(
        False,
        "a temporary file, or the tail of a shard, of a run that was killed",
        "the next run uses or removes it",
    ),
    Kind.FOREIGN: KindInfo(
        False, "in DIR itself, beside what a mirror has there", "nothing; it is left there"
    ),
}


class Finding(NamedTuple):
    """``path`` is relative to DIR, with forward slashes."""

    kind: Kind
    path: str
    detail: str = ""
    asset_id: int | None = None
    """Of the image whose place ``path`` is."""
    size: int | None = None
    md5: str | None = None
    """What was observed; base64."""
    recorded_md5: str | None = None
    slot: tuple[int, int] | None = None
    """Of an image in a shard: its first byte there, and its recorded size."""


class Put(NamedTuple):
    """What a repair did with what was found: where its bytes are now, if there were any."""

    finding: Finding
    moved_to: str | None


class Batch(NamedTuple):
    """Stored files to look at, in the order of their assets."""

    files: int
    last: int
    """The greatest asset id of them."""
    records: str
    """JSON: an array of ``[asset_id, path, size, md5, offset]``; the last is of images in shards,
    and null for files."""


class Stray(NamedTuple):
    """A path that is no stored image's place, and the listed image that its last part names."""

    path: str
    asset_id: int | None
    pending: bool
    subset: str
    once: tuple[int | None, str | None] | None
    """Size and MD5 of what was recorded at ``path`` before that image was opened again."""
    place: str | None
    """Where that image is recorded to be stored."""
    size: int | None
    md5: str | None
    """As listed."""
    broken_at: str | None
    """Where this check found that image broken or missing."""


class Part(NamedTuple):
    """Which share of the images a check looks at: those whose number leaves ``which`` when divided
    by ``of``, and folders by a hash of their name, for what is in them beside images.
    """

    which: int
    of: int


class Standing(Struct):
    """How far a check has come."""

    check_id: int
    part: Part
    repair: bool
    started_at: float
    resumed: bool = False
    through_asset: int = 0
    through_folder: str | None = None
    """``None`` while files are compared, then the last folder that was looked through."""
    files: int = 0
    read: int = 0
    """Bytes."""
    entries: int = 0
    """Names met in folders."""
