"""What the harness claims of itself: the corpus, the delivery check, the race, the measuring."""

from __future__ import annotations

import csv
import hashlib
import os
import select
import sqlite3
import sys
from base64 import b64decode
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.sniff import sniff
from scripts.benchmarks import corpus, inputs
from scripts.benchmarks.delivery import missing, unverified, unwritten
from scripts.benchmarks.measure import Failure, Surroundings, Usage, measure
from scripts.benchmarks.race import Spread, race
from scripts.benchmarks.web import Web

SPEC = corpus.Spec("some", (5_000, corpus.SMALLEST, 300, 300))


@pytest.fixture
def made(tmp_path: Path) -> corpus.Corpus:
    return corpus.write(SPEC, tmp_path / "images")


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings({"PATH": os.environ["PATH"]}, tmp_path / "log", limit=60)


# The corpus.


def test_images_are_what_the_corpus_says(made: corpus.Corpus) -> None:
    for image in made.images:
        data = (made.directory / image.file_name).read_bytes()
        assert len(data) == image.size
        assert hashlib.md5(data, usedforsecurity=False).digest() == image.md5
        assert sniff(data) == "image/jpeg"
    assert [image.size for image in made.images] == list(SPEC.sizes)
    assert len({image.md5 for image in made.images}) == len(SPEC.sizes)


def test_a_corpus_is_the_same_every_time(made: corpus.Corpus, tmp_path: Path) -> None:
    assert corpus.write(SPEC, tmp_path / "again").images == made.images


def test_the_mix_has_the_sizes_of_open_images() -> None:
    sizes = sorted(corpus.parse("mix").sizes)
    published = {0.05: 74_000, 0.5: 1_144_942, 0.95: 6_900_000}
    for share, size in published.items():
        assert sizes[round(share * len(sizes))] == pytest.approx(size, rel=0.02)
    assert sum(sizes) / len(sizes) == pytest.approx(2_048_504, rel=0.02)
    assert 14_000_000 < sizes[-1] < 15_000_000


@given(st.floats(0, 1), st.floats(0, 1))
def test_sizes_grow_with_their_share(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert corpus.open_images_size(low) <= corpus.open_images_size(high)


@pytest.mark.parametrize("text", ["", "3m", "0x500", "10x0", f"10x{corpus.SMALLEST - 1}", "1x-500"])
def test_what_is_no_corpus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no corpus"):
        corpus.parse(text)


def test_the_list_says_the_truth_about_the_images(made: corpus.Corpus) -> None:
    rows = list(csv.DictReader(inputs.open_images_v3(inputs.listing(made, Web(8_080)))))
    assert [
        (row["ImageID"], int(row["OriginalSize"]), b64decode(row["OriginalMD5"])) for row in rows
    ] == list(made.images)
    assert rows[1]["OriginalURL"] == f"http://127.0.0.2:8080/{made.images[1].file_name}"


# The delivery check.


def test_a_whole_delivery_is_right_wherever_it_lies(made: corpus.Corpus, tmp_path: Path) -> None:
    for number, image in enumerate(made.images):
        (tmp_path / "out" / f"{number}").mkdir(parents=True)
        (made.directory / image.file_name).rename(tmp_path / "out" / f"{number}" / "any.jpg")
    assert missing(tmp_path / "out", made.images) is None


def test_a_lost_a_changed_and_a_foreign_image_are_noticed(made: corpus.Corpus) -> None:
    first, second = (made.directory / image.file_name for image in made.images[:2])
    content = first.read_bytes()
    first.unlink()
    assert missing(made.directory, made.images) == (
        "1 of 4 images missing, 0 files that are none of them"
    )
    first.write_bytes(content[:-1] + b"?")
    assert missing(made.directory, made.images) == (
        "1 of 4 images missing, 1 files that are none of them"
    )
    first.write_bytes(content)
    (made.directory / "twice.jpg").write_bytes(second.read_bytes())
    assert missing(made.directory, made.images) == (
        "0 of 4 images missing, 1 files that are none of them"
    )


def test_only_as_many_files_of_the_right_size_are_all_that_was_written(
    made: corpus.Corpus,
) -> None:
    assert unwritten(made.directory, made.images) is None
    next(made.directory.iterdir()).write_bytes(b"short")
    assert unwritten(made.directory, made.images) == "1 files of no image's size"


@pytest.mark.parametrize(
    ("states", "wrong"),
    [
        (["verified"] * 4, None),
        (["verified"] * 3, "the manifest says {'verified': 3}"),
        (["verified"] * 5, "the manifest says {'verified': 5}"),
        (["verified"] * 3 + ["failed"], "the manifest says {'failed': 1, 'verified': 3}"),
    ],
)
def test_the_manifest_must_call_all_verified(
    made: corpus.Corpus, tmp_path: Path, states: list[str], wrong: str | None
) -> None:
    path = tmp_path / "manifest.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE images (state TEXT)")
        database.executemany("INSERT INTO images VALUES (?)", [(state,) for state in states])
    assert unverified(path, made.images) == wrong


# The race.


def test_they_run_in_turn_and_who_fails_is_out() -> None:
    order: list[str] = []

    def attempt(name: str, memory: bool) -> Usage | Failure:  # noqa: FBT001  as race calls it
        order.append(name.upper() if memory else name)
        failed = name == "b" and len(order) > 4
        return Failure("tired") if failed else Usage(float(len(order)), 1.0, len(order))

    standings = race("abc", attempt, rounds=2, warm_up=1, say=lambda _: None)
    assert "".join(order) == "ABCabcac"
    assert [(one.name, len(one.usages), one.failure, one.peaks) for one in standings] == [
        ("a", 2, None, (1,)),
        ("b", 0, Failure("tired"), ()),
        ("c", 2, None, (3,)),
    ]


def test_ratios_are_taken_within_a_round() -> None:
    """The ratios are 3, 1 and 4; the ratio of the medians would be 4."""
    walls = {"a": iter([1.0, 10.0, 2.0]), "b": iter([3.0, 10.0, 8.0]), "c": iter([9.0])}

    def attempt(name: str, _: bool) -> Usage | Failure:  # noqa: FBT001  as race calls it
        wall = next(walls[name], None)
        return Failure("gone") if wall is None else Usage(wall, 1.0, 1)

    a, b, c = race("abc", attempt, rounds=3, warm_up=0, say=lambda _: None)
    assert b.against(a, lambda usage: usage.wall) == Spread(3, 1, 4)
    assert c.against(a, lambda usage: usage.wall) is None
    assert a.against(c, lambda usage: usage.wall) is None


# The measuring.


def test_a_command_is_measured_with_its_descendants(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    busy = f"{sys.executable} -Sc 'sum(range(3_000_000))'"
    usage = measure(("sh", "-c", f"{busy}; true"), tmp_path, surroundings)
    assert isinstance(usage, Usage)
    assert usage.cpu > 0.01
    assert usage.peak == 0


def test_memory_is_that_of_all_processes_at_once(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    """Two that hold 40 MB each, one after the other, and then at once."""
    hold = f"{sys.executable} -Sc \"x = b'x' * 40_000_000; input()\""
    pipe = f"(sleep 0.5; echo) | {hold}"
    for script, least, most in (
        (f"{pipe}; {pipe}", 40_000_000, 79_000_000),
        (f"{pipe} & {pipe} & wait", 80_000_000, 119_000_000),
    ):
        usage = measure(("sh", "-c", script), tmp_path, surroundings, memory=True)
        assert isinstance(usage, Usage)
        assert least < usage.peak < most


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("sh", "-c", "echo what was said; echo and how >&2; exit 7"), "exit code 7"),
        (("sh", "-c", "kill -9 $$"), "exit code -9"),
        (("/no/such/program",), "did not start"),
    ],
)
def test_a_failure_says_why(
    surroundings: Surroundings, tmp_path: Path, command: tuple[str, ...], reason: str
) -> None:
    result = measure(command, tmp_path, surroundings)
    assert isinstance(result, Failure)
    assert reason in result.reason
    if reason == "exit code 7":
        assert "what was said\nand how" in result.reason


def test_nothing_that_a_command_starts_outlives_it(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        command = ("sh", "-c", "exec 3>alive; echo . >&3; sleep 60 &")
        assert isinstance(measure(command, tmp_path, surroundings), Usage)
        assert os.read(alive, 2) == b".\n"
        assert select.select([alive], [], [], 10)[0], "the sleeper still holds the pipe"
        assert os.read(alive, 1) == b""
    finally:
        os.close(alive)


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    surroundings = Surroundings({"PATH": os.environ["PATH"]}, tmp_path / "log", limit=0.05)
    assert measure(("sleep", "60"), tmp_path, surroundings) == Failure("not done within 0.05 s")
