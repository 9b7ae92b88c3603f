"""Proof: the intervals of sampled audits cover the truth as often as they say.

Real rows are imported, a rot of known shares is dealt out to them, and for each seed a sample is
drawn by the manifest itself, as an audit does. Nothing is asked of any host: what an audit would
find is known. Of each share that a report tells it is counted how many intervals have the true one.

Beyond the first ``BY_MANIFEST`` seeds the sample is drawn in memory, by the same policy, which is
some fifty times as fast; of those first ones it is the same sample, or the proof does not hold.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fetcher.config import registrable_domain
from fetcher.manifest import AuditTerms
from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo
from fetcher.model import HostBudget, Method, Selection
from fetcher.policy.hosts import HostGroups
from fetcher.policy.sampling import SampleSize, StratumCount, allocate, draw, rate
from fetcher.source import ColumnNames, open_list

ROT: Final = {
    "placeholder": 0.09,
    "http-404": 0.04,
    "http-410": 0.01,
    "http-403": 0.01,
    "size-mismatch": 0.02,
    "not-an-image": 0.005,
}
SHARE: Final = 0.1
LEAST: Final = 0.93
"""Share of the intervals of 95 % that must cover: a hundred of them are not exactly 95."""
RATES: Final = {
    "present": frozenset({"present"}),
    "gone": frozenset({"placeholder", "http-404", "http-410"}),
    "altered": frozenset({"size-mismatch", "not-an-image"}),
    "denied": frozenset({"http-403"}),
} | {code: frozenset({code}) for code in ROT}
"""What a report has an interval for."""
BY_MANIFEST: Final = 100


@dataclass(frozen=True, slots=True)
class Covered:
    seeds: int
    rows: int
    by_rate: dict[str, int]
    alike: bool
    """The manifest drew what policy draws."""

    @property
    def holds(self) -> bool:
        return self.alike and min(self.by_rate.values()) >= LEAST * self.seeds


def prove(place: Path, image_list: Path, *, seeds: int, first: int = 0) -> Covered:
    groups = HostGroups(HostBudget(None, 1, 1), [], registrable_domain=registrable_domain)
    database = Database.open(
        place / "manifest.sqlite", command="prove audit", group_of=groups.group_of
    )
    try:
        database.begin_run(RunInfo("prove audit", "0"))
        ids = _imported(database, image_list)
        fates = _dealt(ids)
        strata = _strata(database, groups)
        dealt = Counter(fates.values())
        covered = Counter(dict.fromkeys(RATES, 0))
        alike = True
        for n, seed in enumerate(range(first, first + seeds)):
            drawn = _drawn(strata, seed)
            if n < BY_MANIFEST:
                database.begin_audit(AuditTerms(Method.HEAD, SampleSize(share=SHARE), seed))
                alike &= _asked(database) == {image_id for ids in drawn for image_id in ids}
            found = [
                StratumCount(len(ids), Counter(fates[image_id] for image_id in sample))
                for ids, sample in zip(strata, drawn, strict=True)
            ]
            for name, kinds in RATES.items():
                told, truth = rate(found, kinds), sum(dealt[kind] for kind in kinds) / len(ids)
                covered[name] += told is not None and told.low <= truth <= told.high
        database.end_run(0)
    finally:
        database.close()
    return Covered(seeds, len(ids), dict(covered), alike)


def _imported(database: Database, image_list: Path) -> list[str]:
    opened = open_list(image_list, ColumnNames(), Selection())
    for table in opened.tables():
        cursor = database.begin_source(table.info, opened.fingerprint)
        rows = list(table.rows(0))
        database.import_rows(cursor.source_id, rows, rows[-1].line)
        database.finish_source(cursor.source_id)
    database.finish_import()
    found = database._connection.execute(  # noqa: SLF001  as anyone may read it
        "SELECT image_id FROM images ORDER BY image_id"
    )
    return [image_id for (image_id,) in found]


def _dealt(ids: list[str]) -> dict[str, str]:
    kinds = [kind for kind, share in ROT.items() for _ in range(round(share * len(ids)))]
    kinds += ["present"] * (len(ids) - len(kinds))
    random.Random(17).shuffle(kinds)  # noqa: S311  decides no secrets
    return dict(zip(ids, kinds, strict=True))


def _strata(database: Database, groups: HostGroups) -> list[list[str]]:
    """Ids by subset and host group."""
    strata: dict[tuple[str, str], list[str]] = {}
    connection = database._connection  # noqa: SLF001  likewise
    for image_id, subset, host in connection.execute(
        "SELECT a.image_id, s.name, h.name FROM assets AS a "
        "JOIN subsets AS s ON s.id = a.subset_id JOIN hosts AS h ON h.id = a.host_id"
    ):
        strata.setdefault((subset, groups.group_of(host)), []).append(image_id)
    return [strata[key] for key in sorted(strata)]


def _drawn(strata: list[list[str]], seed: int) -> list[list[str]]:
    """A sample of each."""
    listed = [len(ids) for ids in strata]
    asked = allocate(listed, SampleSize(share=SHARE).of(sum(listed)))
    if asked is None:
        raise RuntimeError("the list is too short for its strata")
    return [
        sorted(ids, key=lambda image_id: draw(seed, image_id))[:n]
        for ids, n in zip(strata, asked, strict=True)
    ]


def _asked(database: Database) -> set[str]:
    """What the last audit that was drawn would ask for."""
    connection = database._connection  # noqa: SLF001  likewise
    return {
        image_id
        for (image_id,) in connection.execute(
            "SELECT a.image_id FROM audited AS w JOIN assets AS a USING (asset_id) "
            "WHERE w.audit_id = (SELECT max(id) FROM audits)"
        )
    }
