"""A check of everything stored: first every recorded file, then every name in the folders.

    manifest → batches of records → workers → findings ┐
    folders  → names that are nobody's place → findings ┴→ repair → manifest

What there is to be judged is told in this order. But folders are gone through by a thread beside
the workers, which keeps the few names that may have to be judged; not so in a repair, which moves
what lies there.

Results are taken in the order of the assets, however workers overtake each other, so where a check
stands is one number, and a check that is stopped loses only what was under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Final

from msgspec import Struct

from fetcher.ahead import Ahead
from fetcher.checking.book import Book
from fetcher.checking.recorder import Aside, Progress, Recorder
from fetcher.checking.strays import StoppedError, Strays
from fetcher.checking.workers import Result, Workers
from fetcher.errors import FetcherError
from fetcher.policy.findings import Finding, Standing

_AHEAD: Final = 3
"""Batches for each worker that are read from the manifest before their turn."""
_LOOK_UP: Final = 0.1
"""Seconds between two looks whether the check was told to stop."""
_SUSPECTS: Final = 32_768
"""Names that are kept until files are compared; then nobody goes ahead."""


class Ended(Struct, frozen=True):
    complete: bool
    """It has been over everything, and was not stopped before."""


class Check:
    """``aside`` is ``None`` where nothing is to be repaired. ``beyond`` is what every check has to
    tell besides, such as what an earlier run left.
    """

    def __init__(
        self,
        *,
        root: str,
        book: Book,
        workers: Workers,
        aside: Aside | None,
        own: frozenset[str],
        put_aside: frozenset[str],
        beyond: Iterable[Finding],
        stopped: Callable[[], bool],
        observer: Callable[[Progress], None],
        now: Callable[[], float],
    ) -> None:
        """``own``: names in the root that are the mirror's. ``put_aside``: folders that hold what
        earlier repairs moved.
        """
        self._book = book
        self._workers = workers
        self._repairs = aside is not None
        self._beyond = beyond
        self._stopped = stopped
        self._recorder = Recorder(book, aside, observer=observer, now=now)
        self._strays = Strays(
            root=root,
            book=book,
            recorder=self._recorder,
            aside=aside,
            own=own,
            put_aside=put_aside,
            stopped=stopped,
        )

    def run(self, standing: Standing) -> Ended:
        """Go on from ``standing``, which is kept up to date."""
        through = standing.through_folder or None
        try:
            with Ahead(
                lambda left: self._strays.looked(standing.part, through, left),
                lambda looked: looked.weight,
                room=_SUSPECTS,
            ) as looked:
                if standing.through_folder is None:
                    if not self._repairs:
                        looked.start()
                    self._compare(standing)
                    standing.through_folder = ""
                    self._recorder.commit(standing)
                self._strays.look_through(standing, looked)
        except StoppedError:
            self._recorder.commit(standing)
            return Ended(complete=False)
        except FetcherError:  # of the disk: what was moved until then is written down
            self._recorder.commit(standing)
            raise
        self._recorder.keep(self._beyond)
        self._recorder.commit(standing)
        self._book.finish(standing)
        return Ended(complete=True)

    def _compare(self, standing: Standing) -> None:
        """Every recorded file."""
        for result in self._results(standing):
            self._recorder.keep(result.findings)
            standing.through_asset = result.batch.last
            standing.files += result.batch.files
            standing.read += result.read
            self._recorder.tell(standing)

    def _results(self, standing: Standing) -> Iterator[Result]:
        under_way: deque[Future[Result]] = deque()
        after = standing.through_asset
        more = True
        while more or under_way:
            while more and len(under_way) < _AHEAD * self._workers.count:
                batch = self._book.batch(standing.part, after)
                if batch is None:
                    more = False
                else:
                    under_way.append(self._workers.submit(batch))
                    after = batch.last
            if under_way:
                yield self._wait(under_way.popleft())

    def _wait(self, result: Future[Result]) -> Result:
        while True:
            if self._stopped():
                raise StoppedError
            if wait([result], timeout=_LOOK_UP).done:
                return result.result()
