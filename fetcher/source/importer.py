"""From image lists to the manifest, while fetching is already under way.

Reading and parsing happen on a thread of their own, one batch ahead of the manifest. A list that
is unchanged since it was read to its end is not opened again; one whose reading was interrupted
goes on behind the last row that was committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

from fetcher.errors import SourceError
from fetcher.events import ImportFinished, RowsImported
from fetcher.model import BadRow, Row
from fetcher.ports import Observer, RowBook
from fetcher.source.lists import ImageList
from fetcher.source.table import Table

T = TypeVar("T")

BATCH: Final = 1_000
"""Rows that are committed together: some ten milliseconds of work."""
FIRST: Final = 500
"""The same for the first batch of a table: fetching waits for it."""


@dataclass(frozen=True, slots=True)
class _Batch:
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


class Importer:
    """Reads ``lists``, one after another, into ``book``."""

    def __init__(self, lists: Sequence[ImageList], book: RowBook, observer: Observer) -> None:
        self._lists = lists
        self._book = book
        self._observer = observer
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
        tables = image_list.tables()
        while (table := await self._off_loop(lambda: next(tables, None))) is not None:
            await self._import_table(table, fingerprint)
        await self._book.finish_list(path, fingerprint)

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

    def _off_loop(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._reader, work)
