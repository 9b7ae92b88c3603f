"""robots.txt and X-Robots-Tag, from the list to the manifest's word on why."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import HANG_UP, Answer, Bytes, Picture, Step, redirect, status
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench

FILE: Final = "/robots.txt"
ON: Final = {"consent": {"robots": True}}


def rows(*paths: str, host: str = "a.test") -> list[Row]:
    """A picture for each path; its name is its id."""
    return [
        Row.of(f"{host}{path}".replace("/", "-"), f"http://{host}{path}", picture(path, 600))
        for path in paths
    ]


def serve(bench: Bench, *paths: str) -> None:
    for path in paths:
        bench.web.serve(path, Answer(Picture(600, path)))


def says(bench: Bench, text: str, host: str = "a.test") -> None:
    bench.web.serve(FILE, Answer(Bytes(text.encode(), "text/plain")), host=host)


def ends(bench: Bench) -> dict[str, tuple[str, str | None]]:
    return {name: (image.state, image.code) for name, image in bench.images().items()}


def details(directory: Path) -> dict[str, str]:
    """What the last attempt at each image says, by id."""
    uri = f"file:{directory / 'manifest.sqlite'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return dict(
            connection.execute(
                "SELECT image_id, detail FROM attempts JOIN assets USING (asset_id) ORDER BY n"
            )
        )


def asked(bench: Bench) -> list[str]:
    return [request.path for request in bench.web.requests]


def test_what_robots_txt_forbids_is_denied_with_the_line_that_says_so(bench: Bench) -> None:
    says(bench, "User-agent: *\nDisallow: /no\nAllow: /no/but\n")
    serve(bench, "/yes", "/no/1", "/no/but")
    listed = bench.rows(rows("/yes", "/no/1", "/no/but"))
    assert bench.mirror(listed, config=bench.config(ON)).code == 1
    assert ends(bench) == {
        "a.test-yes": ("verified", None),
        "a.test-no-1": ("denied", "robots"),
        "a.test-no-but": ("verified", None),
    }
    assert details(bench.directory)["a.test-no-1"] == "robots.txt line 2: Disallow: /no"
    assert sorted(asked(bench)) == ["/no/but", FILE, "/yes"]
    assert asked(bench)[0] == FILE
    assert bench.status()["codes"] == {"robots": 1}


@pytest.mark.parametrize(
    ("text", "config", "state"),
    [
        ("User-agent: fetcher\nDisallow: /", {}, "denied"),
        ("User-agent: *\nDisallow: /\nUser-agent: fetcher\nDisallow:", {}, "verified"),
        ("User-agent: mine\nDisallow: /", {"fetch": {"user_agent": "mine/2 (x)"}}, "denied"),
        ("User-agent: *\nDisallow: /", {"consent": {"exempt": ["*.test"]}}, "verified"),
        ("User-agent: *\nDisallow: /", {"consent": {"robots": False}}, "verified"),
    ],
)
def test_whom_it_speaks_to_and_who_listens(
    bench: Bench, text: str, config: Mapping[str, Any], state: str
) -> None:
    says(bench, text)
    serve(bench, "/1")
    bench.mirror(bench.rows(rows("/1")), config=bench.config(ON, config))
    assert bench.images()["a.test-1"].state == state


def test_the_next_run_does_not_ask_again(bench: Bench) -> None:
    says(bench, "User-agent: *\nDisallow: /no\n")
    serve(bench, "/1", "/2", "/no/3")
    listed = bench.rows(rows("/1", "/2", "/no/3"))
    config = bench.config(ON)
    assert bench.mirror(listed, config=config, options="--limit 1").code == 3
    assert bench.mirror(listed, config=config).code == 1
    assert asked(bench).count(FILE) == 1
    assert len(asked(bench)) == 3


def test_a_host_that_does_not_answer_at_first_is_waited_for(bench: Bench) -> None:
    bench.web.serve(FILE, status(503), HANG_UP, status(404))
    serve(bench, "/1")
    assert bench.mirror(bench.rows(rows("/1")), config=bench.config(ON)).code == 0
    assert asked(bench) == [FILE, FILE, FILE, "/1"]
    assert bench.images()["a.test-1"].attempts == 1


@pytest.mark.parametrize("step", [status(503), HANG_UP])
def test_a_host_that_is_down_at_first_has_lost_nothing(bench: Bench, step: Step) -> None:
    """More failures than any image has attempts."""
    bench.web.serve(FILE, *[step] * 8, status(404))
    paths = [f"/{n}" for n in range(40)]  # enough of them to be waited for
    serve(bench, *paths)
    patient = {"retry": {"patience": "1m"}}
    assert bench.mirror(bench.rows(rows(*paths)), config=bench.config(ON, patient)).code == 0
    assert asked(bench).count(FILE) == 9
    assert {image.attempts for image in bench.images().values()} == {1}


def test_a_host_that_never_answers_is_asked_for_nothing_else(bench: Bench) -> None:
    bench.web.serve(FILE, status(503), host="a.test")
    serve(bench, "/1", "/2")
    listed = bench.rows([*rows("/1", "/2"), *rows("/1", host="b.test")])
    assert bench.mirror(listed, config=bench.config(ON)).code == 1
    assert ends(bench) == {
        "a.test-1": ("failed", "robots-unreachable"),
        "a.test-2": ("failed", "robots-unreachable"),
        "b.test-1": ("verified", None),
    }
    assert details(bench.directory)["a.test-1"] == (
        "asked for http://a.test/robots.txt: http-5xx 503"
    )
    assert sorted(asked(bench)) == ["/1", *[FILE] * 4]


def test_a_redirect_leads_only_where_it_is_allowed(bench: Bench) -> None:
    says(bench, "User-agent: *\nDisallow: /no\n", host="b.test")
    bench.web.serve("/1", redirect("http://b.test/no"))
    bench.web.serve("/2", redirect("http://b.test/yes"))
    bench.web.serve("/yes", Answer(Picture(600, "/2")))
    bench.web.serve(FILE, redirect("http://c.test/r"), host="a.test")
    bench.web.serve("/r", status(404))
    assert bench.mirror(bench.rows(rows("/1", "/2")), config=bench.config(ON)).code == 1
    assert ends(bench) == {"a.test-1": ("denied", "robots"), "a.test-2": ("verified", None)}
    assert bench.images()["a.test-1"].final_url == "http://b.test/no"
    assert "robots.txt line 2: Disallow: /no" in details(bench.directory)["a.test-1"]
    assert "/no" not in asked(bench)
    hosts = [request.host for request in bench.web.requests if request.path == FILE]
    assert sorted(hosts) == ["a.test", "b.test"]


@pytest.mark.parametrize(
    ("config", "end"),
    [
        ({}, ("denied", "opted-out")),
        ({"consent": {"robots_tag": False}}, ("verified", None)),
        ({"consent": {"exempt": "a.test"}}, ("verified", None)),
        ({"fetch": {"user_agent": "mine/1"}}, ("verified", None)),
    ],
)
def test_an_answer_that_asks_not_to_be_taken(
    bench: Bench, config: Mapping[str, Any], end: tuple[str, str | None]
) -> None:
    header = ("X-Robots-Tag", "otherbot: all, fetcher: noai")
    bench.web.serve("/1", Answer(Picture(600, "/1"), headers=(header,)))
    bench.mirror(bench.rows(rows("/1")), config=bench.config(config))
    assert ends(bench) == {"a.test-1": end}
    if end[0] == "denied":
        assert details(bench.directory)["a.test-1"] == f"X-Robots-Tag: {header[1]}"
        assert bench.images()["a.test-1"].http_status == 200
        assert bench.images()["a.test-1"].path is None


def test_the_file_is_one_request_among_the_others(bench: Bench) -> None:
    """Law 4: it is charged to its group's budget, like any."""
    paths = [f"/{n}" for n in range(30)]
    serve(bench, *paths)
    slow = {"hosts": {"default": {"rate": 20, "burst": 1}}}
    assert bench.mirror(bench.rows(rows(*paths)), config=bench.config(ON, slow)).code == 0
    requests = bench.web.requests
    assert [request.path for request in requests].count(FILE) == 1
    assert requests[0].path == FILE
    assert requests[-1].at - requests[0].at >= (len(requests) - 2) / 20
