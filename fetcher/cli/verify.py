"""``fetcher verify``: what is stored against what is recorded of it."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from fetcher.checking.check import Check
from fetcher.checking.folders import temporary
from fetcher.checking.recorder import Aside, Progress
from fetcher.checking.workers import Workers
from fetcher.cli import options
from fetcher.cli.stopping import told_to_stop
from fetcher.errors import Exit, UsageError
from fetcher.manifest.checks import CheckBook
from fetcher.manifest.maintaining import ManifestMaintainer
from fetcher.policy.findings import ASIDE
from fetcher.report import checking as report
from fetcher.report import results, text
from fetcher.report.ticking import Ticker
from fetcher.store.names import PARTIAL

_SAMPLE: Final = re.compile(r"1/([1-9][0-9]{0,5})")
_TOPS: Final = ("images", "mismatched", "shards")
_STORED: Final = ("images", "shards")


@click.command()
@click.argument("directory", type=options.FILE, metavar="DIR")
@click.option(
    "--sample",
    metavar="1/N",
    help="Only an N-th of the files, another one each time, until all were looked at.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Put what is broken back to pending, and its bytes aside; nothing is deleted.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes that read and hash; as many as there are cores, and at least 2.",
)
@options.manifest_option
@options.json_option
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def verify(
    directory: Path,
    sample: str | None,
    workers: int | None,
    manifest: Path | None,
    *,
    repair: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Read every stored file of DIR again, and compare it with what was recorded.

    The same command again goes on where it was stopped. Without --repair no file and no image's
    state is touched; the manifest takes note of how far it came, and of what it found.
    """
    parts = _parts(sample)
    root = os.path.realpath(directory)
    command = options.command_line()
    errors = Console(stderr=True, quiet=quiet, markup=False, emoji=False, highlight=False)
    path = options.manifest_path(directory, manifest)
    with (
        Workers(root, workers or max(2, os.cpu_count() or 1)) as processes,
        ManifestMaintainer(
            path, command=command, place=Path(root) / PARTIAL if repair else None
        ) as opened,
    ):
        _require_folders(root)
        book = CheckBook(opened)
        standing = book.begin(parts, repair=repair)
        total = book.stored(standing.part)
        if repair and total and not any(Path(root, top).is_dir() for top in _STORED):
            raise UsageError(
                f"{root}/images is not there, nor shards, and {total:,} images are recorded as "
                "stored.",
                hint="Is its disk mounted? Without --repair, verify names them all as missing.",
            )
        if standing.resumed:
            errors.print(f"Going on behind {standing.files:,} of {total:,} files.")
        started, before = time.monotonic(), standing.read

        def tell(progress: Progress) -> None:
            ticker.tell(lambda: _sentence(progress, total, before, time.monotonic() - started))

        with (
            Ticker(errors, time.monotonic, time.time) as ticker,
            told_to_stop() as received,
        ):
            ended = Check(
                root=root,
                book=book,
                workers=processes,
                aside=_aside(root, standing.check_id) if repair else None,
                own=frozenset({*_TOPS, PARTIAL, *_files_of(path, root)}),
                put_aside=frozenset({ASIDE}),
                beyond=temporary(root),
                stopped=lambda: bool(received),
                observer=tell,
                now=time.monotonic,
            ).run(standing)
        summary = report.Summary(
            standing,
            ended.complete,
            book.counts(standing.check_id),
            book.pending_again(standing.check_id),
        )
        if as_json:
            report.write_json(
                lambda text: click.echo(text, nl=False), summary, book.findings(standing.check_id)
            )
        elif not quiet:
            console = results.console(markup=False, emoji=False, highlight=False)
            report.show(console, summary, book.findings(standing.check_id))
    if not ended.complete:
        errors.print("Stopped before the end. The same command goes on.")
        return Exit.STOPPED
    if summary.damaged and repair:
        errors.print(_pending_again(summary.pending_again))
    return Exit.LOSSES if summary.damaged else Exit.COMPLETE


def _parts(sample: str | None) -> int:
    if sample is None:
        return 1
    match = _SAMPLE.fullmatch(sample)
    if match is None:
        raise UsageError(
            f"--sample: got {sample!r}.", hint="It takes a share such as 1/10, down to 1/999999."
        )
    return int(match[1])


def _files_of(manifest: Path, root: str) -> Iterator[str]:
    """The names of a manifest's files in DIR, if it is there."""
    if os.path.realpath(manifest.parent) == root:
        for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
            yield manifest.name + suffix


def _pending_again(n: int) -> str:
    if not n:
        return "No image is pending again."
    images, they = ("image is", "it") if n == 1 else ("images are", "them")
    return f"{n:,} {images} pending again; the command of the mirror fetches {they}."


def _require_folders(root: str) -> None:
    """A link in their place is no damage to be repaired: it would put a whole mirror aside."""
    for top in _TOPS:
        try:
            mode = os.lstat(f"{root}/{top}").st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            raise UsageError(
                f"{root}/{top} is no folder, and links are not followed.",
                hint="To keep the images on another disk, mount it there.",
            )


def _aside(root: str, check_id: int) -> Aside:
    from fetcher.store.aside import Aside as Mover  # noqa: PLC0415  most checks repair nothing

    return Mover(root, check_id)


def _sentence(progress: Progress, total: int, before: int, seconds: float) -> str:
    standing = progress.standing
    speed = (standing.read - before) / max(seconds, 1e-9)
    if standing.through_folder is not None:
        return f"verify  {standing.entries:,} names  {progress.found:,} found"
    return (
        f"verify  {standing.files:,} of {total:,} files  {text.size(standing.read)}  "
        f"{text.size(speed)}/s  {progress.found:,} found"
    )
