"""The memory of all processes of a run, at the same moment.

It is the sum of their proportional set sizes, so that pages that a fork shares count once. The peak
is that of the sum, and not the sum of peaks. Looking costs something, so runs whose time counts are
not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from scripts.proofs import family

EVERY: Final = 0.03
"""Seconds between two looks."""


class MemoryWatch:
    """Looks at the processes that ``members`` names, while the ``with`` block lasts."""

    def __init__(self, members: Callable[[], Iterable[int]], every: float = EVERY) -> None:
        self._members = members
        self._every = every
        self._over = Event()
        self._thread = Thread(target=self._watch, name="memory", daemon=True)
        self.peak = 0
        """Bytes."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            held = map(family.held, self._members())
            self.peak = max(self.peak, sum(one.memory for one in held if one is not None))
