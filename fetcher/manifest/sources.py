"""Sources: how far each has been read, and which import a reading belongs to.

An *import* is the reading of one command's lists, however often it is interrupted. It decides what
a known id means: met again in the same import, a row is a duplicate or in conflict; met again in a
later one, the list has changed. So a source whose reading was interrupted goes on where it stopped,
in the import it belongs to; whatever else needs reading, being new or changed, begins a new import
unless the command has begun one already.

A source that is complete and unchanged is not read again. It takes part all the same: what it says
of its assets stands, and a row of another source that says otherwise is in conflict.
"""

from __future__ import annotations

import json
import sqlite3

from msgspec import Struct

from fetcher.manifest.names import Names
from fetcher.model import SourceInfo
from fetcher.ports import SourceCursor


class Import(Struct, frozen=True):
    import_id: int
    first_asset_id: int
    """Assets from here on were accepted in this import."""


class Reading(Struct):
    """A source that is being read."""

    source_id: int
    layout_id: int
    through_line: int


class Begun(Struct, frozen=True):
    """What beginning a source came to; ``Sources.apply`` it when it is committed."""

    cursor: SourceCursor
    belongs_to: Import
    reading: Reading | None
    """``None`` if there is nothing to read."""


class _Stored(Struct, frozen=True):
    source_id: int
    fingerprint: str
    layout_id: int
    belongs_to: Import
    through_line: int
    complete: bool


class Sources:
    def __init__(self, connection: sqlite3.Connection, layouts: Names) -> None:
        self._connection = connection
        self._layouts = layouts
        self._import: Import | None = None
        self._reading: dict[int, Reading] = {}
        self._complete: dict[int, Import] = {}

    @property
    def current(self) -> Import:
        """The import that rows read now belong to."""
        if self._import is None:
            raise ValueError("no source is being read")
        return self._import

    def reading(self, source_id: int) -> Reading:
        try:
            return self._reading[source_id]
        except KeyError:
            raise ValueError(f"source {source_id} is not being read") from None

    def stands(self, source_id: int) -> bool:
        """Whether the source is complete and unchanged since an earlier import."""
        belongs_to = self._complete.get(source_id)
        return belongs_to is not None and belongs_to != self._import

    def list_is_complete(self, path: str, fingerprint: str) -> bool:
        """Whether this very list was read to its end; if so, all of its sources stand."""
        row = self._connection.execute(
            "SELECT 1 FROM lists WHERE path = ? AND fingerprint = ?", (path, fingerprint)
        ).fetchone()
        if row is None:
            return False
        for source_id, import_id, first_asset_id in self._connection.execute(
            "SELECT s.id, i.id, i.first_asset_id FROM sources AS s "
            "JOIN imports AS i ON i.id = s.import_id WHERE s.list_path = ?",
            (path,),
        ):
            self._complete[source_id] = Import(import_id, first_asset_id)
        return True

    def finish_list(self, path: str, fingerprint: str) -> None:
        """In a transaction."""
        self._connection.execute(
            "INSERT OR REPLACE INTO lists (path, fingerprint) VALUES (?, ?)", (path, fingerprint)
        )

    def begin(self, info: SourceInfo, fingerprint: str) -> Begun:
        """In a transaction. ``fingerprint`` tells one content of the source from another."""
        stored = self._find(info)
        if stored is not None and stored.fingerprint == fingerprint:
            cursor = SourceCursor(stored.source_id, stored.through_line, stored.complete)
            if stored.complete:
                return Begun(cursor, stored.belongs_to, None)
            if stored.belongs_to == (self._import or self._last_import()):
                reading = Reading(stored.source_id, stored.layout_id, stored.through_line)
                return Begun(cursor, stored.belongs_to, reading)
        return self._begin_anew(info, fingerprint, stored)

    def apply(self, begun: Begun) -> None:
        if begun.reading is None:
            self._complete[begun.cursor.source_id] = begun.belongs_to
        else:
            self._import = begun.belongs_to
            self._reading[begun.cursor.source_id] = begun.reading

    def finish(self, source_id: int) -> None:
        """In a transaction: the source's last row has been imported."""
        self._connection.execute("UPDATE sources SET complete = 1 WHERE id = ?", (source_id,))

    def finished(self, source_id: int) -> None:
        """When that is committed."""
        del self._reading[source_id]
        self._complete[source_id] = self.current

    def reset(self) -> None:
        """The command has no more sources: what comes next is another import."""
        self._import = None
        self._reading.clear()
        self._complete.clear()

    def _find(self, info: SourceInfo) -> _Stored | None:
        row = self._connection.execute(
            "SELECT s.id, s.fingerprint, s.layout_id, i.id, i.first_asset_id, "
            "s.through_line, s.complete FROM sources AS s JOIN imports AS i ON i.id = s.import_id "
            "WHERE s.list_path = ? AND coalesce(s.member, '') = ?",
            (info.list_path, info.member or ""),
        ).fetchone()
        if row is None:
            return None
        source_id, content, layout_id, import_id, first, through_line, complete = row
        belongs_to = Import(import_id, first)
        return _Stored(source_id, content, layout_id, belongs_to, through_line, bool(complete))

    def _last_import(self) -> Import | None:
        row = self._connection.execute(
            "SELECT id, first_asset_id FROM imports ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return None if row is None else Import(*row)

    def _begin_anew(self, info: SourceInfo, fingerprint: str, stored: _Stored | None) -> Begun:
        belongs_to = self._import
        if belongs_to is None or (stored is not None and stored.belongs_to == belongs_to):
            # In the second case this import has met some of its rows as they were before.
            belongs_to = self._new_import()
        layout_id = self._layouts.id(json.dumps(info.extra_columns, ensure_ascii=False))
        values = (fingerprint, layout_id, belongs_to.import_id)
        self._connection.execute("DELETE FROM lists WHERE path = ?", (info.list_path,))
        if stored is None:
            source_id = self._insert(info, values)
        else:
            source_id = stored.source_id
            # Its duplicates and rejected rows will be met again; its assets remain.
            self._connection.execute(
                "UPDATE sources SET fingerprint = ?, layout_id = ?, import_id = ?, "
                "through_line = 0, complete = 0, duplicate = 0, rejected = 0 WHERE id = ?",
                (*values, source_id),
            )
            self._connection.execute("DELETE FROM rejected_rows WHERE source_id = ?", (source_id,))
        reading = Reading(source_id, layout_id, 0)
        return Begun(SourceCursor(source_id, 0, complete=False), belongs_to, reading)

    def _insert(self, info: SourceInfo, values: tuple[str, int, int]) -> int:
        cursor = self._connection.execute(
            "INSERT INTO sources (fingerprint, layout_id, import_id, list_path, member) "
            "VALUES (?, ?, ?, ?, ?)",
            (*values, info.list_path, info.member),
        )
        assert cursor.lastrowid is not None  # noqa: S101  an INSERT has one
        return cursor.lastrowid

    def _new_import(self) -> Import:
        self._connection.execute("DELETE FROM seen")
        row = self._connection.execute(
            "INSERT INTO imports (first_asset_id) "
            "SELECT coalesce(max(asset_id), 0) + 1 FROM assets RETURNING id, first_asset_id"
        ).fetchone()
        return Import(*row)
