"""Names and their numbers: hosts, subsets, codes, layouts, texts that repeat themselves.

The tables have one shape. A bounded cache stands before each: a list may name any number of hosts.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, Literal

from fetcher.manifest.bulk import Bulk

_REMEMBERED: Final = 65_536
"""Names of each kind."""


class Names:
    """Numbers for names, given at first sight. Call it within a transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        table: Literal["hosts", "subsets", "codes", "layouts", "texts", "shards"],
    ) -> None:
        self._connection = connection
        self._known: dict[str, int] = {}
        self._insert = Bulk(
            f"INSERT OR IGNORE INTO {table} (name) "
            "SELECT column1 FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
            width=1,
        )
        self._select = Bulk(
            f"SELECT json_group_array(json_array(t.name, t.id)) "
            f"FROM (VALUES {{rows}}) CROSS JOIN {table} AS t ON t.name = column1",
            width=1,
        )

    def ids(self, names: Iterable[str]) -> dict[str, int]:
        """The numbers of all of ``names``."""
        wanted = dict.fromkeys(names)
        missing = [(name,) for name in wanted if name not in self._known]
        if missing:
            if len(self._known) + len(missing) > _REMEMBERED:
                self._known.clear()
                missing = [(name,) for name in wanted]
            self._insert.write(self._connection, missing)
            self._known.update(
                (name, number) for name, number in self._select.read(self._connection, missing)
            )
        return {name: self._known[name] for name in wanted}

    def id(self, name: str) -> int:
        return self.ids((name,))[name]

    def forget(self) -> None:
        """After a rollback: what was given a number in it has none."""
        self._known.clear()


class AllNames:
    """One of each."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.hosts = Names(connection, "hosts")
        self.subsets = Names(connection, "subsets")
        self.codes = Names(connection, "codes")
        self.layouts = Names(connection, "layouts")
        self.texts = Names(connection, "texts")
        self.shards = Names(connection, "shards")

    def forget(self) -> None:
        every = (self.hosts, self.subsets, self.codes, self.layouts, self.texts, self.shards)
        for names in every:
            names.forget()
