"""The journal has every request, before anybody can know of its answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fetcher.demo.journal import Journal, Request, read_journal
from fetcher.demo.steps import HANG_UP, status
from fetcher.demo.web import Web
from tests.demo.rawclient import ask


def request(number: int, path: str = "/a") -> Request:
    return Request(number, 1.5, 2.5, "127.0.0.1:9", "http", "h", "GET", path, {"range": "é\n"})


async def test_the_file_tells_of_every_request_before_it_is_answered(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    async with Web(journal=file) as web:
        web.serve("/a", status(404), HANG_UP)
        for _ in range(3):
            await ask(web, "/a", "Range: bytes=3-")
        told = read_journal(file)
        assert [(r.number, r.path, r.headers["range"]) for r in told] == [
            (number, "/a", "bytes=3-") for number in (1, 2, 3)
        ]
        assert [(r.at, r.wall, r.client) for r in told] == [
            (r.at, r.wall, r.client) for r in web.requests
        ]
    async with Web(journal=file) as web:
        await ask(web, "/b")
    assert [r.path for r in read_journal(file)] == ["/a", "/a", "/a", "/b"]


def test_a_request_survives_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.open()
    journal.arrived(request(1))
    journal.close()
    assert read_journal(tmp_path / "j") == [request(1)]


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "j"
    file.write_text('{"number": 1')
    assert read_journal(file) == []


def test_several_writers_share_a_file(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / "j") for _ in range(2)]
    for journal in journals:
        journal.open()
    for number in range(10):
        journals[number % 2].arrived(request(number, f"/{number}"))
    for journal in journals:
        journal.close()
    assert [r.number for r in read_journal(tmp_path / "j")] == list(range(10))


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(tmp_path / "no" / "j").open()


def test_what_is_forgotten_is_still_counted() -> None:
    journal = Journal(remember=0)
    journal.arrived(request(1))
    journal.answering(request(1), HANG_UP)
    journal.ended(request(1), at=3.0, completed=True)
    assert journal.requests == []
    assert journal.count() == journal.count("/a") == 1


def test_a_line_is_json(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.open()
    journal.arrived(request(7))
    journal.close()
    line = json.loads((tmp_path / "j").read_text())
    assert (line["number"], line["method"], line["host"]) == (7, "GET", "h")
