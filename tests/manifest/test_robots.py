"""The manifest's memory of robots.txt, and the fake's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fetcher.manifest import ManifestThread
from fetcher.ports import RobotsBook
from tests.conformance.robots_suite import A, RobotsBookSuite, note
from tests.fakes.robots import MemoryRobotsBook


def thread(path: Path) -> ManifestThread:
    return ManifestThread(path, command="test", group_of=lambda host: host)


class TestSqlite(RobotsBookSuite):
    @pytest.fixture
    async def book(self, tmp_path: Path) -> AsyncIterator[RobotsBook]:
        async with thread(tmp_path / "manifest.sqlite") as manifest:
            yield manifest


class TestMemory(RobotsBookSuite):
    @pytest.fixture
    async def book(self) -> RobotsBook:
        return MemoryRobotsBook()


async def test_the_next_run_recalls_it(tmp_path: Path) -> None:
    async with thread(tmp_path / "manifest.sqlite") as manifest:
        await manifest.remember([note(A, rules="1 Disallow: /x")])
    async with thread(tmp_path / "manifest.sqlite") as manifest:
        assert await manifest.recall([A], "us") == {A: note(A, rules="1 Disallow: /x")}
