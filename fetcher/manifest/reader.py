"""Looking on: the manifest read by someone who must not touch it, while a run is active or after.

Strictly read-only: no file is made, changed or removed. ``mode=ro`` alone would still write to the
shared memory beside a WAL; ``readonly_shm`` ends that. A manifest whose run ended cleanly is one
plain file. One whose run was killed has its WAL beside it, and is read with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from fetcher.errors import ManifestUnusableError
from fetcher.evidence import Listed, Table
from fetcher.manifest import (
    exporting,
    figures,
    guard,
    memories,
    passages,
    reopening,
    runs,
    schema,
    tallies,
)
from fetcher.manifest.damage import blamed, require_all_pages
from fetcher.manifest.faults import translated
from fetcher.manifest.figures import Grouping
from fetcher.manifest.migrations import MIGRATIONS
from fetcher.manifest.places import require_manifest, require_plain_files
from fetcher.manifest.reopening import Reopened
from fetcher.model import HostMemory, Selection, State, Tally
from fetcher.policy.reopening import Reopening

_PRAGMAS: Final = (
    "query_only = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "busy_timeout = 10000",
)


class ManifestReader:
    """Use it as a context manager. Raises ``ManifestUnusableError`` if there is no manifest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        schema.require_sqlite()
        require_plain_files(path)
        require_manifest(path)
        with translated(path):
            self._connection = _connect(path)

    def tally(self, selection: Selection = Selection()) -> Tally:  # noqa: B008  immutable
        """Where it stands, at one moment."""
        with self._moment():
            return tallies.read_selected(self._connection, selection)

    def figures(
        self,
        grouping: Grouping,
        since: int | None = None,
        observer: Callable[[str], object] = len,
    ) -> list[Table]:
        """What a report shows, all of one moment; ``observer`` is told of each before it is asked
        for. Raises ``UsageError`` if no run is ``since``.
        """
        with self._moment():
            return list(figures.ask(self._connection, grouping, since, observer))

    def lists(self) -> list[str]:
        """Paths of the lists that were read into it."""
        with translated(self._path):
            found = self._connection.execute("SELECT DISTINCT list_path FROM sources ORDER BY 1")
            return [path for (path,) in found]

    def lists_of_images(self) -> list[str]:
        """Paths of the lists that images of it come from."""
        with translated(self._path):
            found = self._connection.execute(
                "SELECT DISTINCT list_path FROM sources WHERE accepted > 0 ORDER BY 1"
            )
            return [path for (path,) in found]

    def last_run_ended(self) -> bool:
        """Not while one is on, nor after one that was killed."""
        with translated(self._path):
            return runs.last_ended_cleanly(self._connection, None)

    def last_settings(self) -> dict[str, Any]:
        """The configuration that the last run worked with; empty if there was none."""
        with translated(self._path):
            return figures.last_settings(self._connection)

    def listed(
        self, states: Collection[State], *, by_url: bool = False, kept: bool = False
    ) -> Iterator[Listed]:
        """Assets in ``states``, as a stream of one moment: in list order or sorted by URL; ``kept``
        leaves out those without a file.
        """
        with self._moment():
            yield from exporting.listed(self._connection, states, by_url=by_url, kept=kept)

    def extra_columns(self) -> tuple[str, ...]:
        """Names of the columns that the lists have besides those that make an asset."""
        with translated(self._path):
            return exporting.extra_columns(self._connection)

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """Whatever is asked within sees the manifest as it is now."""
        with blamed(self._connection, self._path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                # A stream may be given up after its reader was closed, which rolled back already.
                with suppress(sqlite3.ProgrammingError):
                    self._connection.execute("ROLLBACK")

    def reopenable(self, wanted: Reopening) -> list[Reopened]:
        """What putting ``wanted`` back to pending would change."""
        with translated(self._path):
            return reopening.count(self._connection, wanted)

    def reopening_terms(self, wanted: Reopening) -> tuple[bool, frozenset[str]]:
        """Whether a host of the manifest is wanted, and the codes that it has."""
        with translated(self._path):
            return reopening.terms(self._connection, wanted)

    def host_memories(self) -> list[HostMemory]:
        """What runs have learned of host groups."""
        with translated(self._path):
            return memories.read(self._connection)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    if not path.with_name(path.name + "-wal").exists() and _expects_log(path):
        # SQLite would make one. Without it, all there is is in the file, and nobody writes.
        return _opened(path, "mode=ro&immutable=1")
    return _opened(path, "mode=ro&readonly_shm=1")


def _expects_log(path: Path) -> bool:
    """Whether the file was left in WAL mode (https://sqlite.org/fileformat.html section 1.3.3).

    Opening it like any file is harmless here: a manifest without its log is open nowhere in this
    process, so there are no locks to lose (``fetcher.manifest.lock`` says which).
    """
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\2\2"


def _opened(path: Path, how: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{how}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        guard.bound(connection)
        passages.teach(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        version = schema.version_of(connection, path)
        _require_current(version, path)
        with blamed(connection, path):
            require_all_pages(connection, path)
            guard.require_own_schema(connection, path, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_current(version: int, path: Path) -> None:
    schema.require_begun(version, path)
    if version < len(MIGRATIONS):
        raise ManifestUnusableError(
            f"The manifest {path} was written by an older fetcher.",
            hint="Any command that runs, such as fetcher mirror, brings it up to date.",
        )
