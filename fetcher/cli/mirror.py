"""``fetcher mirror``: options in, exit code out. What runs in between is in ``mirroring``."""

from __future__ import annotations

import json
from typing import Any

import click

from fetcher.cli import asking, early
from fetcher.cli.interrupts import loading
from fetcher.nursery.hiring import Nursery


@click.command()
@asking.where
@asking.what
@click.pass_obj
def mirror(begun: Nursery | None, /, **given: Any) -> int:
    """Fetch every image of the lists into DIR, and verify it.

    The same command again resumes. A LIST is a CSV or TSV file (also .gz), a .tar.gz with such
    files, or Parquet.
    """
    asked = asking.Asked(**given)
    with early.at_hand(begun) as nursery:
        job = asked.job()
        with loading():
            from fetcher.cli.crewing import crewed  # noqa: PLC0415  it loads while this does

        with crewed(job, nursery) as crew:
            with loading():
                from fetcher.cli.mirroring import run  # noqa: PLC0415  as well
                from fetcher.report import results  # noqa: PLC0415
                from fetcher.report import status as status_report  # noqa: PLC0415

            errors = asked.console()
            result = run(job, crew, errors)
    if asked.as_json:
        click.echo(json.dumps(status_report.as_dict(result.tally)))
    elif not asked.quiet:
        status_report.show(results.console(), result.tally)
    asking.explain(result, errors, again="resumes", lost="could not be had")
    return result.exit
