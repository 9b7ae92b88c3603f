"""``fetcher audit``: options in, exit code out. What runs in between is in ``auditing``."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import click
from rich.console import Console

from fetcher.cli import options
from fetcher.cli.auditing import Auditing, Findings
from fetcher.cli.mirroring import Job, Result, run
from fetcher.engine import EndReason
from fetcher.errors import Exit, UsageError
from fetcher.manifest import AuditTerms
from fetcher.model import Method, Selection
from fetcher.policy.sampling import SampleSize, parse_size
from fetcher.report import auditing as report
from fetcher.report.text import printable
from fetcher.source import read_ids

_LARGEST_SEED = 2**63 - 1


@click.command()
@click.argument("lists", nargs=-1, required=True, type=options.FILE, metavar="LIST...")
@click.option(
    "--to", "directory", required=True, type=options.FILE, metavar="DIR", help="Where it goes."
)
@click.option(
    "--method",
    type=click.Choice([Method.HEAD.value, Method.GET.value]),
    default=Method.HEAD.value,
    show_default=True,
    help="head: is it there, of the listed length? get: all bytes, compared and thrown away.",
)
@click.option("--sample", metavar="N|P%", help="Only so many images, or such a share of them.")
@click.option(
    "--seed",
    type=click.IntRange(0, _LARGEST_SEED),
    default=0,
    show_default=True,
    metavar="N",
    help="Which sample: the same seed and list give the same one.",
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
def audit(
    *,
    lists: tuple[Path, ...],
    directory: Path,
    method: str,
    sample: str | None,
    seed: int,
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
    """Find out what of the lists is still there, and keep no image.

    The same command goes on with an audit that was stopped, and begins a new one after one that
    came to its end. DIR gets the manifest alone; what a mirror has stored there stays.
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
    terms = AuditTerms(Method(method), _size(sample), seed)
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
        measure_only=True,
    )
    errors = Console(stderr=True, quiet=quiet, markup=False, emoji=False, highlight=False)
    findings = Findings()
    result = run(job, errors, functools.partial(Auditing, terms, findings))
    about = _about(terms, sample, findings)
    if as_json:
        click.echo(json.dumps(report.as_dict(about, result.tally, findings.strata)))
    elif not quiet:
        report.show(Console(), about, result.tally, findings.strata)
    _explain(result, errors)
    return result.exit


def _size(sample: str | None) -> SampleSize | None:
    if sample is None:
        return None
    try:
        return parse_size(sample)
    except ValueError as error:
        raise UsageError(
            f"--sample: got {sample!r}.",
            hint="It takes a number of images, such as 1000, or a share, such as 1%.",
        ) from error


def _about(terms: AuditTerms, sample: str | None, findings: Findings) -> report.About:
    drawn = findings.audit
    return report.About(
        audit=drawn.audit_id if drawn is not None else None,
        method=terms.method,
        sample=sample.strip() if sample is not None else None,
        seed=terms.seed if sample is not None else None,
        listed=drawn.listed if drawn is not None else 0,
        asked=drawn.asked if drawn is not None else 0,
        strata=drawn.strata if drawn is not None else 0,
        resumed=drawn.resumed if drawn is not None else False,
    )


def _explain(result: Result, console: Console) -> None:
    """The last line: how it ended, and what to do now."""
    ending = result.ending
    if result.tally.rows.rejected:
        console.print(
            f"{result.tally.rows.rejected:,} rows cannot be used; the manifest's table "
            "rejected_rows says why."
        )
    if result.exit is Exit.OUR_FAULT:
        message = f"Stopped by a fault of our side: {ending.fault_code}: {printable(ending.detail)}"
        console.print(message, style="bold red")
        console.print("Nothing is lost: mend it, then run the same command again.")
    elif result.exit is Exit.STOPPED:
        reason = printable(ending.detail) or EndReason.STOPPED
        console.print(f"Stopped before the end ({reason}). The same command goes on.")
    elif result.exit is Exit.LOSSES:
        console.print("Finished; some images are not there as listed. The codes say why.")
