"""Who may enter the cell, the one worker that has suspects to itself, and in what company.

Those that most speaks against go first: so it is known soonest what kills workers. An asset enters
if it and all that are inside bear that many (``Suspects.company``). Whatever else the worker still
has when it becomes the cell counts as company, and bears any.
"""

from __future__ import annotations

from bisect import insort

from fetcher.policy.suspects import Suspects


class Cell:
    def __init__(self, suspects: Suspects) -> None:
        self._suspects = suspects
        self._line: list[int] = []
        self._bears = 0
        """How many at a time those that are inside bear; 0 if none of them entered by the line."""

    def queue(self, asset_id: int) -> None:
        """It is to enter; behind those of as much evidence."""
        insort(self._line, asset_id, key=self._doubt)

    def admit(self, inside: int) -> int | None:
        """The asset that may join ``inside`` others now, and does."""
        if not self._line:
            return None
        company = self._suspects.company(self._line[0])
        if inside and company > self._bears > 0:
            company = self._bears
        if inside >= company:
            return None
        self._bears = company
        return self._line.pop(0)

    def dissolve(self) -> list[int]:
        """It is no cell any more. Who still waited, in order."""
        waited, self._line, self._bears = self._line, [], 0
        return waited

    def _doubt(self, asset_id: int) -> int:
        return -self._suspects.evidence(asset_id)
