"""``fetcher demo``: a newcomer's tour, in under a minute and without a network.

It writes an image list as Open Images has them, serves its URLs from a little web on this machine
with the kinds of rot that such lists have, mirrors them, interrupts that, resumes it, and shows
where it stands. The commands are the real ones, run as a user would.
"""

from __future__ import annotations

import csv
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from rich.console import Console

from fetcher.demo.images import md5_of, picture
from fetcher.demo.process import WebProcess
from fetcher.demo.steps import (
    PLACEHOLDER,
    Answer,
    Flipped,
    Picture,
    Reset,
    Step,
    html,
    redirect,
    status,
    throttled,
)

IMAGES: Final = 240
INTERRUPT_AFTER: Final = 90
"""Requests."""
PATIENCE: Final = 30.0
"""Seconds after which a step of the tour is given up."""
HEADER: Final = (
    "ImageID",
    "Subset",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
    "OriginalSize",
    "OriginalMD5",
    "Thumbnail300KURL",
)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One row of the list, and what its URL answers."""

    image_id: str
    subset: str
    host: str
    path: str
    size: int
    md5: str
    steps: tuple[Step, ...]


def exhibits(count: int = IMAGES, seed: int = 1) -> list[Exhibit]:
    """Images with, in some, the kinds of rot that Open Images has by now."""
    chance = random.Random(seed)  # noqa: S311  a show, and the same each time
    return [_exhibit(n, chance) for n in range(count)]


def _exhibit(n: int, chance: random.Random) -> Exhibit:
    key = f"{chance.getrandbits(64):016x}"
    size = int(min(600_000, chance.lognormvariate(10.6, 0.9)) + 4_000)
    shown = Picture(size, key)
    return Exhibit(
        image_id=key,
        subset=chance.choices(("train", "validation", "test"), (8, 1, 1))[0],
        host=f"farm{chance.randint(1, 8)}.staticflickr.com",
        path=f"/{chance.randint(1, 9)}/{chance.randint(2_000, 9_999)}/{10**10 + n}_o.jpg",
        size=size,
        md5=md5_of(picture(key, size)),
        steps=_fate(n, shown),
    )


def _fate(n: int, shown: Picture) -> tuple[Step, ...]:
    """What becomes of the ``n``-th image; most are well."""
    good = Answer(shown)
    special: dict[int, tuple[Step, ...]] = {
        17: (throttled(2), good),
        31: (Answer(shown, end=Reset(shown.size // 2)), good),
        47: (status(503), good),
        59: (html(),),
        71: (status(410),),
    }
    if n in special:
        return special[n]
    if n % 11 == 3:  # noqa: PLR2004  about the share of Open Images that is gone
        return (redirect(PLACEHOLDER),)
    if n % 40 == 5:  # noqa: PLR2004  a few
        return (status(404),)
    if n % 60 == 7:  # noqa: PLR2004  fewer
        return (status(403),)
    if n % 50 == 9:  # noqa: PLR2004  fewer
        return (Answer(Flipped(shown, shown.size // 2)),)
    return (good,)


def write_list(path: Path, rows: Sequence[Exhibit]) -> None:
    """The image list, in the layout of the third release of Open Images."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for n, row in enumerate(rows, start=1):
            writer.writerow(
                (
                    row.image_id,
                    row.subset,
                    f"https://{row.host}{row.path}",
                    f"https://www.example.org/photos/{n}",
                    "https://creativecommons.org/licenses/by/2.0/",
                    "https://www.example.org/people/demo",
                    "Demo Author",
                    f"Picture no. {n}",
                    row.size,
                    row.md5,
                    "",
                )
            )


def write_config(path: Path, web: WebProcess) -> None:
    """The configuration that leads the list's URLs to the little web."""
    path.write_text(
        yaml.safe_dump(
            {
                "network": {
                    "connect_to": {"*.staticflickr.com:443": f"{web.address}:{web.tls_port}"},
                    "ca_file": str(web.ca_file),
                },
                "hosts": {"default": {"rate": 40, "burst": 10, "concurrency": 8}},
                "retry": {"first_delay": "500ms"},
                "store": {"min_free": 0},
            },
            sort_keys=False,
        ),
        encoding="utf-8",
    )


class Tour:
    """One tour, in ``directory``."""

    def __init__(self, directory: Path, console: Console) -> None:
        self._directory = directory
        self._console = console

    def run(self) -> bool:
        """Give the tour; whether everything went as it should. Raises ``MissingExtraError``."""
        directory, rows = self._directory, exhibits()
        with WebProcess(directory, tls=True) as web:
            for row in rows:
                web.serve(row.path, *row.steps, host=row.host)
            write_list(directory / "images.csv", rows)
            write_config(directory / "demo.yaml", web)
            self._say(
                f"A list of {len(rows)} images in the layout of Open Images, and a little web on "
                "this machine that serves them, some of them rotten. The limit here is 40 "
                "requests a second. After a while, Ctrl-C is pressed:"
            )
            mirror = ("mirror", "images.csv", "--to", "mirror", "--config", "demo.yaml")
            interrupted = self._fetcher(*mirror, until=web)
            self._say("The same command again resumes; nothing that is settled is asked for again:")
            finished = self._fetcher(*mirror)
            self._say("Where it stands, at any time, also while a run is on:")
            shown = self._fetcher("status", "mirror")
            requests = len(web.requests())
        self._say(
            f"{requests} requests were made for {len(rows)} images; retries and the rest of a cut "
            "body are among them."
        )
        return (interrupted, finished, shown) == (3, 1, 0)

    def _say(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]", highlight=False)

    def _fetcher(self, *arguments: str, until: WebProcess | None = None) -> int:
        """Run a command; interrupt it when ``until`` has had some requests. Its exit code."""
        self._console.print(f"[green]$ fetcher {shlex.join(arguments)}[/green]", highlight=False)
        command = [sys.executable, "-m", "fetcher", *arguments]
        with subprocess.Popen(command, cwd=self._directory) as process:  # noqa: S603  ourselves
            try:
                if until is not None:
                    deadline = time.monotonic() + PATIENCE
                    while process.poll() is None and len(until.requests()) < INTERRUPT_AFTER:
                        if time.monotonic() > deadline:
                            break
                        time.sleep(0.05)
                    process.send_signal(signal.SIGINT)
                code = process.wait(PATIENCE)
            except BaseException:
                process.kill()
                raise
        self._console.print(f"[dim]exit code {code}[/dim]", highlight=False)
        return code
