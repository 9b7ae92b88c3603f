"""What the processes of the watched run have, from moment to moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.proofs import family

EVERY: Final = 2.0
"""Seconds between two samples."""


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    """Seconds since the run was started."""
    parent: family.Held
    worker: family.Held
    """One that is never killed."""
    others: tuple[family.Held, ...]

    @property
    def memory(self) -> int:
        """Bytes of all of them."""
        return sum(held.memory for held in (self.parent, self.worker, *self.others))

    @property
    def descriptors(self) -> int:
        return sum(held.descriptors for held in (self.parent, self.worker, *self.others))


def sample(run: int, at: float) -> Sample | None:
    """``None`` while it has no workers yet, or no more."""
    first, *others = [family.held(pid) for pid in family.workers(run)] or [None]
    parent = family.held(run)
    if parent is None or first is None:
        return None
    return Sample(at, parent, first, tuple(held for held in others if held is not None))


def csv(samples: Sequence[Sample]) -> Iterator[str]:
    """As lines: seconds, then bytes and descriptors of each process."""
    what = ("own", "pss", "rss", "fds")
    names = [f"{who}_{name}" for who in ("parent", "worker") for name in what]
    yield ",".join(("seconds", *names, "all_pss", "all_fds"))
    for one in samples:
        cells = [
            cell
            for held in (one.parent, one.worker)
            for cell in (held.own, held.memory, held.resident, held.descriptors)
        ]
        yield ",".join(map(str, (round(one.at, 1), *cells, one.memory, one.descriptors)))
