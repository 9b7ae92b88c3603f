"""What a process that reads a list tells at once is bounded, in rows and in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fetcher import lines
from fetcher.lines import Part
from fetcher.model import Selection
from fetcher.ports import StagedRows
from fetcher.source import ColumnNames, open_list
from fetcher.source.aside import FIRST, STAGED, STAGED_BYTES, Rows, read_aside
from tests.source.samples import write

BLOCK = 1 << 17
"""Bytes of an ordinary block, at most."""
pytestmark = pytest.mark.skipif(lines.cut is None, reason="the extensions are not built here")


class Told:
    """A link to nobody, and the stager at its end."""

    def __init__(self) -> None:
        self.staged: list[tuple[int, int]] = []
        """Lines and bytes of each batch."""
        self.rows = 0

    def send(self, message: Any) -> None:
        if isinstance(message, Rows):
            self.rows += len(message.rows)

    def receive(self) -> int:
        return 0

    def stage(self, line: int, parts: Sequence[Part]) -> StagedRows:
        count = sum(text.count(b"\n") for text, _ in parts)
        self.staged.append((count, sum(len(text) for text, _ in parts)))
        return StagedRows(line, count, b"")

    def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize(("count", "length"), [(12_000, 300), (600, 60_000)])
def test_batches(tmp_path: Path, count: int, length: int) -> None:
    title = "x" * length
    text = "".join(f"{n:016x},https://a.test/{n},{title}\n" for n in range(count))
    image_list = open_list(
        write(tmp_path / "a.csv", f"ImageID,URL,Title\n{text}"), ColumnNames(), Selection()
    )
    told = Told()
    read_aside(image_list, lambda *_: told, told)
    assert told.rows >= FIRST
    assert told.rows + sum(rows for rows, _ in told.staged) == count
    assert max(size for _, size in told.staged) < STAGED_BYTES + BLOCK
    assert max(rows for rows, _ in told.staged) < STAGED + BLOCK // length
    assert len(told.staged) > 1
