"""Looking on: the manifest read by someone who must not touch it, while a run is active or after.

Strictly read-only: no file is made, changed or removed. ``mode=ro`` alone would still write to the
shared memory beside a WAL; ``readonly_shm`` ends that. A manifest whose run ended cleanly is one
plain file. One whose run was killed has its WAL beside it, and is read with it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from fetcher.errors import ManifestUnusableError
from fetcher.manifest import memories, schema, tallies
from fetcher.manifest.faults import translated
from fetcher.model import HostMemory, Selection, Tally

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
        if not path.is_file():
            raise ManifestUnusableError(
                f"There is no manifest {path}.",
                hint="Name the folder that fetcher mirror wrote to, or the file with --manifest.",
            )
        with translated(path):
            self._connection = _connect(path)

    def tally(self, selection: Selection = Selection()) -> Tally:  # noqa: B008 - immutable
        """Where it stands, at one moment."""
        with translated(self._path):
            self._connection.execute("BEGIN")
            try:
                return tallies.read_selected(self._connection, selection)
            finally:
                self._connection.execute("ROLLBACK")

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
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        _require_current(schema.version_of(connection, path), path)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_current(version: int, path: Path) -> None:
    if version == 0:
        raise ManifestUnusableError(
            f"The manifest {path} is empty: the run that made it was stopped at once.",
            hint="Give its command again.",
        )
    if version < len(schema.MIGRATIONS):
        raise ManifestUnusableError(
            f"The manifest {path} was written by an older fetcher.",
            hint="Any command that runs, such as fetcher mirror, brings it up to date.",
        )
