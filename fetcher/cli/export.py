"""``fetcher export``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from fetcher.cli import options
from fetcher.manifest import ManifestReader
from fetcher.model import KEPT, State
from fetcher.report.interchange import FORMATS
from fetcher.report.output import STDOUT, refuse_inside, refuse_lists, whole_file
from fetcher.report.text import counted

REMAINS: Final = frozenset({State.PENDING, State.FAILED})
"""What another try may still get."""


@click.command()
@click.argument("directory", type=options.FILE, metavar="DIR")
@click.option(
    "--as",
    "form",
    type=click.Choice(tuple(FORMATS)),
    required=True,
    help="An image list (csv), TsvHttpData-1.0 (tsv), an input file for aria2c, Parquet for "
    "img2dataset, or sums for md5sum --check.",
)
@click.option(
    "--state",
    "states",
    type=click.Choice([str(state) for state in State]),
    multiple=True,
    help="Only images in this state; may be repeated. If not given: what remains (pending and "
    "failed); for md5sums what is stored (verified and unverified).",
)
@click.option(
    "--to",
    "target",
    type=options.FILE,
    default=STDOUT,
    metavar="FILE",
    help="Where to; standard output if not given.",
)
@options.manifest_option
def export(
    *,
    directory: Path,
    form: str,
    states: tuple[str, ...],
    target: Path,
    manifest: Path | None,
) -> None:
    """Hand what remains, or what is stored, over to other tools.

    Changes nothing in DIR; works while a run is on, too.
    """
    path = options.manifest_path(directory, manifest)
    refuse_inside(directory, path, target)
    chosen = FORMATS[form]
    wanted = frozenset(map(State, states)) or (KEPT if chosen.kept else REMAINS)
    with ManifestReader(path) as reader:
        refuse_lists(reader.lists(), target)
        images = reader.listed(wanted, by_url=chosen.by_url, kept=chosen.kept)
        with whole_file(target, binary=chosen.binary) as file:
            written = chosen.write(file, images, reader.extra_columns())
    left_out = f"; {written.skipped:,} cannot be told in this format" if written.skipped else ""
    click.echo(f"{counted(written.images, 'image')}{left_out}", err=True)
