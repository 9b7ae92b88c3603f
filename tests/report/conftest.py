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
    return Made(path, manifests.make(path, COUNT, settled=SETTLED / COUNT, again=AGAIN))


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
