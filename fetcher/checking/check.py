"""A check of everything stored: first every recorded file, then every name in the folders.

    manifest → batches of records → workers → findings ┐
    folders  → names that are nobody's place → findings ┴→ repair → manifest

What there is to be judged is told in this order. But folders are gone through by a thread beside
the workers, which keeps the few names that may have to be judged; not so in a repair, which moves
what lies there.

Results are taken in the order of the assets, however workers overtake each other, so where a check
stands is one number, and a check that is stopped loses only what was under way.

A repair takes two steps: what is broken is moved aside, then its asset is put back to pending. A
kill in between leaves a file missing that the manifest has as stored: the next check finds that.
Nothing is deleted, and nothing is moved onto something else.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, NamedTuple, Protocol
from zlib import crc32

from fetcher.ahead import Ahead
from fetcher.checking.files import Examiner, Record
from fetcher.checking.folders import Name, behind, beside, walk
from fetcher.checking.workers import Result, Workers
from fetcher.errors import FetcherError, StoreError
from fetcher.policy.findings import KINDS, Batch, Finding, Kind, Part, Put, Standing, Stray
from fetcher.policy.tar import DROPPED, END, SHARD, SUFFIX, Member, members

_AHEAD: Final = 3
"""Batches for each worker that are read from the manifest before their turn."""
_LOOK_UP: Final = 0.1
"""Seconds between two looks whether the check was told to stop."""
_COMMIT_EVERY: Final = 1.0
_MEMBERS: Final = 1_024
"""Images of a shard that are looked up at once."""
_SUSPECTS: Final = 32_768
"""Names that are kept until files are compared; then nobody goes ahead."""
_SHARDS: Final = "shards"
_PASSING: Final = frozenset({Kind.MISPLACED, Kind.UNCLAIMED})
"""What a file is taken for, unless its bytes are known to have been recorded there."""
_TOPS: Final = ("images", "mismatched", _SHARDS)


class Book(Protocol):
    """The manifest, as a check sees it."""

    def batch(self, part: Part, after: int) -> Batch | None: ...

    def places(self) -> AbstractContextManager[Places]:
        """For one more thread, to be entered and left there."""

    def strays(self, check_id: int, names: Sequence[tuple[str, str]]) -> list[Stray]: ...

    def record(self, standing: Standing, puts: Sequence[Put], reopened: Sequence[int]) -> None: ...

    def finish(self, standing: Standing) -> None: ...

    def shards(self) -> dict[str, int]: ...

    def unrecorded(self, shard: str, members: Sequence[Member]) -> list[Member]: ...


class Places(Protocol):
    """Which places are whose; what a repair of this check does changes it."""

    def nobodys(self, names: Sequence[tuple[str, str]]) -> set[str]:
        """The paths among them that are no stored image's place."""


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


@dataclass(frozen=True, slots=True)
class Progress:
    """What observers are told, a few times a second."""

    standing: Standing
    found: int
    """Findings in this go."""


@dataclass(frozen=True, slots=True)
class Ended:
    complete: bool
    """It has been over everything, and was not stopped before."""


class _Looked(NamedTuple):
    """A piece of what lies in the folders."""

    suspects: list[Name]
    """Those names that may be nobody's place."""
    entries: int
    """Names, others included."""
    through: str | None
    closed: list[tuple[str, str]]
    """As ``folders.Piece`` has them."""

    @property
    def weight(self) -> int:
        return 1 + len(self.suspects) + len(self.closed)


class _StoppedError(Exception):
    """The check was told to stop. Internal."""


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
        self._root = root
        self._book = book
        self._workers = workers
        self._aside = aside
        self._own = own
        self._put_aside = put_aside
        self._beyond = beyond
        self._stopped = stopped
        self._observer = observer
        self._now = now
        self._examiner = Examiner(root)
        self._puts: list[Put] = []
        self._reopened: list[int] = []
        self._committed = now()
        self._found = 0

    def run(self, standing: Standing) -> Ended:
        """Go on from ``standing``, which is kept up to date."""
        through = standing.through_folder or None
        try:
            with Ahead(
                lambda left: self._looked(standing.part, through, left),
                lambda looked: looked.weight,
                room=_SUSPECTS,
            ) as looked:
                if standing.through_folder is None:
                    if self._aside is None:
                        looked.start()
                    self._compare(standing)
                    standing.through_folder = ""
                    self._commit(standing)
                self._look_through(standing, looked)
        except _StoppedError:
            self._commit(standing)
            return Ended(complete=False)
        except FetcherError:  # of the disk: what was moved until then is written down
            self._commit(standing)
            raise
        self._keep(self._beyond)
        self._commit(standing)
        self._book.finish(standing)
        return Ended(complete=True)

    # Every recorded file.

    def _compare(self, standing: Standing) -> None:
        for result in self._results(standing):
            self._keep(result.findings)
            standing.through_asset = result.batch.last
            standing.files += result.batch.files
            standing.read += result.read
            self._tell(standing)

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
                raise _StoppedError
            if wait([result], timeout=_LOOK_UP).done:
                return result.result()

    # Every name.

    def _looked(
        self, part: Part, done: str | None, left: Callable[[], bool]
    ) -> Generator[_Looked, None, None]:
        """What lies in all folders behind ``done``, for a thread of its own."""

        def wanted(folder: str) -> bool:
            if left() or self._stopped():
                raise _StoppedError
            return behind(folder, done) and _in_part(folder, part)

        with self._book.places() as places:
            if wanted(""):
                try:
                    names = beside(self._root, self._own)
                except OSError as error:
                    yield _Looked([], 0, None, [(".", error.strerror or str(error))])
                else:
                    yield _Looked(names, len(names), None, [])
            for piece in chain.from_iterable(
                walk(self._root, top, skip=self._put_aside, wanted=wanted) for top in _TOPS
            ):
                suspects = piece.names
                if suspects and not suspects[0].path.startswith(f"{_SHARDS}/"):
                    suspects = _suspects(suspects, places)
                yield _Looked(suspects, len(piece.names), piece.through, piece.closed)

    def _look_through(self, standing: Standing, pieces: Iterable[_Looked]) -> None:
        for piece in pieces:
            if self._stopped():
                raise _StoppedError
            self._note(Finding(Kind.UNREADABLE, path, reason) for path, reason in piece.closed)
            if piece.suspects and piece.suspects[0].path.startswith(f"{_SHARDS}/"):
                self._take_up_shards(piece.suspects)
            elif piece.suspects:
                self._take_up(piece.suspects, standing.check_id)
            standing.entries += piece.entries
            standing.through_folder = piece.through or standing.through_folder
            self._tell(standing)

    def _take_up(self, names: Sequence[Name], check_id: int) -> None:
        pairs: list[tuple[str, str]] = []
        for path, stem, _ in names:
            if path.isascii() or _encodable(path):
                pairs.append((path, stem))
            else:
                kind = Kind.EXTRA if "/" in path else Kind.FOREIGN
                self._keep([Finding(kind, path, "its name is not UTF-8")])
        strays = self._book.strays(check_id, pairs)
        regular = {name.path for name in names if name.regular} if strays else set()
        for stray in strays:
            if self._stopped():  # what lies here may have to be read
                raise _StoppedError
            finding = _judge(stray, regular=stray.path in regular)
            if finding is None:
                continue
            if finding.kind in _PASSING and self._is_superseded(stray):
                finding = Finding(Kind.SUPERSEDED, stray.path, finding.detail)
            if finding.kind is Kind.MISPLACED and self._gave_back(stray):
                self._note([finding], stray.broken_at)
            else:
                self._keep([finding])

    def _take_up_shards(self, names: Sequence[Name]) -> None:
        known = self._book.shards()
        for name in names:
            if self._stopped():
                raise _StoppedError
            end = known.get(name.path)
            if not name.regular:
                detail = "a link, or another thing that is no file"
                self._keep([Finding(Kind.EXTRA, name.path, detail)])
            elif end is not None:
                self._keep(self._found_in(name.path, end))
            elif SHARD.fullmatch(name.path.rpartition("/")[2]):
                detail = "a shard without an image that is recorded"
                self._keep([Finding(Kind.LEFTOVER, name.path, detail)])
            else:
                self._keep([Finding(Kind.EXTRA, name.path)])

    def _found_in(self, shard: str, end: int) -> Iterator[Finding]:
        """What is in a shard besides the images that are recorded there."""
        try:
            descriptor = os.open(f"{self._root}/{shard}", os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            yield Finding(Kind.UNREADABLE, shard, error.strerror or str(error))
            return
        try:
            size = os.fstat(descriptor).st_size
            images = (
                one
                for one in members(
                    lambda count, at: os.pread(descriptor, count, at), 0, min(size, end)
                )
                if one.name != DROPPED and not one.name.endswith(SUFFIX)
            )
            while batch := list(islice(images, _MEMBERS)):
                for one in self._book.unrecorded(shard, batch):
                    path, slot = f"{shard}/{one.name}", (one.offset, one.size)
                    yield Finding(Kind.SUPERSEDED, path, slot=slot)
        except OSError as error:
            yield Finding(Kind.UNREADABLE, shard, error.strerror or str(error))
        finally:
            os.close(descriptor)
        if size > end + len(END):
            yield Finding(Kind.LEFTOVER, shard, f"{size - end:,} bytes behind its last image")

    def _gave_back(self, stray: Stray) -> bool:
        """In a repair: whether the file has the bytes of an image that was found broken, and was
        moved to that one's place. A run takes it up there without asking for it.
        """
        if self._aside is None or stray.broken_at is None or stray.md5 is None:
            return False
        self._examiner.forget()
        if self._examiner.examine(Record(stray.path, stray.size, stray.md5)) is not None:
            return False
        return self._aside.give_back(stray.path, stray.broken_at)

    def _is_superseded(self, stray: Stray) -> bool:
        """Whether these are whole the bytes that were recorded here, until a list changed what it
        says of their image, or that was put back and went another way. (What is pending is not
        told yet: a run may take the file up.)
        """
        if stray.once is None or stray.once[1] is None or stray.pending or stray.broken_at:
            return False
        self._examiner.forget()
        return self._examiner.examine(Record(stray.path, *stray.once)) is None

    # What was found.

    def _keep(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            moved_to = None
            # A second copy in a shard would be read as another image.
            if self._aside is not None and (KINDS[finding.kind].damage or finding.slot):
                moved_to = self._repair(self._aside, finding)
            self._note([finding], moved_to)

    def _note(self, findings: Iterable[Finding], moved_to: str | None = None) -> None:
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

    def _tell(self, standing: Standing) -> None:
        self._observer(Progress(standing, self._found))
        if self._puts or self._now() - self._committed >= _COMMIT_EVERY:
            self._commit(standing)

    def _commit(self, standing: Standing) -> None:
        self._book.record(standing, self._puts, self._reopened)
        self._puts, self._reopened = [], []
        self._committed = self._now()


def _suspects(names: list[Name], places: Places) -> list[Name]:
    """Also what no manifest can have a word of, as it is no text."""
    pairs = [(path, stem) for path, stem, _ in names if path.isascii() or _encodable(path)]
    nobodys = places.nobodys(pairs)
    if not nobodys and len(pairs) == len(names):
        return []
    return [name for name in names if name.path in nobodys or not _encodable(name.path)]


def _judge(stray: Stray, *, regular: bool) -> Finding | None:
    """What is there, where no stored image belongs; ``None`` if this repair put it there."""
    path = stray.path
    if path == stray.broken_at:
        return None
    if "/" not in path and (stray.asset_id is None or not regular):
        return Finding(Kind.FOREIGN, path)
    if not regular:
        return Finding(Kind.EXTRA, path, "a link, or another thing that is no file")
    if stray.asset_id is None:
        return Finding(Kind.EXTRA, path)
    folder, _, name = path.rpartition("/")
    prefix = name.rpartition(".")[0][:3]
    home = f"{stray.subset}/{prefix}" if stray.subset else prefix
    if folder == f"mismatched/{home}":
        return Finding(Kind.SUPERSEDED, path)
    if folder == f"images/{home}" and stray.place is None and stray.broken_at is None:
        return Finding(Kind.UNCLAIMED, path)
    place = stray.place or stray.broken_at
    detail = f"recorded at {place}" if place else "of an image that is not stored"
    return Finding(Kind.MISPLACED, path, detail)


def _in_part(folder: str, part: Part) -> bool:
    return crc32(folder.encode("utf-8", "surrogateescape")) % part.of == part.which


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(path: str) -> str:
    """As SQLite takes it for text: what is not UTF-8 is escaped."""
    return path if _encodable(path) else path.encode("utf-8", "backslashreplace").decode()
