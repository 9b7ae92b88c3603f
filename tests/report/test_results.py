"""Results fit the terminal that they are shown on, and are not broken where there is none."""

from __future__ import annotations

import io
import os
import sys

import pytest
from rich.table import Table

from fetcher.report import results

MEANING = (
    "a sentence that is longer than eighty characters are, as the meaning of a code may be one day"
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


def printed(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "stdout", stream)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_row("12", "gone", MEANING)
    table.add_row("1", "denied", "short")
    results.console().print(table)
    return stream.getvalue().splitlines()


def test_in_a_log_a_line_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert printed(io.StringIO(), monkeypatch) == [f"12  gone    {MEANING}", "1   denied  short"]


def test_who_sets_columns_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = printed(io.StringIO(), monkeypatch)
    assert len(lines) > 2
    assert max(map(len, lines)) <= 60


def test_a_dumb_terminal_is_as_wide_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((50, 15)))
    assert 40 < max(map(len, printed(Terminal(), monkeypatch))) <= 50
