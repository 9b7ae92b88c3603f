"""From image lists to the manifest, while fetching is already under way.

Reading and parsing happen on a thread of their own, one batch ahead of the manifest; for a long
list, in a process of its own (``fetcher.source.aside``). A list that is unchanged since it was read
to its end is not opened again; one whose reading was interrupted goes on behind the last row that
was committed, and so does the thread if the process is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from fetcher.errors import SourceError
from fetcher.events import ImportFinished, ReaderLost, RowsImported
from fetcher.model import BadRow, Row
from fetcher.ports import NamesToNumber, Observer, RowBook, StagedRows
from fetcher.source import aside
from fetcher.source.aside import BATCH, FIRST
from fetcher.source.lists import ImageList
from fetcher.source.table import Table

T = TypeVar("T")

LONG: Final = 1 << 20
"""Bytes of a file from which on a process of its own is worth its start: some thousand rows."""


class _Batch(Struct, frozen=True):
    """Rows, and what is wrong with the list behind them."""

    rows: list[Row | BadRow]
    damage: SourceError | None = None


def _read(rows: Iterator[Row | BadRow], count: int = BATCH) -> _Batch:
    batch = _Batch([])
    try:
        batch.rows.extend(islice(rows, count))
    except SourceError as damage:
        return replace(batch, damage=damage)
    return batch


class AsideLostError(Exception):
    """The process that reads a list is gone, or could not be started."""


class Aside(Protocol):
    """A list that is read by another process. Its methods block, and raise ``AsideLostError``."""

    def receive(self) -> aside.Message: ...

    def reply(self, value: Any) -> None: ...

    def close(self) -> None: ...


class Importer:
    """Reads ``lists``, one after another, into ``book``. Those that are ``long`` are read by what
    ``read_aside`` starts, if it is given.
    """

    def __init__(
        self,
        lists: Sequence[ImageList],
        book: RowBook,
        observer: Observer,
        read_aside: Callable[[ImageList], Aside] | None = None,
        *,
        long: int = LONG,
    ) -> None:
        self._lists = lists
        self._book = book
        self._observer = observer
        self._read_aside = read_aside
        self._long = long
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="import")

    async def run(self) -> None:
        """Read everything. Raises ``SourceError`` for damage, with all before it committed."""
        try:
            for image_list in self._lists:
                await self._import(image_list)
        finally:
            self._reader.shutdown(wait=False, cancel_futures=True)
        await self._book.finish_import()
        self._observer.notify(ImportFinished())

    async def _import(self, image_list: ImageList) -> None:
        path, fingerprint = str(image_list.path), image_list.fingerprint
        if await self._book.list_is_complete(path, fingerprint):
            return
        require_unchanged = image_list.when_read()
        if not await self._could_aside(image_list, fingerprint):
            tables = image_list.tables()
            while (table := await self._off_loop(lambda: next(tables, None))) is not None:
                await self._import_table(table, fingerprint)
        require_unchanged()
        await self._book.finish_list(path, fingerprint)

    async def _could_aside(self, image_list: ImageList, fingerprint: str) -> bool:
        """Whether another process has read all of it."""
        if self._read_aside is None or image_list.size < self._long:
            return False
        try:
            await self._import_aside(image_list, fingerprint, self._read_aside)
        except AsideLostError as error:
            self._observer.notify(ReaderLost(str(image_list.path), str(error)))
            return False
        return True

    async def _import_table(self, table: Table, fingerprint: str) -> None:
        cursor = await self._book.begin_source(table.info, fingerprint)
        if cursor.complete:
            return
        rows = table.rows(cursor.after_line)
        reading = self._off_loop(lambda: _read(rows, FIRST))
        try:
            while (batch := await reading).rows:
                reading = self._off_loop(lambda: _read(rows))  # while this one is committed
                through = batch.rows[-1].line
                tally = await self._book.import_rows(cursor.source_id, batch.rows, through)
                self._observer.notify(RowsImported(table.info.list_path, tally))
                if batch.damage is not None:
                    break
        finally:
            reading.cancel()
        if batch.damage is not None:
            raise batch.damage
        await self._book.finish_source(cursor.source_id)

    async def _import_aside(
        self, image_list: ImageList, fingerprint: str, start: Callable[[ImageList], Aside]
    ) -> None:
        # On a thread that lives as long as the loop: the kernel takes its end for the run's.
        starting = asyncio.get_running_loop().run_in_executor(None, start, image_list)
        try:
            reader = await asyncio.shield(starting)
        except asyncio.CancelledError:
            with suppress(AsideLostError):
                await asyncio.to_thread((await starting).close)
            raise
        try:
            await self._listen(reader, str(image_list.path), fingerprint)
        finally:
            # From another thread: the one that receives may be waiting for it.
            await asyncio.shield(asyncio.to_thread(reader.close))

    async def _listen(self, reader: Aside, path: str, fingerprint: str) -> None:
        """Take down what is told, until it is the last word."""
        source_id = 0
        hearing = self._off_loop(reader.receive)
        try:
            while not isinstance(message := await hearing, aside.ListRead):
                match message:
                    case aside.Opened(info):
                        cursor = await self._book.begin_source(info, fingerprint)
                        source_id = cursor.source_id
                        reader.reply(None if cursor.complete else cursor.after_line)
                    case NamesToNumber():
                        reader.reply(await self._book.number_names(message))
                    case aside.TableRead():
                        await self._book.finish_source(source_id)
                    case aside.Damage(sentence, hint):
                        raise SourceError(sentence, hint=hint)
                    case aside.Rows(rows):
                        hearing = self._off_loop(reader.receive)  # while these are committed
                        tally = await self._book.import_rows(source_id, rows, rows[-1].line)
                        self._observer.notify(RowsImported(path, tally))
                        continue
                    case StagedRows():
                        hearing = self._off_loop(reader.receive)  # likewise
                        tally = await self._book.import_staged(source_id, message)
                        self._observer.notify(RowsImported(path, tally))
                        continue
                hearing = self._off_loop(reader.receive)
        finally:
            hearing.cancel()

    def _off_loop(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._reader, work)
