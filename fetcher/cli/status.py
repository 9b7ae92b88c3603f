"""``fetcher status``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from fetcher.cli import options
from fetcher.manifest import ManifestReader
from fetcher.report import results
from fetcher.report import status as status_report


@click.command()
@click.argument("directory", type=options.FILE, metavar="DIR")
@options.manifest_option
@options.json_option
def status(directory: Path, manifest: Path | None, *, as_json: bool) -> None:
    """Where the mirror in DIR stands. Changes nothing; works while a run is on, too."""
    with ManifestReader(options.manifest_path(directory, manifest)) as reader:
        tally, memories, wall = reader.tally(), reader.host_memories(), time.time()
        ended = reader.last_run_ended()
    if as_json:
        click.echo(json.dumps(status_report.as_dict(tally, memories, wall)))
    else:
        status_report.show(results.console(), tally, memories, wall, ended=ended)
