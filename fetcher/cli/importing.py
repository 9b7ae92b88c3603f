"""Lists are read while the engine works on what is known of them: either may end before the other.

An engine that was told of everything ends by itself. Lists that cannot be read to their end stop it
in good order; an engine that ends first leaves them where they are.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from fetcher.engine import Ending, EndReason, Engine
from fetcher.errors import DamagedListError, FetcherError, SourceError
from fetcher.events import Event, RowsImported
from fetcher.ports import Observer
from fetcher.source.importer import Importer


async def import_and_run(importer: Importer, engine: Engine) -> Ending:
    """Both at once. A damaged list ends the run in good order, and is raised then, unless the run
    ended by a fault of its own; that one is told first, and both are told.
    """
    running = asyncio.create_task(engine.run())
    importing = asyncio.create_task(importer.run())
    importing.add_done_callback(lambda done: _import_ended(done, engine))
    try:
        ending = await running
    finally:
        running.cancel()
        importing.cancel()
        await asyncio.wait([importing, running])
    if not importing.cancelled() and (error := importing.exception()) is not None:
        if ending.reason is EndReason.LOCAL_FAULT and isinstance(error, FetcherError):
            return replace(ending, detail=f"{ending.detail} Besides: {error.sentence}")
        raise_of_list(error)
    if importing.cancelled() and ending.reason is EndReason.LIMIT:
        # Not the end, even if all that was read is settled: there is more to read.
        return Ending(EndReason.STOPPED, ending.detail)
    return ending


def _import_ended(importing: asyncio.Task[None], engine: Engine) -> None:
    if importing.cancelled():
        return
    if importing.exception() is not None:
        engine.stop("the lists cannot be read to their end")
    else:
        engine.no_more_to_come()


class Stirring(Struct, frozen=True):
    """Passes events on, and tells the engine when there are new rows."""

    observer: Observer
    engine: Engine

    def notify(self, event: Event) -> None:
        self.observer.notify(event)
        if isinstance(event, RowsImported):
            self.engine.stirred()


def raise_of_list(error: BaseException) -> NoReturn:
    """``error`` ended the reading of a list whose head was in order: to the user, it is damaged."""
    if isinstance(error, SourceError):
        raise DamagedListError(error.sentence, hint=error.hint) from error
    raise error
