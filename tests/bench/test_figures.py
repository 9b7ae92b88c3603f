"""The figures: which results they are made of, and when they are reached."""

from __future__ import annotations

import pytest

from scripts.benchmarks.contenders import FETCHER, FLOOR, SHARDS, TIMED
from scripts.benchmarks.figures import Figure, figures, told
from scripts.benchmarks.hosts import HostsResult
from scripts.benchmarks.imports import ImportResult, Sizes
from scripts.benchmarks.measure import Failure, Usage
from scripts.benchmarks.memory import Held, MemoryResult
from scripts.benchmarks.race import Spread, Standing
from scripts.benchmarks.results import Results
from scripts.benchmarks.speeds import SpeedResult

MIB = 1024**2


def speed(corpus: str, *, in_memory: bool, **walls: float) -> SpeedResult:
    """fetcher takes 2 s, and 3 s of CPU; each part of the floor takes 0.75 s of CPU."""
    names = {
        "aria": "aria2c with checksums",
        "curl": "curl -Z, md5sum -c",
        "wget": "wget2, md5sum -c",
        "img": "img2dataset, md5",
        "shards": SHARDS.name,
    }
    standings = [
        Standing(FETCHER.name, (Usage(2, 3),)),
        Standing(TIMED.name, (Usage(2, 4, manifest=0.5),)),
        *(Standing(one.name, (Usage(1, 0.75),)) for one in FLOOR),
        *(Standing(names[name], (Usage(wall, 1),)) for name, wall in walls.items()),
    ]
    return SpeedResult(corpus, 1, 1, in_memory, tuple(standings))


def everything() -> Results:
    return Results(
        speeds=[
            speed("20k", in_memory=False, shards=0.5),
            speed("20k", in_memory=True, aria=8, img=10, wget=4),
            speed("2m", in_memory=True, aria=4, curl=5),
        ],
        hosts=[
            HostsResult(
                *(100, 0.1, 1_000, 1, (Standing(FETCHER.name, (Usage(2, 1),)),)),
                {FETCHER.name: (950.0,)},
                {FETCHER.name: 100},
                {FETCHER.name: 0.1},
            )
        ],
        imports=[
            ImportResult(
                *(10, 4_000, 3_000, True),
                (Standing("fetcher", (Usage(3, 3),)), Standing("sqlite3 .import", (Usage(2, 2),))),
                *((1.0, 3.0, 1.5), (0.5,), Sizes(3_300, 3_900)),
            )
        ],
        memories=[MemoryResult(Held(1, 400 * MIB, 9, 9), Held(9, 500 * MIB, 9, 9))],
    )


EXPECTED = {
    "20 kB: images/s ÷ aria2c's": (4, True),
    "20 kB: images/s ÷ img2dataset's": (5, False),
    "20 kB: wall ÷ that of wget2, md5sum -c": (0.5, True),
    "2 MB: bytes/s ÷ aria2c's": (2, False),
    "2 MB: wall ÷ that of curl -Z, md5sum -c": (0.4, True),
    "2 MB: CPU ÷ the floor's": (3 / 2.25, False),
    "20 kB: CPU ÷ the floor's": (3 / 2.25, True),
    "many hosts: images/s ÷ (hosts ÷ latency)": (0.95, True),
    "import: wall ÷ sqlite3 .import's": (1.5, False),
    "first request, fresh": (1.5, True),
    "first request, resumed": (0.5, True),
    "memory, long list": (500, True),
    "memory, long list ÷ short list": (1.25, False),
    "manifest ÷ the list's cells": (1.3, True),
    "20 kB: the manifest's share of CPU": (0.125, False),
    "20 kB to a disk: wall of files ÷ shards": (4, True),
}


def test_each_figure_is_made_of_its_own_result() -> None:
    found = {one.what: one for one in figures(everything())}
    assert found.keys() == EXPECTED.keys()
    for what, (value, holds) in EXPECTED.items():
        one = found[what]
        assert one.found is not None, what
        assert one.found.median == pytest.approx(value), what
        assert one.holds is holds, what
    assert len(list(told(list(found.values())))) == len(EXPECTED)


def test_what_was_not_measured_or_failed_is_told_as_nothing() -> None:
    failed = Failure("tired")
    results = Results(
        speeds=[SpeedResult("20k", 1, 1, True, (Standing(FETCHER.name, failure=failed),))],
        memories=[MemoryResult(failed, failed)],
    )
    for each in (Results(), results):
        assert {(one.found, one.holds) for one in figures(each)} == {(None, None)}
        assert list(told(figures(each))) == []


def test_a_bound_itself_is_reached() -> None:
    for least in (True, False):
        assert Figure("a", 2, least, Spread(2, 2, 2)).holds
    assert not Figure("a", 2, True, Spread(1.9, 1, 9)).holds
    assert not Figure("a", 2, False, Spread(2.1, 1, 9)).holds
