"""Every name in the folders: what lies where no stored image belongs.

Going through the folders (``looked``) is work for a thread of its own, which drops the names that
are stored images' places. The few that are left are judged behind it (``look_through``): by the
manifest's word of the image that they name, and where that may help, by their bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final, NamedTuple
from zlib import crc32

from fetcher.checking.book import Book, Places
from fetcher.checking.files import Examiner, Record
from fetcher.checking.folders import Name, behind, beside, is_text, walk
from fetcher.checking.recorder import Aside, Recorder
from fetcher.policy.findings import Finding, Kind, Part, Standing, Stray
from fetcher.policy.tar import DROPPED, END, SHARD, SUFFIX, members

_MEMBERS: Final = 1_024
"""Images of a shard that are looked up at once."""
_SHARDS: Final = "shards"
_PASSING: Final = frozenset({Kind.MISPLACED, Kind.UNCLAIMED})
"""What a file is taken for, unless its bytes are known to have been recorded there."""
_TOPS: Final = ("images", "mismatched", _SHARDS)


class Looked(NamedTuple):
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


class StoppedError(Exception):
    """The check was told to stop."""


class Strays:
    """``own``: names in ``root`` that are the mirror's. ``put_aside``: folders that hold what
    earlier repairs moved.
    """

    def __init__(
        self,
        *,
        root: str,
        book: Book,
        recorder: Recorder,
        aside: Aside | None,
        own: frozenset[str],
        put_aside: frozenset[str],
        stopped: Callable[[], bool],
    ) -> None:
        self._root = root
        self._book = book
        self._recorder = recorder
        self._aside = aside
        self._own = own
        self._put_aside = put_aside
        self._stopped = stopped
        self._examiner = Examiner(root)

    def looked(
        self, part: Part, done: str | None, left: Callable[[], bool]
    ) -> Generator[Looked, None, None]:
        """What lies in all folders behind ``done``, for a thread of its own; ``left`` is whether
        nobody takes it any more.
        """

        def wanted(folder: str) -> bool:
            if left() or self._stopped():
                raise StoppedError
            return behind(folder, done) and _in_part(folder, part)

        with self._book.places() as places:
            if wanted(""):
                try:
                    names = beside(self._root, self._own)
                except OSError as error:
                    yield Looked([], 0, None, [(".", error.strerror or str(error))])
                else:
                    yield Looked(names, len(names), None, [])
            for piece in chain.from_iterable(
                walk(self._root, top, skip=self._put_aside, wanted=wanted) for top in _TOPS
            ):
                suspects = piece.names
                if suspects and not suspects[0].path.startswith(f"{_SHARDS}/"):
                    suspects = _suspects(suspects, places)
                yield Looked(suspects, len(piece.names), piece.through, piece.closed)

    def look_through(self, standing: Standing, pieces: Iterable[Looked]) -> None:
        """Judge and record what lies there. Raises ``StoppedError``."""
        for piece in pieces:
            self._go_on()
            self._recorder.note(
                Finding(Kind.UNREADABLE, path, reason) for path, reason in piece.closed
            )
            if piece.suspects and piece.suspects[0].path.startswith(f"{_SHARDS}/"):
                self._take_up_shards(piece.suspects)
            elif piece.suspects:
                self._take_up(piece.suspects, standing.check_id)
            standing.entries += piece.entries
            standing.through_folder = piece.through or standing.through_folder
            self._recorder.tell(standing)

    def _go_on(self) -> None:
        """Unless told to stop."""
        if self._stopped():
            raise StoppedError

    def _take_up(self, names: Sequence[Name], check_id: int) -> None:
        pairs: list[tuple[str, str]] = []
        for path, stem, _ in names:
            if path.isascii() or is_text(path):
                pairs.append((path, stem))
            else:
                kind = Kind.EXTRA if "/" in path else Kind.FOREIGN
                self._recorder.keep([Finding(kind, path, "its name is not UTF-8")])
        strays = self._book.strays(check_id, pairs)
        regular = {name.path for name in names if name.regular} if strays else set()
        for stray in strays:
            self._go_on()  # what lies here may have to be read
            finding = _judge(stray, regular=stray.path in regular)
            if finding is None:
                continue
            if finding.kind in _PASSING and self._is_superseded(stray):
                finding = Finding(Kind.SUPERSEDED, stray.path, finding.detail)
            if finding.kind is Kind.MISPLACED and self._gave_back(stray):
                self._recorder.note([finding], stray.broken_at)
            else:
                self._recorder.keep([finding])

    def _take_up_shards(self, names: Sequence[Name]) -> None:
        known = self._book.shards()
        for name in names:
            self._go_on()
            end = known.get(name.path)
            if not name.regular:
                detail = "a link, or another thing that is no file"
                self._recorder.keep([Finding(Kind.EXTRA, name.path, detail)])
            elif end is not None:
                self._recorder.keep(self._found_in(name.path, end))
            elif SHARD.fullmatch(name.path.rpartition("/")[2]):
                detail = "a shard without an image that is recorded"
                self._recorder.keep([Finding(Kind.LEFTOVER, name.path, detail)])
            else:
                self._recorder.keep([Finding(Kind.EXTRA, name.path)])

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


def _suspects(names: list[Name], places: Places) -> list[Name]:
    """Also what no manifest can have a word of, as it is no text."""
    pairs = [(path, stem) for path, stem, _ in names if path.isascii() or is_text(path)]
    nobodys = places.nobodys(pairs)
    if not nobodys and len(pairs) == len(names):
        return []
    return [name for name in names if name.path in nobodys or not is_text(name.path)]


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
