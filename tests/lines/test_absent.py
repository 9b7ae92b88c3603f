"""Without the extensions lists are read all the same: row by row."""

from __future__ import annotations

import sys
from importlib import reload
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import fetcher.lines
import fetcher.manifest
from fetcher.aside import life
from fetcher.cli.commands import cli
from fetcher.model import Row, Selection
from fetcher.source import ColumnNames, open_list
from fetcher.source.aside import ListRead, Opened, Rows, TableRead, read_aside
from tests.source.samples import V1_V5, csv_text, write


class Link:
    """Has no table read before."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def send(self, message: Any) -> None:
        self.told.append(message)

    def receive(self) -> int:
        return 0


def test_lists_without_what_cuts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv", csv_text(V1_V5))

    def rows() -> list[Any]:
        (table,) = open_list(path, ColumnNames(), Selection()).tables()
        return list(table.rows())

    expected = rows()
    assert expected
    assert all(isinstance(row, Row) for row in expected)
    with monkeypatch.context() as patch:
        patch.delattr(fetcher.lines, "_lines", raising=False)
        patch.setitem(sys.modules, "fetcher.lines._lines", None)  # so it cannot be imported
        reload(fetcher.lines)
        (table,) = open_list(path, ColumnNames(), Selection()).tables()
        assert list(table.parts()) == expected
        assert CliRunner().invoke(cli, ["--version"]).output.endswith("\nlists row by row\n")
    reload(fetcher.lines)
    assert rows() == expected


def test_rows_without_what_stages_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fetcher.manifest, "_pages", raising=False)
    monkeypatch.setitem(sys.modules, "fetcher.manifest._pages", None)
    monkeypatch.delitem(sys.modules, "fetcher.manifest.staging", raising=False)
    stager = life.stager()
    assert stager is None
    link = Link()
    path = write(tmp_path / "a.csv", csv_text(V1_V5) * 2)
    read_aside(open_list(path, ColumnNames(), Selection()), stager, link)
    assert [type(message) for message in link.told] == [Opened, Rows, TableRead, ListRead]
