"""``fetcher demo``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.console import Console

from fetcher.cli import options
from fetcher.demo import tls
from fetcher.demo.tour import Tour
from fetcher.errors import Exit, UsageError


@click.command()
@click.option(
    "--to",
    "directory",
    type=options.FILE,
    metavar="DIR",
    help="Keep what the tour makes in this new directory.",
)
def demo(directory: Path | None) -> int:
    """A tour in under a minute, offline: mirror, interrupt, resume, look.

    A little web on this machine serves a small list with some rot in it.
    """
    tls.require()
    console = Console()
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="fetcher-demo-") as temporary:
            return _tour(Path(temporary), console)
    try:
        directory.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(
            f"{directory} exists.", hint="Name a directory that is not there yet."
        ) from error
    code = _tour(directory.absolute(), console)
    console.print(f"All of it is kept in {directory}.", markup=False, highlight=False)
    return code


def _tour(directory: Path, console: Console) -> int:
    return Exit.COMPLETE if Tour(directory, console).run() else Exit.OUR_FAULT
