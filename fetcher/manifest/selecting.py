"""A selection of the lists' rows, as SQL."""

from __future__ import annotations

import sqlite3

from fetcher.model import Selection


def selected(connection: sqlite3.Connection, selection: Selection) -> str:
    """A condition on ``assets AS a``. Ids are put into a temporary table, so what it says holds
    until the next call for the same connection.
    """
    terms = ["1"]
    if selection.subsets is not None:
        known = connection.execute("SELECT id, name FROM subsets")
        wanted = [str(number) for number, name in known if name in selection.subsets]
        # None of them was met yet: no asset has this number. (What SQLite sees to be false at once,
        # such as IN (), leaves it no use for an index that a statement asks for.)
        wanted = wanted or ["-1"]
        terms.append(f"a.subset_id IN ({', '.join(wanted)})")
    if selection.ids is not None:
        connection.execute("DROP TABLE IF EXISTS temp.picked")
        connection.execute("CREATE TEMP TABLE picked (image_id TEXT PRIMARY KEY) WITHOUT ROWID")
        connection.executemany(
            "INSERT INTO picked (image_id) VALUES (?)", ((i,) for i in selection.ids)
        )
        terms.append("a.image_id IN (SELECT image_id FROM picked)")
    return " AND ".join(terms)
