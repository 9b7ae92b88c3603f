"""The manifest for a command that works on it and sends nothing: ``retry``, ``verify``.

It is opened only where there is one, and locked against runs until it is closed. Each method is one
transaction, and everything belongs to the thread that opened it, but for what ``beside`` gives.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from fetcher.manifest import reopening, runs, schema
from fetcher.manifest.faults import translated
from fetcher.manifest.lock import RunLock
from fetcher.manifest.opening import connect, connect_beside
from fetcher.manifest.places import require_manifest
from fetcher.manifest.reopening import Reopened
from fetcher.manifest.runs import RunInfo
from fetcher.manifest.whereabouts import Whereabouts
from fetcher.policy.reopening import Reopening


class ManifestMaintainer:
    """A context manager: entering opens, leaving closes.

    Entering raises ``LockedError``, naming the process of a run that is on,
    ``ManifestUnusableError`` (none there, of a newer schema), ``ManifestError`` or ``StoreError``.
    """

    def __init__(
        self,
        path: Path,
        *,
        command: str,
        wall: Callable[[], float] = time.time,
        place: Path | None = None,
    ) -> None:
        """``place``: DIR's place for temporary files, for who moves files there; locked as well."""
        self._path = path
        self._place = place
        self._command = command
        self.wall = wall

    def __enter__(self) -> Self:
        schema.require_sqlite()
        require_manifest(self._path)
        self._lock = RunLock.acquire(
            self._path, command=self._command, now=self.wall(), place=self._place
        )
        try:
            with translated(self._path):
                self._connection = connect(self._path, made=False)
            self._whereabouts = Whereabouts(self._path)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave one file, as a run does."""
        try:
            self._whereabouts.leave_one_file(self._connection)
        finally:
            self._connection.close()
            self._lock.release()

    def begin_run(self, info: RunInfo) -> int:
        with self.transaction() as connection:
            return runs.begin(connection, info, self.wall())

    def end_run(self, run_id: int, exit_code: int, reason: str) -> None:
        with self.transaction() as connection:
            runs.end(connection, run_id, exit_code, reason, self.wall())

    def reopen(self, wanted: Reopening) -> Iterator[list[Reopened]]:
        """Put back to pending what is wanted, slice by slice; each is committed when it comes."""
        with translated(self._path):
            chosen = reopening.Filter(self._connection, wanted)
            bounds = reopening.slices(self._connection)
        now = self.wall()
        for part in bounds:
            with self.transaction() as connection:
                found = reopening.reopen_slice(connection, chosen, part, now)
            yield found

    def reopening_terms(self, wanted: Reopening) -> tuple[bool, frozenset[str]]:
        """As ``ManifestReader`` has it."""
        with translated(self._path):
            return reopening.terms(self._connection, wanted)

    @contextmanager
    def beside(self) -> Iterator[Callable[[], AbstractContextManager[sqlite3.Connection]]]:
        """``reading`` for another thread: entered and left there, before the manifest is left."""
        with translated(self._path), closing(connect_beside(self._path)) as connection:
            yield lambda: nullcontext(connection)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """For single questions; errors are told in the project's words."""
        with translated(self._path):
            yield self._connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self._whereabouts.require()
        with translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise
