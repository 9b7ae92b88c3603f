"""Signals in the first moments of a command, and to those that end where they are.

A signal is to arrive while a certain module loads, and not when it happens to: so its import sends
it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

from fetcher.cli import interrupts
from fetcher.demo.steps import Answer, Picture
from fetcher.errors import Exit
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, finish

STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE: Final = 60.0

LOADING: Final = textwrap.dedent("""
    import os, sys
    from fetcher.cli import main
    where, numbers, *sys.argv[1:] = sys.argv[1:]
    class Sender:
        def find_spec(self, name, *_):
            if name == where:
                sys.meta_path.remove(self)
                for number in numbers.split(","):
                    os.kill(os.getpid(), int(number))
    sys.meta_path.insert(0, Sender())
    main()
""")
"""Python: sends signals to itself while the module ``where`` loads."""


def loading(where: str, *numbers: int, arguments: tuple[str | Path, ...]) -> tuple[int, str]:
    """The exit code, and what was said by the command and its processes."""
    command = [sys.executable, "-c", LOADING, where, ",".join(str(int(n)) for n in numbers)]
    done = subprocess.run(  # noqa: S603  ourselves
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        start_new_session=True,
    )  # it waits for the end of all that have our pipes: nobody was left behind
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("status", "fetcher.cli.commands"),
        ("status", "click"),
        ("status", "fetcher.cli.status"),
        ("status", "sqlite3"),
        ("config show", "yaml"),
        ("plan LIST --to DIR", "fetcher.source"),
        ("mirror LIST --to DIR", "fetcher.cli.early"),
        ("mirror LIST --to DIR", "click"),
        ("mirror LIST --to DIR", "fetcher.cli.mirror"),
        ("mirror LIST --to DIR", "fetcher.config"),
        ("mirror LIST --to DIR", "fetcher.cli.crewing"),
        ("mirror LIST --to DIR", "rich.console"),
        ("mirror LIST --to DIR", "fetcher.cli.mirroring"),
        ("mirror LIST --to DIR --set fetch.processes=2", "fetcher.cli.mirroring"),
        ("audit LIST --to DIR", "uvloop"),
    ],
)
def test_a_signal_while_modules_load(
    command: str, where: str, number: signal.Signals, tmp_path: Path
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("ImageID,OriginalURL\na,http://127.0.0.1:9/a\n")
    words = {"LIST": listed, "DIR": tmp_path / "mirror"}
    given = tuple(words.get(word, word) for word in command.split())
    code, said = loading(where, number, arguments=given)
    assert (code, said.strip()) == (Exit.STOPPED, "")
    assert list(tmp_path.iterdir()) == [listed]


def test_a_second_signal_does_not_wait_for_modules(tmp_path: Path) -> None:
    code, said = loading("click", *STOPS[:2], arguments=("status", tmp_path))
    assert (code, said) == (Exit.STOPPED, "")


def test_the_code_is_the_one_of_the_contract() -> None:
    assert Exit(interrupts.STOPPED) is Exit.STOPPED


def test_a_run_under_nohup_outlives_its_terminal(bench: Bench) -> None:
    """Who has SIGHUP ignored when the command begins, wants it to go on."""
    shown = Picture(600, "held")
    bench.web.serve("/held", Answer(shown, gate="held"))
    url = f"http://{mirrors.HOST}/held"
    listed = bench.rows([Row.of("held", url, shown.data())])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = bench.start(listed)
    finally:
        signal.signal(signal.SIGHUP, before)
    bench.web.arrived(1)
    process.send_signal(signal.SIGHUP)
    bench.web.open("held")
    assert finish(process).code == 0
    assert laws.breaches(bench.directory, finished=True) == []
