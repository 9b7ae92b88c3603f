"""When so many worker processes have died that it is not the images: then a run gives up.

An image that kills whoever gets it is found after a few deaths (``fetcher.policy.suspects``). Where
workers die whatever they have, or cannot even be started, the machine or the program is at fault,
and further ones would die too. What is counted since an errand was last ended:

    workers that died with several errands or with none, or that could not be started
    errands that workers died over alone, each of them once

To be sent or to arrive is no end. That workers die over the same errand again is no further sign:
soon it will be found to be a culprit, however many others take turns with it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

GIVE_UP: Final = 8
"""Of either of these, before anything is ended."""


class Deaths:
    """Since an errand was last ended."""

    __slots__ = ("_alone", "_in_a_row", "some")

    def __init__(self) -> None:
        self.some = False
        """Whether there were any: for who would ``forget`` with each image that has come."""
        self._in_a_row = 0
        self._alone: set[int] = set()

    @property
    def too_many(self) -> bool:
        return max(self._in_a_row, len(self._alone)) >= GIVE_UP

    def died(self, held: Collection[int], *, explained: bool) -> None:
        """A worker that ``held`` these assets; ``explained`` if that has told a culprit."""
        self.some = True
        if len(held) == 1:
            self._alone.update(held)
        else:
            self._in_a_row += 1
        if explained:
            self._in_a_row = 0

    def not_started(self) -> None:
        """The successor of one that died."""
        self.some = True
        self._in_a_row += 1

    def forget(self) -> None:
        """An errand has ended: not all that work die."""
        self.some = False
        self._in_a_row = 0
        self._alone.clear()
