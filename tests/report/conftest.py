"""A manifest that has seen two runs, read once for all tests of what is made of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from fetcher.config import registrable_domain
from fetcher.evidence import Table
from fetcher.manifest import Grouping, ManifestReader
from scripts.proofs import manifests

COUNT = 3_000
SETTLED = 2_900
AGAIN = 3
SECOND_RUN = 3
"""The second that asks for images; the run in between only opens them again."""

GROUPING = Grouping(
    lambda host: "photos" if host.endswith(".photos.example") else registrable_domain(host) or host,
    {"photos": ("*.photos.example",)},
    registrable_domain,
)


@dataclass(frozen=True, slots=True)
class Made:
    path: Path
    by: bytearray
    """Which runs settled each row (``manifests.make``)."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    path = tmp_path_factory.mktemp("report") / "manifest.sqlite"
    by = manifests.make(path, COUNT, settled=SETTLED / COUNT, again=AGAIN)
    audited(path, [n + 1 for n, runs in enumerate(by) if runs == 1])
    return Made(path, by)


def audited(path: Path, asset_ids: list[int]) -> None:
    """An audit in the first run, of a tenth of these assets, that found them as they are."""
    parameters = '{"method": "head", "sample": 0.1, "seed": 0}'
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO audits VALUES (1, ?, 1, ?, ?)", (parameters, 0.0, 60.0))
        connection.executemany(
            "INSERT INTO audited (audit_id, asset_id, stratum, host_id, state, code, run_id) "
            "SELECT 1, asset_id, subset_id, host_id, state, code, 1 FROM assets "
            "WHERE asset_id = ?",
            ((asset_id,) for asset_id in asset_ids[::10]),
        )
        connection.execute(
            "INSERT INTO strata SELECT 1, w.stratum, w.stratum, 'all', "
            "(SELECT count(*) FROM assets WHERE subset_id = w.stratum), count(*) "
            "FROM audited AS w GROUP BY w.stratum"
        )


@pytest.fixture(scope="session")
def manifest(made: Made) -> Path:
    return made.path


@pytest.fixture(scope="session")
def tables(manifest: Path) -> list[Table]:
    with ManifestReader(manifest) as reader:
        return reader.figures(GROUPING, SECOND_RUN)


@pytest.fixture(scope="session")
def figures(tables: list[Table]) -> dict[str, Table]:
    return {table.name: table for table in tables}


@pytest.fixture
def plain(manifest: Path) -> Iterator[sqlite3.Connection]:
    """The manifest as anyone opens it, without anything of ours."""
    with closing(sqlite3.connect(f"file:{manifest}?mode=ro", uri=True)) as connection:
        yield connection
