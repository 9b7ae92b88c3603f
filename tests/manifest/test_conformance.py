"""The port's contract, for the manifest and for the fake that stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fetcher.manifest import ManifestThread, RunInfo
from fetcher.model import Row, SourceInfo
from fetcher.ports import Manifest
from tests.conformance.manifest_suite import ManifestSuite, Opened, group_of
from tests.fakes.manifest import MemoryManifest


class TestSqlite(ManifestSuite):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Opened:
        @asynccontextmanager
        async def opened(rows: Sequence[Row]) -> AsyncIterator[Manifest]:
            path = tmp_path / "manifest.sqlite"
            async with ManifestThread(path, command="test", group_of=group_of) as manifest:
                await manifest.begin_run(RunInfo("test", "0"))
                cursor = await manifest.begin_source(SourceInfo("/list.csv", None, ()), "1")
                if rows:
                    await manifest.import_rows(cursor.source_id, rows, rows[-1].line)
                await manifest.finish_source(cursor.source_id)
                yield manifest

        return opened


class TestMemory(ManifestSuite):
    @pytest.fixture
    def opened(self) -> Opened:
        @asynccontextmanager
        async def opened(rows: Sequence[Row]) -> AsyncIterator[Manifest]:
            yield MemoryManifest(rows, group_of=group_of)

        return opened
