"""What others wrote neither acts upon a terminal nor is taken for markup, wherever it is shown."""

from __future__ import annotations

import io
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from fetcher.cli import commands
from fetcher.demo.steps import Answer, Close, Raw, redirect
from fetcher.events import CooledDown, Draining, Paused
from fetcher.model import HostBudget, Tally
from fetcher.policy.groups import GroupStatus
from fetcher.policy.holding import Hold, HoldReason
from fetcher.report.progress import Progress
from fetcher.report.running import RunningTally
from fetcher.report.text import printable
from scripts.proofs import mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, Done, fetcher
from tests.fakes import clock

NASTY = "\x1b]0;own\x07\x1b[31m[/bold][link=x]\u202e\u2028\x9b\x7f:smile:"


def acts(text: str) -> list[str]:
    """What a terminal might act upon."""
    return [
        char
        for char in text
        if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]


def harmless(done: Done) -> Done:
    assert acts(done.out + done.err) == []
    assert "Traceback" not in done.err
    return done


def test_that_it_is_nasty() -> None:
    assert len(acts(NASTY)) == 7
    assert acts(printable(NASTY)) == []


# What is given.

COMMANDS: dict[str, tuple[str, ...]] = {
    "a command": (NASTY,),
    "an option": ("status", f"--{NASTY}"),
    "a surplus": ("status", "x", NASTY),
    "a directory": ("status", NASTY),
    "a manifest": ("status", "x", "--manifest", NASTY),
    "a list": ("mirror", NASTY, "--to", "x"),
    "ids": ("mirror", "list.csv", "--to", "x", "--ids", NASTY),
    "a number": ("mirror", "list.csv", "--to", "x", "--limit", NASTY),
    "a configuration": ("config", "show", "--config", NASTY),
    "a key": ("config", "show", "--set", f"{NASTY}=1"),
    "a value": ("config", "show", "--set", f"fetch.memory='{NASTY}'"),
    "a group": ("config", "show", "--set", f'hosts.groups."{NASTY}".rate=1'),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_what_is_given(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("url\n")
    done = harmless(fetcher(*COMMANDS[what]))
    assert done.code == 2, done


def test_files_of_such_names(bench: Bench) -> None:
    name = NASTY.replace("/", "")
    config = bench.config({"hosts": {"groups": {"a": {"match": "*.x"}}}}, name=f"{name}.yaml")
    listed = bench.rows(mirrors.gallery(2), f"{name}.csv")
    bench.directory = bench.place / name
    assert harmless(bench.mirror(listed, config=config)).code == 0
    harmless(fetcher("status", bench.directory))
    harmless(fetcher("config", "show", "--config", config))
    harmless(fetcher("config", "show", "--json", "--config", config))
    broken = bench.place / f"{name}.gz"
    broken.write_bytes(b"\x1f\x8b\x08\x00 no gzip")
    assert harmless(fetcher(*bench.command(broken))).code == 2


# What lists and servers say.


def test_what_is_listed_and_what_is_answered(bench: Bench) -> None:
    wire = NASTY.encode()
    web = bench.web
    web.serve("/a", Raw(b"HTTP/1.1 200 " + wire + b"\r\nX: " + wire + b"\r\nContent-Length: 1\r\n"
                        b"Content-Type: " + wire + b"\r\n\r\na", Close()))  # fmt: skip
    web.serve("/b", redirect("http://c1.staticflickr.com/c"))
    web.serve("/c", Raw(b"HTTP/1.1 302 No\r\nLocation: ftp://" + wire + b"\r\n\r\n", Close()))
    web.serve("/d", Raw(wire + b"\r\n\r\n", Close()))
    web.serve("/e", Answer(status=404, headers=(("Retry-After", "x"),)))
    host = "http://c1.staticflickr.com"
    rows = [Row(f"{n:016x}", f"{host}/{path}", title=NASTY) for n, path in enumerate("abcde")]
    rows += [Row(f"{9:016x}", f"http://{NASTY}/"), Row(NASTY, f"{host}/a")]
    done = harmless(bench.mirror(bench.rows(rows)))
    assert done.code == 1
    harmless(fetcher("status", bench.directory))


def test_what_a_manifest_says(bench: Bench) -> None:
    bench.mirror(bench.rows(mirrors.gallery(1)))
    with closing(sqlite3.connect(bench.directory / "manifest.sqlite")) as connection, connection:
        connection.execute("INSERT INTO codes VALUES (99, ?)", (NASTY,))
        connection.execute("UPDATE tallies SET code = 99")
    done = harmless(fetcher("status", bench.directory))
    assert done.code == 0
    assert "[/bold][link=x]" in done.out
    assert ":smile:" in done.out
    harmless(fetcher("status", bench.directory, "--json"))


def test_a_bug_is_told_harmlessly(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError(NASTY)

    monkeypatch.setattr(commands.cli, "main", broken)
    done = fetcher("status", "x")
    assert done.code == 4
    assert acts(done.err) == []
    assert "RuntimeError" in done.err


# What progress draws.


def test_what_progress_draws() -> None:
    clock.run(_drawn())


async def _drawn() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=500)
    tally = RunningTally(Tally(), 0.0)
    progress = Progress(console, tally, clock.VirtualClock(), title=NASTY)
    budget = HostBudget(rate=1.0, burst=1, concurrency=1)
    hold = Hold(HoldReason.COOLING_DOWN, NASTY, 9.0)
    group = GroupStatus(
        NASTY, budget, in_flight=1, ready=0, waiting=0, concurrency=1, rate=1.0, hold=hold
    )
    progress._groups = lambda: [group]
    for event in (CooledDown(NASTY, 1.0, "x"), Draining(NASTY, 1), Paused("no-route", NASTY, 1.0)):
        progress.notify(event)
        console.print(progress._picture())
    shown = stream.getvalue()
    assert acts(shown) == []
    assert shown.count("[/bold][link=x]") >= 6
