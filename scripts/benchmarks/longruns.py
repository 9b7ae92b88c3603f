"""``fetcher mirror`` of a list as long as Open Images, from a web that takes its time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from scripts.benchmarks.longlist import DOMAIN, LongList
from scripts.benchmarks.measure import Surroundings, environment
from scripts.benchmarks.settings import Settings
from scripts.benchmarks.slow import SlowWeb
from scripts.benchmarks.watching import Line
from scripts.benchmarks.workplace import Workplace

READ: Final = "all lists are read"
"""What it says when they are."""
MANIFEST_ROW: Final = 700
"""Bytes that a row may take in a manifest and its log, generously."""


def command(
    image_list: LongList, out: Path, web: SlowWeb, settings: Settings, *sets: str
) -> tuple[str, ...]:
    where = json.dumps({f"*.{DOMAIN}:80": web.place})
    options = (f"network.connect_to={where}", "run.drain=0", *sets, *settings.options)
    program = str(settings.programs["fetcher"])
    mirror = (program, "mirror", str(image_list.archive), "--to", str(out))
    return (*mirror, *(argument for option in options for argument in ("--set", option)))


def surroundings(place: Workplace, settings: Settings) -> Surroundings:
    return Surroundings(environment(place.inside), place.inside / "command.log", settings.limit)


def has_read(lines: Sequence[Line]) -> bool:
    """Whether it has said that it has read all of the list."""
    return any(READ in line.text for line in lines)


def status(program: Path, out: Path) -> dict[str, Any]:
    """What ``fetcher status --json`` says."""
    command = (program, "status", out, "--json")
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603  our own
    said: dict[str, Any] = json.loads(answer.stdout)
    return said
