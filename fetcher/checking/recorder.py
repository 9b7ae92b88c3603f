"""What a check finds, on its way into the manifest; in a repair, what is broken is mended first.

A repair takes two steps: what is broken is moved aside, then its asset is put back to pending. A
kill in between leaves a file missing that the manifest has as stored: the next check finds that.
Nothing is deleted, and nothing is moved onto something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from msgspec import Struct

from fetcher.checking.book import Book
from fetcher.checking.folders import is_text
from fetcher.errors import StoreError
from fetcher.policy.findings import KINDS, Finding, Kind, Put, Standing

_COMMIT_EVERY: Final = 1.0
"""Seconds, where nothing is found."""


class Aside(Protocol):
    """Where a repair puts what is broken."""

    def put(self, path: str) -> str | None:
        """Move what is at ``path`` out of the way, be it what it may, or the first thing on the way
        to it that is no folder. Where it is now; ``None`` if there was nothing.
        """

    def take_out(self, path: str, slot: tuple[int, int]) -> str | None:
        """The same for an image in a shard, of which others are left where they are."""

    def give_back(self, path: str, to: str) -> bool:
        """Move the file ``path`` to the name ``to``; false if something is there."""


class Progress(Struct, frozen=True):
    """What observers are told, a few times a second."""

    standing: Standing
    found: int
    """Findings in this go."""


class Recorder:
    """``aside`` is ``None`` where nothing is to be repaired."""

    def __init__(
        self,
        book: Book,
        aside: Aside | None,
        *,
        observer: Callable[[Progress], None],
        now: Callable[[], float],
    ) -> None:
        self._book = book
        self._aside = aside
        self._observer = observer
        self._now = now
        self._puts: list[Put] = []
        self._reopened: list[int] = []
        self._committed = now()
        self._found = 0

    def keep(self, findings: Iterable[Finding]) -> None:
        """Take note of these, of damage after it was repaired. Raises ``StoreError``."""
        for finding in findings:
            moved_to = None
            # A second copy in a shard would be read as another image.
            if self._aside is not None and (KINDS[finding.kind].damage or finding.slot):
                moved_to = self._repair(self._aside, finding)
            self.note([finding], moved_to)

    def note(self, findings: Iterable[Finding], moved_to: str | None = None) -> None:
        """Take note of these alone; ``moved_to`` is what was done already."""
        for finding in findings:
            kept = finding._replace(path=_storable(finding.path))
            self._puts.append(Put(kept, None if moved_to is None else _storable(moved_to)))
            self._found += 1

    def _repair(self, aside: Aside, finding: Finding) -> str | None:
        try:
            if finding.slot is not None:
                moved_to = aside.take_out(finding.path, finding.slot)
            else:
                moved_to = aside.put(finding.path)
        except StoreError:
            if finding.kind is not Kind.UNREADABLE:
                raise
            return None  # as with a folder without permissions: its images may be well
        if finding.asset_id is not None:
            self._reopened.append(finding.asset_id)
        return moved_to

    def tell(self, standing: Standing) -> None:
        """How far it is, to the observer; and to the manifest, if that is due."""
        self._observer(Progress(standing, self._found))
        if self._puts or self._now() - self._committed >= _COMMIT_EVERY:
            self.commit(standing)

    def commit(self, standing: Standing) -> None:
        """Write down how far it is, and what was taken note of until then."""
        self._book.record(standing, self._puts, self._reopened)
        self._puts, self._reopened = [], []
        self._committed = self._now()


def _storable(path: str) -> str:
    """As SQLite takes it for text: what is not UTF-8 is escaped."""
    return path if is_text(path) else path.encode("utf-8", "backslashreplace").decode()
