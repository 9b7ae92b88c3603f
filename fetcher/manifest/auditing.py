"""Audits in the manifest: what one asks for, and what it found.

An audit is drawn when all lists are read: every selected asset, or a sample, gets a row in
``audited``, and that table is the audit's queue and its result. An asset that no file is kept of is
put back to pending, so that what the audit finds becomes its state; of one that is stored only the
finding is written, as its row says what lies on disk.
"""

# ruff: noqa: S608  every statement is put together from constants, numbers, and names of ours

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from fetcher.errors import UsageError
from fetcher.manifest import tallies
from fetcher.manifest.bulk import Bulk, Value
from fetcher.manifest.leasing import Leased, Leases
from fetcher.manifest.ring import AssetRow, Queue
from fetcher.manifest.selecting import selected
from fetcher.manifest.settling import Settlement
from fetcher.manifest.states import PENDING, STATE_IDS, STATES
from fetcher.model import Method, Outcome, Selection, State, Tally
from fetcher.policy.sampling import SampleSize, StratumCount, allocate, draw

_INVALID: Final = STATE_IDS[State.INVALID]
_UNASKABLE: Final = "(SELECT id FROM codes WHERE name IN ('bad-url', 'bad-scheme'))"

_FINDINGS: Final = (
    "WITH v (asset_id, state, code, attempts, run_id, updated_at, http_status, actual_size, "
    "actual_md5, final_url) AS (VALUES {{rows}}) "
    "UPDATE audited SET state = v.state, code = v.code, attempts = v.attempts, run_id = v.run_id, "
    "updated_at = v.updated_at, http_status = v.http_status, actual_size = v.actual_size, "
    "actual_md5 = v.actual_md5, final_url = v.final_url "
    "FROM v WHERE audited.audit_id = {audit} AND audited.asset_id = v.asset_id"
)
_HOSTS: Final = (
    "WITH RECURSIVE h (id) AS ("
    "SELECT (SELECT min(host_id) FROM audited WHERE audit_id = {audit} AND state = {pending}) "
    "UNION ALL SELECT (SELECT min(host_id) FROM audited "
    "WHERE audit_id = {audit} AND state = {pending} AND host_id > h.id) "
    "FROM h WHERE h.id IS NOT NULL) "
    "SELECT hosts.name, h.id FROM h CROSS JOIN hosts ON hosts.id = h.id"
)
_ASSETS: Final = (
    "SELECT json_group_array(json_array(a.asset_id, a.image_id, s.name, a.url, h.name, "
    "a.expected_size, a.expected_md5, w.attempts, a.attempts_ever, a.code, w.host_id, "
    "a.subset_id, a.path IS NOT NULL)) "
    "FROM (VALUES {{rows}}) AS v CROSS JOIN audited AS w ON w.audit_id = {audit} "
    "AND w.asset_id IN (SELECT asset_id FROM audited INDEXED BY to_be_audited "
    "WHERE audit_id = {audit} AND state = {pending} AND host_id = v.column1 "
    "AND asset_id > v.column2 ORDER BY asset_id LIMIT ?) "
    "CROSS JOIN assets AS a ON a.asset_id = w.asset_id "
    "CROSS JOIN hosts AS h ON h.id = a.host_id CROSS JOIN subsets AS s ON s.id = a.subset_id"
)


class AuditTerms(Struct, frozen=True):
    """What an audit is to do. Two with the same terms, of the same selection, are the same."""

    method: Method
    sample: SampleSize | None = None
    seed: int = 0


class Audit(Struct, frozen=True):
    """One that has been drawn."""

    audit_id: int
    resumed: bool
    listed: int
    """Assets that it speaks of."""
    asked: int
    """Assets in the sample, or all of them."""
    strata: int

    @classmethod
    def begun(
        cls,
        connection: sqlite3.Connection,
        terms: AuditTerms,
        selection: Selection,
        group_of: Callable[[str], str],
        *,
        run_id: int,
        now: float,
    ) -> Audit:
        """The last audit of these terms if it has not ended, else a new one. Call it within a
        transaction. Raises ``UsageError`` if nothing is selected.
        """
        parameters = _parameters(terms, selection)
        found = connection.execute(
            "SELECT id, ended_at IS NULL FROM audits WHERE parameters = ? ORDER BY id DESC LIMIT 1",
            (parameters,),
        ).fetchone()
        resumed = found is not None and bool(found[1])
        if resumed:
            audit_id = found[0]
        else:
            (audit_id,) = connection.execute(
                "INSERT INTO audits (parameters, first_run, begun_at) VALUES (?, ?, ?) "
                "RETURNING id",
                (parameters, run_id, now),
            ).fetchone()
            _draw(connection, audit_id, terms, selection, group_of)
        connection.execute("UPDATE runs SET audit_id = ? WHERE id = ?", (audit_id, run_id))
        listed, asked, strata = connection.execute(
            "SELECT sum(listed), sum(asked), count(*) FROM strata WHERE audit_id = ?", (audit_id,)
        ).fetchone()
        return cls(audit_id, resumed, listed, asked, strata)

    def finish(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute(
            "UPDATE audits SET ended_at = ? WHERE id = ? AND ended_at IS NULL AND NOT EXISTS "
            f"(SELECT 1 FROM audited WHERE audit_id = ? AND state = {PENDING})",
            (now, self.audit_id, self.audit_id),
        )

    def queue(self) -> Queue:
        names = {"audit": self.audit_id, "pending": PENDING}
        return Queue(
            _HOSTS.format(**names), Bulk(_ASSETS.format(**names), width=2, back=list[AssetRow])
        )

    def tally(self, connection: sqlite3.Connection) -> Tally:
        """Of what is asked for; nothing is stored."""
        return tallies.counted(
            connection,
            connection.execute(
                "SELECT w.state, c.name, count(*), cast(total(a.expected_size) AS INTEGER), 0 "
                "FROM audited AS w CROSS JOIN assets AS a ON a.asset_id = w.asset_id "
                "LEFT JOIN codes AS c ON c.id = w.code WHERE w.audit_id = ? GROUP BY w.state, "
                "w.code",
                (self.audit_id,),
            ),
        )

    def counts(self, connection: sqlite3.Connection) -> list[StratumCount]:
        """What was found so far, by stratum."""
        found: dict[int, Counter[str]] = {}
        codes: dict[int, Counter[str]] = {}
        for stratum, state, code, n in connection.execute(
            "SELECT w.stratum, w.state, c.name, count(*) FROM audited AS w "
            "LEFT JOIN codes AS c ON c.id = w.code "
            f"WHERE w.audit_id = ? AND w.state <> {PENDING} GROUP BY 1, 2, 3",
            (self.audit_id,),
        ):
            found.setdefault(stratum, Counter())[STATES[state]] += n
            if code is not None:
                codes.setdefault(stratum, Counter())[code] += n
        return [
            StratumCount(listed, found.get(stratum, {}), codes.get(stratum, {}))
            for stratum, listed in connection.execute(
                "SELECT stratum, listed FROM strata WHERE audit_id = ? ORDER BY stratum",
                (self.audit_id,),
            )
        ]


class AuditSettlement(Settlement):
    """A batch of an audit's outcomes: findings, and states of what is not stored."""

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        leases: Leases,
        codes: dict[str, int],
        run_id: int,
        audit_id: int,
    ) -> None:
        self._findings: dict[int, tuple[Value, ...]] = {}
        self._into = _bulk(audit_id)
        super().__init__(outcomes, leases, codes, run_id)

    def write(self, connection: sqlite3.Connection) -> bool:
        self._into.write(connection, list(self._findings.values()))
        return super().write(connection)

    def _take(self, outcome: Outcome) -> None:
        super()._take(outcome)
        leased = self._now[outcome.asset_id]
        self._findings[outcome.asset_id] = _finding(outcome, leased, self._run_id)


@lru_cache(maxsize=1)
def _bulk(audit_id: int) -> Bulk:
    """A run has one audit, and the statement is long."""
    return Bulk(_FINDINGS.format(audit=audit_id), width=10)


def _finding(outcome: Outcome, leased: Leased, run_id: int) -> tuple[Value, ...]:
    asset, md5 = leased.asset, outcome.actual_md5
    return (
        outcome.asset_id,
        STATE_IDS[outcome.state],
        leased.code,
        leased.attempts,
        run_id,
        int(outcome.started_at + outcome.elapsed),
        outcome.http_status,
        outcome.actual_size,
        None if md5 == asset.expected.md5 else md5,
        None if outcome.final_url == asset.url else outcome.final_url,
    )


def _parameters(terms: AuditTerms, selection: Selection) -> str:
    ids = None
    if selection.ids is not None:
        digest = blake2b(digest_size=16)
        for image_id in sorted(selection.ids):
            digest.update(image_id.encode(errors="surrogatepass") + b"\0")
        ids = digest.hexdigest()
    sample = terms.sample
    said = {
        "method": terms.method.value,
        "sample": None if sample is None else (sample.count or sample.share),
        "seed": terms.seed if sample is not None else None,
        "subsets": sorted(selection.subsets) if selection.subsets is not None else None,
        "ids": ids,
    }
    return json.dumps(said, ensure_ascii=False)


def _draw(
    connection: sqlite3.Connection,
    audit_id: int,
    terms: AuditTerms,
    selection: Selection,
    group_of: Callable[[str], str],
) -> None:
    """Fill ``strata`` and ``audited``. What is sorted is sorted on disk, so memory does not grow
    with the list.
    """
    sample = terms.sample
    connection.create_function("audit_group", 1, group_of, deterministic=True)
    lot = "audit_lot(a.image_id)" if sample is not None else "0"
    connection.create_function(
        "audit_lot", 1, lambda image_id: draw(terms.seed, image_id), deterministic=True
    )
    for table in ("drawn", "host_groups", "parts"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
    connection.execute(
        "CREATE TEMP TABLE host_groups AS SELECT id AS host_id, audit_group(name) AS grp FROM hosts"
    )
    connection.execute("CREATE UNIQUE INDEX temp.group_of_host ON host_groups (host_id)")
    where = selected(connection, selection)
    connection.execute(
        f"CREATE TEMP TABLE drawn AS SELECT a.asset_id, a.subset_id, g.grp, {lot} AS lot "
        "FROM assets AS a CROSS JOIN host_groups AS g ON g.host_id = a.host_id "
        f"WHERE {where}"
    )
    strata: list[tuple[int | None, str | None, int]] = connection.execute(
        "SELECT subset_id, grp, count(*) FROM drawn GROUP BY subset_id, grp "
        "ORDER BY (SELECT name FROM subsets WHERE id = subset_id), grp"
    ).fetchall()
    listed = [n for *_, n in strata]
    population = sum(listed)
    if not population:
        raise UsageError(
            "There is nothing to audit: the lists have no rows.",
            hint="Look whether they are the right ones.",
        )
    total = sample.of(population) if sample is not None else population
    asked = allocate(listed, total)
    by_stratum = asked is not None
    if asked is None:
        strata, asked = [(None, None, population)], [total]
    connection.executemany(
        "INSERT INTO strata (audit_id, stratum, subset_id, host_group, listed, asked) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            (audit_id, number, subset, group, n, part)
            for number, ((subset, group, n), part) in enumerate(
                zip(strata, asked, strict=True), start=1
            )
        ),
    )
    connection.execute(
        "CREATE TEMP TABLE parts (subset_id, grp, stratum, asked, PRIMARY KEY (subset_id, grp))"
    )
    connection.execute(
        "INSERT INTO parts SELECT subset_id, host_group, stratum, asked FROM strata "
        "WHERE audit_id = ?",
        (audit_id,),
    )
    same = "t.subset_id = d.subset_id AND t.grp = d.grp AND " if by_stratum else ""
    connection.execute(
        "INSERT INTO audited (audit_id, asset_id, stratum, host_id, state, code) "
        "SELECT ?, a.asset_id, t.stratum, a.host_id, "
        f"iif(a.state = {_INVALID} AND a.path IS NULL AND a.code IN {_UNASKABLE}, "
        f"{_INVALID}, {PENDING}) AS state, "
        f"iif(a.state = {_INVALID} AND a.path IS NULL AND a.code IN {_UNASKABLE}, a.code, 0) "
        "FROM (SELECT asset_id, subset_id, grp, row_number() OVER "
        f"({'PARTITION BY subset_id, grp ' if by_stratum else ''}ORDER BY lot, asset_id) AS place "
        "FROM drawn) AS d "
        f"JOIN parts AS t ON {same}d.place <= t.asked "
        "CROSS JOIN assets AS a ON a.asset_id = d.asset_id ORDER BY a.asset_id",
        (audit_id,),
    )
    for table in ("drawn", "host_groups", "parts"):
        connection.execute(f"DROP TABLE temp.{table}")
