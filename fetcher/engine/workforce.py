"""The workers that a run has, and where it gets more. Light, as what they come from is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from fetcher.nursery.hiring import Hired, Nursery

if TYPE_CHECKING:
    from fetcher.engine.worker import Recipe

WORKER: Final = "fetcher.engine.worker"
WORK: Final = f"{WORKER}:work"
"""What a worker lives for, as ``Nursery.hire`` takes it."""


class Workforce(Struct, frozen=True):
    """``hire`` blocks, and brings another worker in the place of one that died."""

    workers: Sequence[Hired]
    hire: Callable[[], Hired]


def hire(one: Nursery, recipe: Recipe) -> Hired:
    """A worker; see ``Nursery.hire``."""
    return one.hire(WORK, recipe)


@contextmanager
def hired(one: Nursery, recipe: Recipe, count: int) -> Iterator[Workforce]:
    """``count`` workers from a nursery, seen off in the end."""
    workers: list[Hired] = []
    try:
        while len(workers) < count:
            workers.append(hire(one, recipe))
        yield Workforce(workers, lambda: hire(one, recipe))
    finally:
        for worker in workers:
            worker.end.close()
        for worker in workers:
            worker.see_off()
