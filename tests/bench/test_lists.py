"""The long list, the slow server and the watch: what they claim of themselves."""

from __future__ import annotations

import csv
import os
import socket
import tarfile
import time
from base64 import b64decode
from collections import Counter
from contextlib import closing
from pathlib import Path
from statistics import mean

import pytest

from fetcher.model import Row, Selection
from fetcher.source import ColumnNames, open_list
from scripts.benchmarks import longlist
from scripts.benchmarks.corpus import Image
from scripts.benchmarks.hosts import sustained
from scripts.benchmarks.longlist import LongList, obtain
from scripts.benchmarks.measure import Failure, Surroundings
from scripts.benchmarks.slow import slow_web
from scripts.benchmarks.slowweb import MARK, Journal, Options
from scripts.benchmarks.watching import Observed, watch

ROWS = 3_000
IMAGE = Image("0" * 16, 2_000_000, bytes(range(16)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LongList:
    return obtain(ROWS, tmp_path_factory.mktemp("lists"), lambda _: None)


# The list.


def test_the_archive_is_a_list_of_as_many_rows_and_all_are_good(made: LongList) -> None:
    names = ColumnNames(id=None, subset=None, url=None, size=None, md5=None)
    tables = open_list(made.archive, names, Selection(), check_bytes=0).tables()
    rows = [row for table in tables for row in table.rows()]
    good = [row for row in rows if isinstance(row, Row)]
    assert len(good) == len(rows) == len({row.image_id for row in good}) == ROWS
    assert Counter(row.subset for row in good) == longlist.members(ROWS)
    known = {(row.expected.size, b64decode(row.expected.md5 or "")) for row in good}
    assert known == {(made.image.size, made.image.md5)}  # it is shorter than KNOWN


def test_the_archive_has_what_lies_beside_it(made: LongList) -> None:
    with tarfile.open(made.archive) as archive:
        for path in made.members:
            member = archive.extractfile(str(path.relative_to(made.directory)))
            assert member is not None
            assert member.read() == path.read_bytes()
    assert made.bytes == sum(path.stat().st_size for path in made.members)
    cells = 0
    for path in made.members:
        with path.open(newline="", encoding="utf-8") as file:
            next(rows := csv.reader(file))
            cells += sum(len(cell.encode()) for row in rows for cell in row)
    assert made.cells == cells


def test_the_same_list_is_made_once_and_is_always_the_same(made: LongList, tmp_path: Path) -> None:
    said: list[str] = []
    assert obtain(ROWS, made.directory.parent.parent, said.append) == made
    assert said == []
    again = obtain(ROWS, tmp_path, said.append)
    assert len(said) == 1
    assert again.archive.read_bytes() == made.archive.read_bytes()
    assert again.image_file.read_bytes() == made.image_file.read_bytes()


def test_rows_have_the_statistics_of_real_ones() -> None:
    """Means of bytes, and how many of 3,000 rows differ, as the sample of real rows has them."""
    batches = longlist.lines("train", 9_011_219, IMAGE, 0)
    rows: list[dict[str, str]] = []
    while len(rows) < ROWS:
        rows += csv.DictReader(next(batches), longlist.COLUMNS)
    rows = rows[:ROWS]
    real = {
        "ImageID": (16, 3_000),
        "OriginalURL": (62.4 - len("s"), 3_000),
        "OriginalLandingURL": (51.4, 3_000),
        "AuthorProfileURL": (41.1, 2_496),
        "Author": (13.6, 2_485),
        "Title": (23.8, 2_932),
        "OriginalSize": (6.46, 2_999),
        "OriginalMD5": (24, 3_000),
        "Thumbnail300KURL": (60.6, 2_913),
    }
    for column, (length, different) in real.items():
        assert mean(len(row[column].encode()) for row in rows) == pytest.approx(length, rel=0.07)
        assert len({row[column] for row in rows}) == pytest.approx(different, rel=0.04)
    assert mean(float(row["OriginalSize"]) for row in rows) == pytest.approx(2_048_504, rel=0.1)
    hosts = Counter(row["OriginalURL"].split("/")[2] for row in rows)
    assert set(hosts) == set(longlist.HOSTS)
    assert min(hosts.values()) > 0.04 * ROWS
    assert [row["ImageID"] for row in rows] == sorted(row["ImageID"] for row in rows)


# The slow server.


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_slow_web_answers_each_after_its_time_and_counts(tmp_path: Path, pieces: int) -> None:
    (tmp_path / "one.jpg").write_bytes(bytes(range(256)))
    options = Options(latency=0.05, directory=str(tmp_path), pieces=pieces, pause=0.001, spread=0.5)
    with slow_web(options) as web, closing(socket.create_connection(("127.0.0.1", web.port))) as me:
        me.settimeout(30)
        begun = time.monotonic()
        me.sendall(b"GET /robots.txt HTTP/1.1\r\n\r\nGET /a/one.jpg HTTP/1.1\r\n\r\n")
        answer = b""
        while not answer.endswith(bytes(range(256))):
            answer += me.recv(65_536)
        assert time.monotonic() - begun >= options.latency
        journal = web.end()
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 256\r\n\r\n" in answer
    counted = (journal.robots, journal.images, journal.answered, journal.in_flight)
    assert counted == (1, 1, 1, 0)
    assert journal.most_in_flight == 1
    assert begun <= (journal.first or 0) <= (journal.first_image or 0) <= time.monotonic()


def test_a_mute_web_takes_requests_and_answers_none() -> None:
    with (
        slow_web(Options(latency=0, mute=True)) as web,
        closing(socket.create_connection(("127.0.0.1", web.port))) as me,
    ):
        me.sendall(b"GET /a.jpg HTTP/1.1\r\n\r\n")
        while not web.journal.images:
            time.sleep(0.01)
        me.settimeout(0.05)
        with pytest.raises(TimeoutError):
            me.recv(1)
        assert web.end().answered == 0


@pytest.mark.parametrize(
    ("marks", "rate"),
    [([], None), ([1.0], None), ([0, 9.0, 10.0, 11.0, 12.0, 20.0], MARK * 3 / 3)],
)
def test_a_sustained_rate_is_that_of_the_middle(marks: list[float], rate: float | None) -> None:
    assert sustained(Journal(marks=marks)) == rate


# The watch.


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings({"PATH": os.environ["PATH"]}, tmp_path / "log", limit=60)


def test_what_a_run_says_is_seen_and_it_is_told_to_stop(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    script = "trap 'echo bye >&2; exit 3' TERM; echo one >&2; while :; do sleep 0.01; done"
    found = watch(
        ("sh", "-c", script),
        tmp_path,
        surroundings,
        lambda lines: [x.text for x in lines] == ["one"],
    )
    assert isinstance(found, Observed)
    assert [line.text for line in found.lines] == ["one", "bye"]
    one, bye = found.said("one"), found.said("bye")
    assert one is not None
    assert bye is not None
    assert 0 < one <= bye <= found.usage.wall
    assert found.said("two") is None
    assert found.usage.peak == 0


@pytest.mark.parametrize(
    ("script", "reason"),
    [("echo why >&2; exit 4", "exit code 4\nwhy"), ("kill -9 $$", "exit code -9\n")],
)
def test_a_run_that_fails_says_why(
    surroundings: Surroundings, tmp_path: Path, script: str, reason: str
) -> None:
    found = watch(("sh", "-c", script), tmp_path, surroundings, lambda _: False)
    assert found == Failure(reason)


def test_a_run_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    surroundings = Surroundings({"PATH": os.environ["PATH"]}, tmp_path / "log", limit=0.05)
    found = watch(("sleep", "60"), tmp_path, surroundings, lambda _: False)
    assert found == Failure("not done within 0.05 s\n")
