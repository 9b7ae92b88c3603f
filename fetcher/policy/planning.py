"""What a mirror of some lists will take: from what was counted in them to time and room.

Counted are the rows as an import would take them. Computed are least values: nothing is known of
redirects, retries, throttling, or of sizes that the list does not give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from msgspec import Struct, field

from fetcher.model import HostBudget, RowTally
from fetcher.policy.limits import HEADROOM

QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SIZE_CLASSES: Final = (64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20)
"""Where one class ends and the next begins, in bytes."""

_MANTISSA: Final = 8
"""Bits of a size, behind its first, that a histogram tells apart: it is off by 0.2 % at most."""

_ROW: Final = 100
"""Bytes of the manifest for an image beside its texts: rows, indices, and one attempt. Measured on
imports of rows like those of Open Images, settled with one attempt each: the estimate is 6 % below
at 3,000 rows, where some columns hardly repeat themselves, and 5 % above at 300,000."""
_TEXT_TWICE: Final = 16
"""Characters of an id, which the index repeats."""
_NAME: Final = 48
"""Bytes of a folder for each file in it (ext4, ids of 16 characters)."""


class Kind(NamedTuple):
    """What images are counted by. ``code`` is why it will not be asked for, or ``None``."""

    subset: str
    host: str
    code: str | None


class Amount(Struct):
    images: int = 0
    bytes: int = 0
    """Of those whose size is listed."""
    unsized: int = 0
    """Images whose size is not."""

    @property
    def listed(self) -> int | None:
        """Bytes; ``None`` if there are images and no size is listed of any."""
        return self.bytes if self.unsized < self.images or not self.images else None

    def add(self, other: Amount) -> None:
        self.images += other.images
        self.bytes += other.bytes
        self.unsized += other.unsized


class Example(NamedTuple):
    """A row that cannot be used."""

    reason: str
    list_path: str
    line: int
    detail: str
    text: str


class Survey(Struct):
    """What is in the lists. Duplicates and rejected rows are in ``rows`` and ``reasons`` alone."""

    rows: RowTally = field(default_factory=RowTally)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    """The first few of each reason."""
    amounts: dict[Kind, Amount] = field(default_factory=dict)
    folded: bool = False
    """There were too many hosts to tell them apart: the later ones are under a host named "…"."""
    sizes: Counter[int] = field(default_factory=Counter)
    """Images by ``bin_of`` their listed size."""
    rounded: int = 0
    """Bytes to fetch, with each file rounded up to whole blocks."""
    without_md5: int = 0
    uncheckable: int = 0
    """With neither size nor MD5."""
    too_large: int = 0
    """Listed as larger than fetch.max_bytes. These three are of images that will be asked for."""
    smallest: int | None = None
    largest: int | None = None
    text: float = 0.0
    """Characters of a row that the manifest keeps, on average."""

    def to_fetch(self) -> Iterator[tuple[Kind, Amount]]:
        """Those that will be asked for."""
        return ((kind, amount) for kind, amount in self.amounts.items() if kind.code is None)


def bin_of(size: int) -> int:
    """The lower end of the histogram's bin that ``size`` falls into."""
    shift = max(0, size.bit_length() - 1 - _MANTISSA)
    return size >> shift << shift


def _middle(lower: int) -> int:
    shift = max(0, lower.bit_length() - 1 - _MANTISSA)
    return lower + ((1 << shift) >> 1)


class GroupPlan(Struct, frozen=True):
    """``seconds`` is ``None`` where no limit is set, and it depends on host and network alone; or
    where the only one is of bytes, and none are listed. ``bytes`` are as in ``Amount.listed``.
    """

    name: str
    hosts: int
    requests: int
    bytes: int | None
    budget: HostBudget
    seconds: float | None


class Room(Struct, frozen=True):
    """A disk, as far as a mirror needs to know. ``files`` is ``None`` where it counts none."""

    path: str
    free: int
    files: int | None
    block: int


class Need(Struct, frozen=True):
    """What the mirror takes on the disk, in bytes. Images of unknown size are taken to be of the
    listed ones' mean; if none is listed, nothing is known, which is ``None``.
    """

    files: int
    images: int | None
    """Bytes, in whole blocks."""
    manifest: int
    folders: int
    guessed: int
    """How many sizes are guessed."""

    @property
    def bytes(self) -> int | None:
        return None if self.images is None else self.images + self.manifest + self.folders


def to_fetch(survey: Survey) -> Amount:
    """All that will be asked for."""
    total = Amount()
    for _, amount in survey.to_fetch():
        total.add(amount)
    return total


def need(survey: Survey) -> Need:
    total = to_fetch(survey)
    sized = total.images - total.unsized
    guess = survey.rounded * total.unsized / sized if sized else 0.0
    accepted = survey.rows.accepted
    return Need(
        files=total.images,
        images=None if total.listed is None else survey.rounded + round(guess),
        manifest=round(accepted * (_ROW + _TEXT_TWICE + survey.text)),
        folders=total.images * _NAME,
        guessed=total.unsized if sized else 0,
    )


def by_group(
    survey: Survey, group_of: Callable[[str], str], budget_of: Callable[[str], HostBudget]
) -> list[GroupPlan]:
    """The host groups, those that take longest first."""
    hosts: dict[str, set[str]] = {}
    amounts: dict[str, Amount] = {}
    for kind, amount in survey.to_fetch():
        group = group_of(kind.host)
        hosts.setdefault(group, set()).add(kind.host)
        amounts.setdefault(group, Amount()).add(amount)
    plans = [
        GroupPlan(
            name=group,
            hosts=len(hosts[group]),
            requests=amount.images,
            bytes=amount.listed,
            budget=budget_of(group),
            seconds=least_seconds(amount, budget_of(group)),
        )
        for group, amount in amounts.items()
    ]
    return sorted(plans, key=lambda plan: (-(plan.seconds or 0.0), -plan.requests, plan.name))


def least_seconds(amount: Amount, budget: HostBudget) -> float | None:
    """How long it takes at the budget, when nothing else limits it."""
    limits = []
    if budget.rate is not None:
        limits.append(amount.images * (1 + HEADROOM) / budget.rate)
    if budget.bandwidth is not None and amount.listed is not None:
        limits.append(amount.bytes / budget.bandwidth)
    return max(limits, default=None)


def by_subset(survey: Survey) -> dict[str, Amount]:
    """All accepted rows, those that cannot be asked for included."""
    return _summed((kind.subset, amount) for kind, amount in survey.amounts.items())


def by_host(survey: Survey) -> dict[str, Amount]:
    return _summed((kind.host, amount) for kind, amount in survey.to_fetch())


def invalid(survey: Survey) -> dict[str, int]:
    """Accepted rows that will not be asked for, by code."""
    pairs = ((kind.code, amount) for kind, amount in survey.amounts.items() if kind.code)
    return {code: amount.images for code, amount in _summed(pairs).items()}


def _summed(pairs: Iterable[tuple[str | None, Amount]]) -> dict[str, Amount]:
    summed: dict[str, Amount] = {}
    for name, amount in pairs:
        summed.setdefault(name or "", Amount()).add(amount)
    return dict(sorted(summed.items(), key=lambda item: (-item[1].images, item[0])))


def quantiles(survey: Survey) -> dict[float, int]:
    """Listed sizes: that share of the images is at most as large. Exact at both ends, and within
    0.2 % in between; empty if no size is listed.
    """
    total = survey.sizes.total()
    if not total or survey.smallest is None or survey.largest is None:
        return {}
    found: dict[float, int] = {}
    bins = sorted(survey.sizes.items())
    for share in QUANTILES:
        below = 0
        for lower, n in bins:
            below += n
            if below >= share * total:
                found[share] = min(max(_middle(lower), survey.smallest), survey.largest)
                break
    return found | {0.0: survey.smallest, 1.0: survey.largest}


def size_classes(sizes: Mapping[int, int]) -> list[tuple[int, int | None, int]]:
    """Images by size: from, to (not included; ``None``: no end), and how many."""
    bounds = [0, *SIZE_CLASSES]
    ends: list[int | None] = [*SIZE_CLASSES, None]
    return [
        (
            start,
            end,
            sum(n for lower, n in sizes.items() if start <= lower and (end is None or lower < end)),
        )
        for start, end in zip(bounds, ends, strict=True)
    ]
