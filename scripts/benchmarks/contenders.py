"""Who runs: one frozen description per program and way to run it.

All of them may have ``CONNECTIONS`` requests under way, write one file per image (but for fetcher's
tar shards), and start from an empty directory. Those that check MD5 do so for every image; the
floor is no program at all, but what the same bytes cost at least (``floor``); the
others are there to show what checking costs, and are no match for what fetcher delivers: each image
proven, and a manifest.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.benchmarks import inputs, tools
from scripts.benchmarks.corpus import Image
from scripts.benchmarks.delivery import missing, unverified, unwritten
from scripts.benchmarks.inputs import Item
from scripts.benchmarks.tools import Tool
from scripts.benchmarks.web import HOSTS

CONNECTIONS: Final = 64
_OBVIOUS: Final = Path(__file__).with_name("obvious.py")
_TIMED: Final = "scripts.benchmarks.timed"
FLOOR_PROGRAM: Final = Path(__file__).with_name("floor.py")


@dataclass(frozen=True, slots=True)
class Task:
    """One run of one contender."""

    program: Path
    list: Path
    """What the contender's ``prepare`` gave, as a file."""
    md5sums: Path
    out: Path
    """An empty directory, and the current one."""
    count: int
    options: tuple[str, ...] = ()
    """Further arguments to fetcher."""


Prepare = Callable[[Iterable[Item]], Iterator[str]]
Command = Callable[[Task], tuple[str, ...]]
Check = Callable[[Task, tuple[Image, ...]], str | None]


def _all_there(task: Task, images: tuple[Image, ...]) -> str | None:
    return missing(task.out, images)


def delivered(task: Task, images: tuple[Image, ...]) -> str | None:
    return missing(task.out, images) or unverified(task.out / "manifest.sqlite", images)


def _written(task: Task, images: tuple[Image, ...]) -> str | None:
    return unwritten(task.out, images)


def _counted(_task: Task, _images: tuple[Image, ...]) -> None:
    """It counts its bytes itself, and fails if there are too few: nothing is left to look at."""


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    tool: Tool
    proves: bool
    """Whether it checks the MD5 of every image."""
    prepare: Prepare
    command: Command
    """Its images are the ``*.jpg`` below ``Task.out`` afterwards, and in ``*.tar``."""
    check: Check = _all_there
    """What must hold afterwards; says what is wrong, or ``None``."""


def _fetcher(task: Task) -> tuple[str, ...]:
    settings = (
        "network.allow_private_addresses=true",
        "hosts.default.rate=unlimited",
        # Each address is a host group. As many requests as the others have may be under way;
        # fetch.concurrency also counts images that are being stored and written down.
        f"hosts.default.concurrency={CONNECTIONS // len(HOSTS)}",
        *task.options,
    )
    sets = (argument for setting in settings for argument in ("--set", setting))
    return (str(task.program), "mirror", str(task.list), "--to", str(task.out), "--quiet", *sets)


def _fetcher_timed(task: Task) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", _TIMED, *_fetcher(task)[1:])


def _fetcher_tar(task: Task) -> tuple[str, ...]:
    return (*_fetcher(task), "--set", "store.layout=tar")


def _aria2c(task: Task) -> tuple[str, ...]:
    # A checksum in the list is checked without further ado; --check-integrity is for files that
    # are there already.
    return (
        *(str(task.program), "--no-conf", "--quiet", "--file-allocation=none"),
        *(f"--max-concurrent-downloads={CONNECTIONS}", "--max-connection-per-server=1"),
        *(f"--dir={task.out}", f"--input-file={task.list}"),
    )


def _curl(task: Task) -> tuple[str, ...]:
    return (
        *(str(task.program), "--disable", "--silent", "--show-error", "--fail"),
        *("--parallel", "--parallel-max", str(CONNECTIONS), "--config", str(task.list)),
    )


def _wget2(task: Task) -> tuple[str, ...]:
    return (
        *(str(task.program), "--no-config", "--no-hsts", "--quiet"),
        *(f"--max-threads={CONNECTIONS}", f"--input-file={task.list}"),
        f"--directory-prefix={task.out}",
    )


def _then_md5sum(command: Command) -> Command:
    def both(task: Task) -> tuple[str, ...]:
        check = ("md5sum", "--check", "--quiet", "--strict", str(task.md5sums))
        return ("sh", "-c", f"{shlex.join(command(task))} && exec {shlex.join(check)}")

    return both


def _img2dataset(task: Task) -> tuple[str, ...]:
    processes = os.cpu_count() or 1
    return (
        *(str(task.program), "--url_list", str(task.list), "--input_format", "csv"),
        *("--url_col", "url", "--verify_hash", '["md5","md5"]', "--compute_hash", "md5"),
        *("--output_folder", str(task.out), "--output_format", "files", "--resize_mode", "no"),
        *("--disable_all_reencoding", "True", "--extract_exif", "False"),
        *("--processes_count", str(processes), "--thread_count", str(CONNECTIONS)),
        # A shard is what one process works on: as many as there are processes.
        *("--number_sample_per_shard", str(-(-task.count // processes))),
    )


def _obvious(task: Task) -> tuple[str, ...]:
    # The program is a Python that has aiohttp: this one.
    return (sys.executable, "-P", str(_OBVIOUS), str(task.list), str(task.out))


def _received(task: Task) -> tuple[str, ...]:
    return (sys.executable, "-P", str(FLOOR_PROGRAM), "receive", str(task.list), str(CONNECTIONS))


def _hashed(task: Task) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(FLOOR_PROGRAM), "hash", str(task.list))


def _only_written(task: Task) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(FLOOR_PROGRAM), "write", str(task.list), str(task.out))


FETCHER: Final = Contender(
    "fetcher", tools.FETCHER, True, inputs.open_images_v3, _fetcher, delivered
)
SHARDS: Final = Contender(
    "fetcher, tar shards",
    tools.FETCHER,
    True,
    inputs.open_images_v3,
    _fetcher_tar,
    delivered,
)
TIMED: Final = Contender(
    "fetcher, manifest timed",
    tools.FETCHER,
    True,
    inputs.open_images_v3,
    _fetcher_timed,
    delivered,
)
"""The same once more: asking the manifest's thread what it took must not count for the others."""
FLOOR: Final = (
    Contender("floor: received", tools.OBVIOUS, False, inputs.url_size, _received, _counted),
    Contender("floor: hashed", tools.OBVIOUS, False, inputs.url_size, _hashed, _counted),
    Contender("floor: written", tools.OBVIOUS, False, inputs.url_size, _only_written, _written),
)
"""What cannot be saved, each by itself: added up, it is what nobody can stay below."""
ALL: Final = (
    FETCHER,
    SHARDS,
    TIMED,
    *FLOOR,
    Contender("aria2c with checksums", tools.ARIA2C, True, inputs.aria2_md5, _aria2c),
    Contender("curl -Z, md5sum -c", tools.CURL, True, inputs.curl, _then_md5sum(_curl)),
    Contender("wget2, md5sum -c", tools.WGET2, True, inputs.urls, _then_md5sum(_wget2)),
    Contender("img2dataset, md5", tools.IMG2DATASET, True, inputs.url_hex_md5, _img2dataset),
    Contender("obvious aiohttp", tools.OBVIOUS, True, inputs.open_images_v3, _obvious),
    Contender("aria2c", tools.ARIA2C, False, inputs.aria2, _aria2c),
    Contender("curl -Z", tools.CURL, False, inputs.curl, _curl),
    Contender("wget2", tools.WGET2, False, inputs.urls, _wget2),
)
