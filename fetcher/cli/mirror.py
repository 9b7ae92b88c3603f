"""``fetcher mirror``: options in, exit code out. What runs in between is in ``mirroring``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from fetcher.cli import options
from fetcher.cli.mirroring import Job, Result, run
from fetcher.engine import EndReason
from fetcher.errors import Exit
from fetcher.model import Selection
from fetcher.report import status as status_report
from fetcher.report.text import printable
from fetcher.source import read_ids


@click.command()
@click.argument("lists", nargs=-1, required=True, type=options.FILE, metavar="LIST...")
@click.option(
    "--to", "directory", required=True, type=options.FILE, metavar="DIR", help="Where it goes."
)
@click.option(
    "--subset", "subsets", multiple=True, metavar="NAME", help="Only this subset; may be repeated."
)
@click.option(
    "--ids", "ids_file", type=options.FILE, metavar="FILE", help="Only the ids in this file."
)
@click.option("--limit", metavar="N", help="Stop after settling N images; exit code 3.")
@click.option("--max-runtime", metavar="TIME", help="Stop after this time, such as 8h.")
@click.option("--tolerate", metavar="SHARE", help="Exit 0 if at most this share, as 20%, is lost.")
@click.option("--rate", metavar="N", help="Requests per second to each host group.")
@click.option(
    "--contact", metavar="WHO", help="Web page or mail address that the User-Agent names."
)
@options.configuration
@options.manifest_option
@options.json_option
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def mirror(
    *,
    lists: tuple[Path, ...],
    directory: Path,
    subsets: tuple[str, ...],
    ids_file: Path | None,
    limit: str | None,
    max_runtime: str | None,
    tolerate: str | None,
    rate: str | None,
    contact: str | None,
    config_file: Path | None,
    sets: tuple[str, ...],
    manifest: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Fetch every image of the lists into DIR, and verify it.

    The same command again resumes. A LIST is a CSV or TSV file (also .gz), a .tar.gz with such
    files, or Parquet.
    """
    loaded = options.loaded(
        config_file,
        sets,
        {
            "run.subsets": options.flag("--subset", list(subsets) or None),
            "run.limit": options.flag("--limit", limit),
            "run.max_runtime": options.flag("--max-runtime", max_runtime),
            "run.tolerate": options.flag("--tolerate", tolerate),
            "hosts.default.rate": options.flag("--rate", rate),
            "fetch.contact": options.flag("--contact", contact),
        },
    )
    chosen = loaded.config.run.subsets
    job = Job(
        lists=lists,
        directory=directory,
        manifest=options.manifest_path(directory, manifest),
        loaded=loaded,
        selection=Selection(
            subsets=frozenset(chosen) if chosen is not None else None,
            ids=read_ids(ids_file) if ids_file is not None else None,
        ),
        command=tuple(sys.argv[1:]),
    )
    errors = Console(stderr=True, quiet=quiet, markup=False, emoji=False, highlight=False)
    result = run(job, errors)
    if as_json:
        click.echo(json.dumps(status_report.as_dict(result.tally)))
    elif not quiet:
        status_report.show(Console(), result.tally)
    _explain(result, errors)
    return result.exit


def _explain(result: Result, console: Console) -> None:
    """The last line: how it ended, and what to do now."""
    ending = result.ending
    rejected = result.tally.rows.rejected
    if rejected:
        console.print(
            f"{rejected:,} rows cannot be used; the manifest's table rejected_rows says why."
        )
    if result.exit is Exit.OUR_FAULT:
        message = f"Stopped by a fault of our side: {ending.fault_code}: {printable(ending.detail)}"
        console.print(message, style="bold red")
        console.print("Nothing is lost: mend it, then run the same command again.")
    elif result.exit is Exit.STOPPED:
        reason = printable(ending.detail) or EndReason.STOPPED
        console.print(f"Stopped before the end ({reason}). The same command resumes.")
    elif result.exit is Exit.LOSSES:
        console.print("Finished; some images could not be had. The codes say why.")
