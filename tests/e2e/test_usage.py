"""Commands that cannot work change nothing; those that can do what their options say."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from contextlib import closing
from typing import Final

import pytest

from fetcher import __version__, lines
from fetcher.demo.steps import Answer, Picture, html, throttled
from fetcher.digests import LANES
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.docs.pages import PAGES
from tests.e2e.conftest import Bench, Done, fetcher, refused

ROWS: Final = mirrors.gallery(10, size=600)
STAMPED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  \S")


# Commands and configurations that make no sense.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "fetch.concurency=3"], ["fetch.concurency", "fetch.concurrency"]),
        (["--set", "fetch.concurrency=many"], ["fetch.concurrency", "many"]),
        (["--set", "fetch.concurrency=0"], ["fetch.concurrency"]),
        (["--set", "fetch.concurrency"], ["--set"]),
        (["--set", "fetch.timeout.stall=-1s"], ["fetch.timeout.stall"]),
        (["--set", "network.connect_to={a: b}"], ["network.connect_to"]),
        (["--set", "network.ca_file=/nowhere.pem"], ["network.ca_file", "/nowhere.pem"]),
        (["--set", "store.mismatched=burn"], ["store.mismatched", "quarantine"]),
        (["--set", "hosts.default.rate=[1"], ["hosts.default.rate"]),
        (["--config", "/nowhere.yaml"], ["/nowhere.yaml"]),
        (["--limit", "0"], ["--limit"]),
        (["--limit", "some"], ["--limit"]),
        (["--max-runtime", "soon"], ["--max-runtime"]),
        (["--tolerate", "120%"], ["--tolerate"]),
        (["--rate", "fast"], ["--rate"]),
        (["--ids", "/nowhere.txt"], ["/nowhere.txt"]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_bad_option(options: list[str], words: list[str], bench: Bench) -> None:
    listed = bench.rows(ROWS)
    done = fetcher("mirror", listed, "--to", bench.directory, *options)
    refused(done, *words)
    assert not bench.directory.exists()


@pytest.mark.parametrize(
    "content", ["fetch: [", "- a\n- b\n", "fetch: 3\n", "nonsense: true\n", "a: 1\na: 2\n"]
)
def test_a_bad_configuration_file(content: str, bench: Bench) -> None:
    config = bench.place / "bad.yaml"
    config.write_text(content)
    refused(fetcher(*bench.command(bench.rows(ROWS), config=config)), "bad.yaml")
    assert not bench.directory.exists()


def test_no_list_and_no_directory(bench: Bench) -> None:
    refused(fetcher("mirror", "--to", bench.directory), "LIST")
    refused(fetcher("mirror", bench.rows(ROWS)), "--to")
    refused(fetcher("no-such-command"), "no-such-command")


def test_a_directory_that_cannot_be_one(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    refused(fetcher("mirror", listed, "--to", listed), "is not a directory")
    nested = bench.place / "not" / "there"
    refused(fetcher("mirror", listed, "--to", nested), str(nested))
    assert not nested.parent.exists()


def test_a_directory_with_another_database(bench: Bench) -> None:
    bench.directory.mkdir()
    path = bench.directory / "manifest.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine (a)")
    before = path.read_bytes()
    refused(fetcher(*bench.command(bench.rows(ROWS))), "manifest.sqlite")
    assert path.read_bytes() == before
    assert laws.files(bench.directory) == {"manifest.sqlite"}


def test_status_of_nothing(bench: Bench) -> None:
    refused(fetcher("status", bench.directory), "There is no manifest")


# What is printed.


def test_json_and_nothing_else(bench: Bench) -> None:
    done = bench.mirror(bench.rows(ROWS), options="--json")
    assert done.code == 0
    assert done.json == bench.status()


def test_quiet(bench: Bench) -> None:
    bench.web.serve("/html", html())
    listed = bench.rows([*ROWS, Row("html", f"http://{mirrors.HOST}/html")])
    assert bench.mirror(listed, options="--quiet") == Done(1, "", "")
    refused(fetcher(*bench.command(bench.place / "nowhere"), "--quiet"), "nowhere")


def test_quiet_json(bench: Bench) -> None:
    done = bench.mirror(bench.rows(ROWS), options="--json --quiet")
    assert done.json["total"] == len(ROWS)
    assert done.err == ""


def test_without_a_terminal_progress_is_lines_with_the_time(bench: Bench) -> None:
    path = ROWS[0].url.removeprefix(f"http://{mirrors.HOST}")
    bench.web.serve(path, throttled(1), Answer(Picture(600, "0")))
    done = bench.mirror(bench.rows(ROWS))
    assert done.code == 0
    lines = done.err.splitlines()
    assert all(STAMPED.match(line) for line in lines), lines
    assert any("staticflickr.com is left alone for 1s (rate-limited)" in line for line in lines)
    assert "\x1b" not in done.out + done.err


def test_control_characters_do_not_reach_the_terminal(bench: Bench) -> None:
    listed = bench.rows(ROWS, "a\x1b[31m.csv")
    listed.write_bytes(b"no list")
    done = fetcher(*bench.command(listed))
    refused(done, r"a\x1b[31m.csv")
    assert "\x1b" not in done.err


def test_the_command_is_noted_as_it_could_be_typed_again(bench: Bench) -> None:
    """The report shows it, and a run that finds the manifest locked."""
    listed = bench.rows(ROWS, name="a list of ours.csv")
    assert bench.mirror(listed).code == 0
    fetcher("retry", bench.directory, "--host", "*.staticflickr.com")
    with closing(sqlite3.connect(bench.directory / "manifest.sqlite")) as connection:
        mirror, retry = (
            shlex.split(row[0]) for row in connection.execute("SELECT command FROM runs")
        )
    assert mirror[:2] == ["mirror", str(listed)]
    assert retry == ["retry", str(bench.directory), "--host", "*.staticflickr.com"]


def test_the_keys_of_all_json_are_documented(bench: Bench) -> None:
    """To the name, and nothing made up; ``hosts`` is there only where one is held back."""
    bench.web.serve("/html", html())
    listed = bench.rows([*ROWS, Row("html", f"http://{mirrors.HOST}/html")])
    bench.mirror(listed)
    audited = ("audit", listed, "--to", bench.place / "audit", "--config", bench.config())
    found = {
        "mirror": fetcher(*bench.command(listed), "--json"),
        "status": fetcher("status", bench.directory, "--json"),
        "plan": fetcher("plan", listed, "--json"),
        "audit": fetcher(*audited, "--json"),
        "verify": fetcher("verify", bench.directory, "--json"),
        "triage": fetcher("triage", bench.directory, "--json"),
        "retry": fetcher("retry", bench.directory, "--json"),
        "config show": fetcher("config", "show", "--json"),
    }
    told: dict[str, set[str]] = {}
    for head, _, *rows in PAGES["docs/commands.md"].tables:
        keys = {key for row in rows for key in re.findall(r"`([^`]+)`", row[0])}
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", head[0]), keys)
    assert told.keys() == found.keys()
    for command, done in found.items():
        optional = {"hosts"} if command in {"mirror", "status"} else set()
        assert done.json.keys() == told[command] - optional, command


def test_status_for_people(bench: Bench) -> None:
    bench.web.serve("/html", html())
    bench.mirror(bench.rows([*ROWS, Row("html", f"http://{mirrors.HOST}/html")]))
    done = fetcher("status", bench.directory)
    assert done.code == 0
    for words in ("10  verified", "1  mismatched", "1  not-an-image", "rows read 11 = accepted 11"):
        assert words in done.out


def test_every_command_is_told_in_a_whole_sentence() -> None:
    """In 80 columns, as where nobody says how wide it is."""
    done = fetcher("--help")
    _, _, told = done.out.partition("\nCommands:\n")
    assert "..." not in told
    names = re.findall(r"^  (\w+) ", told, re.MULTILINE)
    assert len(names) == 11
    assert told.count(".\n") == len(names)
    assert max(map(len, done.out.splitlines())) <= 80


def test_version() -> None:
    """Where no compiler was at hand the extensions are missing, and this is where it shows."""
    done = fetcher("--version")
    version, digests, lists = done.out.splitlines()
    assert (done.code, version, done.err) == (0, f"fetcher, version {__version__}", "")
    by_lanes, by_hashlib = f"MD5 of {LANES} at a time", "MD5 by hashlib, one after the other"
    assert digests == (by_lanes if LANES > 1 else by_hashlib)
    assert lists == ("lists by whole blocks" if lines.cut else "lists row by row")


# Which setting wins.


def test_flags_beat_set_beats_file_beats_defaults(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    config = bench.config({"run": {"limit": 1}, "fetch": {"contact": "file@example.org"}})
    assert bench.mirror(listed, config=config).code == 3
    assert bench.web.count() == 1
    options = "--set run.limit=2 --set fetch.contact=set@example.org"
    assert bench.mirror(listed, config=config, options=options).code == 3
    assert bench.web.count() == 3
    options += " --limit 3 --contact flag@example.org"
    assert bench.mirror(listed, config=config, options=options).code == 3
    assert bench.web.count() == 6
    agents = [request.headers["user-agent"] for request in bench.web.requests]
    assert [agent.split("+")[1].split("@")[0] for agent in agents] == [
        *["file"],
        *["set"] * 2,
        *["flag"] * 3,
    ]
    assert all(agent.startswith(f"fetcher/{__version__} (") for agent in agents)


def test_config_show_says_where_a_value_comes_from(bench: Bench) -> None:
    config = bench.place / "mine.yaml"
    config.write_text("fetch:\n  concurrency: 3\n")
    options = ("--config", config, "--set", "hosts.default.rate=7")
    done = fetcher("config", "show", *options)
    assert done.code == 0
    assert re.search(r"concurrency: 3 .*mine\.yaml", done.out), done.out
    assert re.search(r"rate: 7 .*--set", done.out), done.out
    shown = json.loads(fetcher("config", "show", "--json", *options).out)
    assert shown["config"]["fetch"]["concurrency"] == 3
    saved = bench.place / "saved.yaml"
    saved.write_text(done.out)
    again = json.loads(fetcher("config", "show", "--json", "--config", saved).out)
    assert again["config"] == shown["config"]


def test_what_goes_over_the_wire_is_honest(bench: Bench) -> None:
    bench.mirror(bench.rows(ROWS[:1]))
    (request,) = bench.web.requests
    assert request.method == "GET"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == f"fetcher/{__version__}"
    assert "cookie" not in request.headers


def test_a_manifest_elsewhere(bench: Bench) -> None:
    elsewhere = bench.place / "elsewhere.sqlite"
    listed = bench.rows(ROWS)
    assert fetcher(*bench.command(listed), "--manifest", elsewhere).code == 0
    assert {entry.name for entry in bench.directory.iterdir()} == {"images"}
    done = fetcher("status", bench.directory, "--manifest", elsewhere, "--json")
    assert done.json["states"]["verified"] == len(ROWS)
    assert fetcher(*bench.command(listed), "--manifest", elsewhere).code == 0
    assert bench.web.count() == len(ROWS)


@pytest.mark.parametrize(
    ("mismatched", "folder"), [("quarantine", "mismatched"), ("keep", "images"), ("discard", None)]
)
def test_what_becomes_of_other_bytes(mismatched: str, folder: str | None, bench: Bench) -> None:
    bench.web.serve("/html", html())
    listed = bench.rows([Row.of("html", f"http://{mirrors.HOST}/html", b"an image")])
    config = bench.config({"store": {"mismatched": mismatched}})
    assert fetcher(*bench.command(listed, config=config)).code == 1
    (image,) = bench.images().values()
    assert (image.state, image.code) == ("mismatched", "not-an-image")
    assert image.actual_size == len(html().body.data())
    expected = f"{folder}/train/htm/html.html" if folder else None
    assert image.path == expected
    assert laws.files(bench.directory) == {"manifest.sqlite"} | ({expected} if expected else set())
