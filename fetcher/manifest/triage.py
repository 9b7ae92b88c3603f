"""The manifest's book of mismatches: which bytes are to be looked at, and what they were.

A finding is of the bytes with its MD5: when others arrive, it says nothing of them, and they are
looked at anew.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from fetcher.manifest.checks import OFFSET, PATH
from fetcher.manifest.figures import last_settings
from fetcher.manifest.listed import CELLS, JOINED, LAYOUT
from fetcher.manifest.maintaining import ManifestMaintainer
from fetcher.manifest.plausible import require_inside
from fetcher.manifest.states import STATE_IDS, VERIFIED
from fetcher.model import State
from fetcher.policy.triage import Finding

BATCH: Final = 64
"""Images."""
_MISMATCHED: Final = STATE_IDS[State.MISMATCHED]

# What is needed of other images, in one pass over all of them each.
_PREPARED: Final = (
    "DROP TABLE IF EXISTS temp.came",
    "DROP TABLE IF EXISTS temp.wanted",
    "DROP TABLE IF EXISTS temp.listed_as",
    "DROP TABLE IF EXISTS temp.kept",
    f"""CREATE TEMP TABLE came AS SELECT actual_md5 AS md5, count(*) AS n FROM assets
        WHERE state = {_MISMATCHED} AND actual_md5 IS NOT NULL GROUP BY 1""",
    "CREATE UNIQUE INDEX temp.came_md5 ON came (md5)",
    f"""CREATE TEMP TABLE wanted AS SELECT DISTINCT expected_md5 AS md5 FROM assets
        WHERE state = {_MISMATCHED} AND expected_md5 IS NOT NULL""",
    "CREATE UNIQUE INDEX temp.wanted_md5 ON wanted (md5)",
    """CREATE TEMP TABLE listed_as AS SELECT expected_md5 AS md5, min(image_id) AS image_id
        FROM assets WHERE expected_md5 IN (SELECT md5 FROM came) GROUP BY 1""",
    "CREATE UNIQUE INDEX temp.listed_as_md5 ON listed_as (md5)",
    f"""CREATE TEMP TABLE kept AS SELECT expected_md5 AS md5, min(asset_id) AS asset_id FROM assets
        WHERE expected_md5 IN (SELECT md5 FROM wanted) AND state = {VERIFIED}
            AND path IS NOT NULL GROUP BY 1""",
    "CREATE UNIQUE INDEX temp.kept_md5 ON kept (md5)",
)
_ROTATION: Final = (
    f"(SELECT e.value FROM json_each({CELLS}) AS e WHERE e.key = "
    "(SELECT key FROM json_each(l.name) WHERE lower(value) = 'rotation' LIMIT 1))"
)


def _of_kept(sql: str) -> str:
    return re.sub(r"\b([as])\.", lambda found: {"a": "k.", "s": "ks."}[found[1]], sql)


_TODO: Final = (
    f"SELECT a.asset_id, {PATH} AS path, a.actual_size, a.actual_md5, {OFFSET} AS offset, "
    f"e.image_id, c.n, {_of_kept(PATH)} AS kept_path, k.expected_size, k.expected_md5, "
    f"{_of_kept(OFFSET)} AS kept_offset, {_ROTATION} AS rotation "
    "FROM assets AS a CROSS JOIN subsets AS s ON s.id = a.subset_id "
    f"{JOINED} LEFT JOIN layouts AS l ON l.id = {LAYOUT} "
    "LEFT JOIN temp.listed_as AS e ON e.md5 = a.actual_md5 AND e.image_id <> a.image_id "
    "LEFT JOIN temp.came AS c ON c.md5 = a.actual_md5 "
    "LEFT JOIN temp.kept AS o ON o.md5 = a.expected_md5 "
    "LEFT JOIN assets AS k ON k.asset_id = o.asset_id "
    "LEFT JOIN subsets AS ks ON ks.id = k.subset_id "
    "LEFT JOIN triage AS t ON t.asset_id = a.asset_id "
    f"WHERE a.state = {_MISMATCHED} AND a.asset_id > ? "
    "AND (? OR t.asset_id IS NULL OR t.md5 IS NOT a.actual_md5) ORDER BY a.asset_id LIMIT ?"
)


class TriageBook:
    """Over an opened manifest. Raises ``ManifestError`` or ``StoreError``."""

    def __init__(self, manifest: ManifestMaintainer) -> None:
        self._manifest = manifest

    def prepare(self) -> frozenset[str]:
        """Look up what other images say; the digests of the last run's placeholders."""
        with self._manifest.reading() as connection:
            for statement in _PREPARED:
                connection.execute(statement)
            settings = last_settings(connection)
        placeholders = settings.get("placeholders")
        digests = placeholders.get("digests") if isinstance(placeholders, dict) else None
        return frozenset(map(str, digests)) if isinstance(digests, list) else frozenset()

    def todo(self, *, again: bool) -> Iterator[tuple[Any, ...]]:
        """Rows with the columns of ``_TODO``; what is written meanwhile does not disturb it."""
        after = 0
        while True:
            with self._manifest.reading() as connection:
                rows = connection.execute(_TODO, (after, again, BATCH)).fetchall()
                require_inside(path for row in rows for path in (row[1], row[7]))
            if not rows:
                return
            yield from rows
            after = rows[-1][0]

    def write(self, found: Sequence[tuple[int, str | None, Finding]]) -> None:
        """Findings by asset and MD5."""
        now = int(self._manifest.wall())
        with self._manifest.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO triage (asset_id, md5, kind, detail, width, height, "
                "triaged_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (asset_id, md5, finding.kind.value, finding.detail, finding.width,
                     finding.height, now)
                    for asset_id, md5, finding in found
                ),
            )  # fmt: skip

    def counts(self) -> Counter[str]:
        """All mismatched images that were looked at as they are now, by kind."""
        with self._manifest.reading() as connection:
            return Counter(dict(_counted(connection)))


def _counted(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    yield from connection.execute(
        "SELECT t.kind, count(*) FROM triage AS t JOIN assets AS a ON a.asset_id = t.asset_id "
        f"WHERE a.state = {_MISMATCHED} AND t.md5 IS a.actual_md5 GROUP BY 1"
    )
