"""``fetcher plan``: what a mirror of these lists would take; sends nothing, and writes nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click
from rich.console import Console

from fetcher.cli import options
from fetcher.config import Config, host_groups
from fetcher.errors import UsageError
from fetcher.manifest import ManifestReader
from fetcher.manifest.origins import standing
from fetcher.model import Selection, Tally
from fetcher.policy import planning
from fetcher.policy.planning import Room
from fetcher.report import plan as report
from fetcher.report import results
from fetcher.report.text import duration
from fetcher.report.ticking import Ticker
from fetcher.source import ColumnNames, ImageList, open_list, read_ids
from fetcher.source.survey import Manner, Surveyor

_BLOCK = 4_096
"""Of most file systems; where --to leads, its own counts."""


@click.command()
@click.argument("lists", nargs=-1, required=True, type=options.FILE, metavar="LIST...")
@click.option(
    "--to", "directory", type=options.FILE, metavar="DIR", help="Where a mirror would go."
)
@click.option(
    "--subset", "subsets", multiple=True, metavar="NAME", help="Only this subset; may be repeated."
)
@click.option(
    "--ids", "ids_file", type=options.FILE, metavar="FILE", help="Only the ids in this file."
)
@click.option("--rate", metavar="N", help="Requests per second to each host group.")
@options.configuration
@options.manifest_option
@options.json_option
@click.option("--quiet", is_flag=True, help="No progress.")
def plan(
    *,
    lists: tuple[Path, ...],
    directory: Path | None,
    subsets: tuple[str, ...],
    ids_file: Path | None,
    rate: str | None,
    config_file: Path | None,
    sets: tuple[str, ...],
    manifest: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what mirroring the lists would take: rows, bytes, hosts, time and disk.

    Nothing is sent, and nothing is written but temporary files, 70 bytes for each row.
    """
    config = options.loaded(
        config_file,
        sets,
        {
            "run.subsets": options.flag("--subset", list(subsets) or None),
            "hosts.default.rate": options.flag("--rate", rate),
        },
    ).config
    chosen = config.run.subsets
    selection = Selection(
        subsets=frozenset(chosen) if chosen is not None else None,
        ids=read_ids(ids_file) if ids_file is not None else None,
    )
    opened = _checked(lists, config, selection)
    room = _room(directory) if directory is not None else None
    errors = Console(stderr=True, quiet=quiet, markup=False, emoji=False, highlight=False)
    surveyor = Surveyor(
        Manner(
            standing=standing,
            block=room.block if room is not None else _BLOCK,
            max_bytes=config.fetch.max_bytes,
        )
    )
    with Ticker(errors, time.monotonic, time.time) as ticker:
        survey = surveyor.survey(opened, _Telling(ticker, surveyor))
    if not survey.rows.read and not selection.everything:
        raise UsageError(
            "No row of the lists was selected.",
            hint="Look at --subset and --ids, and at what the lists call their subsets.",
        )
    groups = host_groups(config)
    made = report.Plan(
        survey=survey,
        groups=planning.by_group(survey, groups.group_of, groups.budget),
        need=planning.need(survey),
        room=room,
        have=_have(directory, manifest),
        unmet_ids=len(selection.ids) - survey.rows.accepted if selection.ids is not None else 0,
        max_bytes=config.fetch.max_bytes,
    )
    if as_json:
        click.echo(json.dumps(report.as_dict(made)))
    else:
        report.show(results.console(markup=False, emoji=False, highlight=False), made)
    if survey.rows.rejected and not survey.rows.accepted:
        raise UsageError(
            "No row of the lists can be used: a mirror of them would have no image.",
            hint="Mend the lists, or name their columns (source.columns.*); the reasons are above.",
        )


def _checked(lists: tuple[Path, ...], config: Config, selection: Selection) -> list[ImageList]:
    """As ``mirror`` checks them: what is no list is refused before the first is read."""
    names = config.source.columns
    columns = ColumnNames(
        id=names.id, subset=names.subset, url=names.url, size=names.size, md5=names.md5
    )
    opened = [
        open_list(path, columns, selection, check_bytes=config.source.check_bytes) for path in lists
    ]
    for image_list in opened:
        image_list.check()
    return opened


class _Telling:
    """Bytes of a list, as they are read, become a sentence with an estimate of the end."""

    def __init__(self, ticker: Ticker, surveyor: Surveyor) -> None:
        self._ticker = ticker
        self._surveyor = surveyor
        self._started = time.monotonic()

    def __call__(self, done: int, size: int) -> None:
        self._ticker.tell(lambda: self._sentence(done, size))

    def _sentence(self, done: int, size: int) -> str:
        passed = time.monotonic() - self._started
        share = done / size if size else 1.0
        left = duration(passed / share - passed) if share else "?"
        speed = self._surveyor.read / max(passed, 1e-9)
        rows = self._surveyor.read
        return f"plan  {rows:,} rows  {speed:,.0f}/s  {share:.0%} of the list  ETA {left}"


def _room(directory: Path) -> Room:
    """Of the disk that ``directory`` is on, or would be."""
    there = Path(os.path.realpath(directory))
    if not there.exists() and there.parent.is_dir():
        there = there.parent
    try:
        found = os.statvfs(there)
    except OSError as error:
        raise UsageError(
            f"--to {directory}: {error.strerror}.",
            hint="DIR, or at least its parent, must be there.",
        ) from error
    files = found.f_favail if found.f_files else None
    return Room(str(there), found.f_bavail * found.f_frsize, files, found.f_frsize)


def _have(directory: Path | None, manifest: Path | None) -> Tally | None:
    """Where a mirror stands that is there already."""
    if directory is None:
        return None
    path = options.manifest_path(directory, manifest)
    if manifest is None and not path.exists():
        return None
    with ManifestReader(path) as reader:
        return reader.tally()
