"""``scripts/bench``: options in, tables out.

Exit code 0: everybody who took part delivered every byte. 1: somebody did not. 2: cannot run here.
130: interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

import click

from scripts.benchmarks import corpus, table, tools
from scripts.benchmarks.contenders import ALL, FETCHER
from scripts.benchmarks.corpus import Spec
from scripts.benchmarks.hosts import hosts
from scripts.benchmarks.imports import imports
from scripts.benchmarks.longlist import ROWS
from scripts.benchmarks.memory import Traffic, memory
from scripts.benchmarks.results import Results
from scripts.benchmarks.settings import Settings
from scripts.benchmarks.speeds import speed
from scripts.benchmarks.web import WebError
from scripts.benchmarks.workplace import NoRoomError

_ROUNDS: Final = {
    "speed": (5, 1),
    "disk": (5, 1),
    "hosts": (5, 1),
    "import": (1, 0),
    "memory": (1, 0),
}
"""Measured rounds and warm-up ones, if the user does not say."""
_ALL: Final = "all"
_PEERS: Final = "peers"

_MANY: Final = "50000x2000"
"""Images that are dealt out to many hosts."""
_DIRECTORY: Final = click.Path(
    exists=True, file_okay=False, writable=True, resolve_path=True, path_type=Path
)


class _CorpusType(click.ParamType[Spec]):
    name = "corpus"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Spec:
        try:
            return value if isinstance(value, Spec) else corpus.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("what", type=click.Choice((*_ROUNDS, _ALL, _PEERS)), default="speed")
@click.option(
    "--corpus",
    "specs",
    type=_CorpusType(),
    multiple=True,
    help=f"{', '.join(corpus.NAMES)}, or COUNTxBYTES; may be repeated. All of the named if not; "
    f"for hosts, {_MANY}.",
)
@click.option(
    "--only",
    type=click.Choice([contender.name for contender in ALL]),
    multiple=True,
    help="Run this contender, and fetcher; may be repeated.",
)
@click.option("--rounds", type=click.IntRange(1), help="Measured runs of each: 5; import, 1.")
@click.option("--warm-up", type=click.IntRange(0), help="Runs before these: 1; import, 0.")
@click.option(
    "--hosts",
    "host_count",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    help="For hosts: how many, each with one request at once.",
)
@click.option(
    "--latency",
    type=click.FloatRange(min=0, min_open=True),
    default=0.1,
    show_default=True,
    help="For hosts: seconds from a request to its answer.",
)
@click.option(
    "--rows",
    type=click.IntRange(3),
    default=ROWS,
    show_default=True,
    help="For import and memory: how long the list is.",
)
@click.option(
    "--in",
    "lists",
    type=_DIRECTORY,
    default=Path(tempfile.gettempdir()),
    show_default=True,
    help="For import and memory: keep the lists that are made here, for the next time.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="For memory: requests at once.",
)
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=10,
    show_default=True,
    help="For memory: seconds that an image takes to arrive.",
)
@click.option(
    "--spread",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="For memory: share by which it takes less or more; with 0, all arrive in step.",
)
@click.option("--set-up", is_flag=True, help="For peers: install img2dataset, in .venv-peers.")
@click.option(
    "--work", type=_DIRECTORY, help="Make the temporary directory here, not in memory (/dev/shm)."
)
@click.option(
    "--disk",
    type=_DIRECTORY,
    help="Download to a temporary directory here instead; disk does so if not told where.",
)
@click.option(
    "--set", "options", multiple=True, metavar="KEY=VALUE", help="Passed on to fetcher's --set."
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=3_600,
    show_default=True,
    help="Seconds after which one command is killed, and its contender is out.",
)
@click.option(
    "--json", "json_file", type=click.File("w", lazy=False), help="Every round's numbers."
)
def main(*, what: str, set_up: bool, json_file: TextIO | None, **options: Any) -> None:
    """Measure fetcher beside its peers, on this machine's loopback only.

    \b
    speed   everybody, on the same images, written to memory (the default)
    disk    the same, written to a disk
    hosts   many hosts that take their time
    import  a list as long as Open Images: import, first request, size of the manifest
    memory  peak memory with such a list, and with a short one
    all     all of these
    peers   only says which programs are here

    Corpora: 20k is 20,000 images of 20 kB, 2m is 1,000 of 2 MB, mix is 1,000 with the sizes of Open
    Images. BENCH_NAME, such as BENCH_IMG2DATASET, names a program that is not on PATH.
    docs/bench.md says how to read the tables.
    """  # noqa: D301  click's sign for lines that stay as they are
    if what == _PEERS and set_up:
        tools.set_up(_say)
    found = {tool.name: path for tool in tools.ALL if (path := tool.find(os.environ))}
    versions = {
        tool.name: tool.version(found[tool.name]) if tool.name in found else None
        for tool in tools.ALL
    }
    load = os.getloadavg()[0]
    print(table.preamble(versions, load), flush=True)
    bench = _Bench(found, what, **options)
    with _failing_clearly(found):
        for step in _ROUNDS if what == _ALL else (what,):
            for page in bench.pages(step):
                print(f"\n{page}", flush=True)
    if page := table.reached(bench.results, expected=what == _ALL):
        print(f"\n{page}")
    if json_file is not None:
        json.dump(table.as_json(versions, load, bench.results), json_file, indent=2)
    sys.exit(1 if bench.results.failed else 0)


@dataclass(frozen=True, slots=True)
class _Bench:
    """What was asked for, and what came of it."""

    found: dict[str, Path]
    what: str
    specs: tuple[Spec, ...]
    only: tuple[str, ...]
    rounds: int | None
    warm_up: int | None
    host_count: int
    latency: float
    rows: int
    lists: Path
    in_flight: int
    pace: float
    spread: float
    work: Path | None
    disk: Path | None
    options: tuple[str, ...]
    time_limit: float
    results: Results = field(default_factory=Results)

    def pages(self, step: str) -> Iterator[str]:
        """Do it, and yield its tables."""
        results = self.results
        if step in {"speed", "disk"}:
            chosen = [
                one for one in ALL if not self.only or one is FETCHER or one.name in self.only
            ]
            for spec in self.specs or map(corpus.parse, corpus.NAMES):
                results.speeds.append(speed(spec, chosen, self._settings(step)))
                yield table.speed(results.speeds[-1])
        elif step == "hosts":
            specs = self.specs if self.what != _ALL else ()
            for spec in specs or (corpus.parse(_MANY),):
                settings = self._settings(step)
                results.hosts.append(
                    hosts(spec, settings, count=self.host_count, latency=self.latency)
                )
                yield table.hosts(results.hosts[-1])
        elif step == "import":
            results.imports.append(imports(self.rows, self.lists, self._settings(step)))
            yield table.imports(results.imports[-1])
        elif step == "memory":
            results.memories.append(
                memory(self.rows, self.lists, self._settings(step), self.traffic)
            )
            yield table.memory(results.memories[-1])

    @property
    def traffic(self) -> Traffic:
        return Traffic(self.in_flight, self.pace, self.spread)

    def _settings(self, step: str) -> Settings:
        rounds, warm_up = _ROUNDS[step]
        disk = self.disk
        if disk is None and step == "disk":
            disk = Path(tempfile.gettempdir())
        return Settings(
            programs=self.found,
            rounds=rounds if self.rounds is None else self.rounds,
            warm_up=warm_up if self.warm_up is None else self.warm_up,
            limit=self.time_limit,
            work=self.work,
            disk=disk,
            options=self.options,
            say=_say,
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _failing_clearly(found: dict[str, Path]) -> Iterator[None]:
    """What can be wrong with a machine, as a message; and SIGTERM cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if tools.NGINX.name not in found:
        _say("nginx serves the images, and is not here. Install it, or name it with BENCH_NGINX.")
        sys.exit(2)
    try:
        yield
    except (NoRoomError, WebError) as error:
        _say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _say("interrupted; everything that was started or written is gone")
        sys.exit(130)


if __name__ == "__main__":
    main(prog_name="scripts/bench")
