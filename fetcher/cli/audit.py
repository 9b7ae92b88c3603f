"""``fetcher audit``: options in, exit code out. What runs in between is in ``auditing``."""

from __future__ import annotations

import functools
import json
import os
from typing import Any

import click

from fetcher.cli import asking
from fetcher.cli.auditing import Auditing, Findings
from fetcher.cli.crewing import crewed
from fetcher.cli.early import at_hand
from fetcher.cli.job import Job
from fetcher.cli.mirroring import run
from fetcher.errors import ManifestUnusableError, UsageError
from fetcher.manifest import AuditTerms, ManifestReader
from fetcher.model import Method
from fetcher.nursery.hiring import Nursery
from fetcher.policy.sampling import SampleSize, parse_size
from fetcher.report import auditing as report
from fetcher.report import results

_LARGEST_SEED = 2**63 - 1
_LISTS_NAMED = 3


@click.command()
@asking.where
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
@asking.what
@click.pass_obj
def audit(
    begun: Nursery | None, /, *, method: str, sample: str | None, seed: int, **given: Any
) -> int:
    """Find out what of the lists is still there, and keep no image.

    The same command goes on with an audit that was stopped, and begins a new one after one that
    came to its end. DIR gets the manifest alone; what a mirror has stored there stays.
    """
    asked = asking.Asked(**given)
    job = asked.job(measure_only=True)
    _require_all_lists(job)
    terms = AuditTerms(Method(method), _size(sample), seed)
    errors = asked.console()
    findings = Findings()
    with at_hand(begun) as nursery, crewed(job, nursery) as crew:
        result = run(job, crew, errors, functools.partial(Auditing, terms, findings))
    about = _about(terms, sample, findings)
    if asked.as_json:
        click.echo(json.dumps(report.as_dict(about, result.tally, findings.strata)))
    elif not asked.quiet:
        report.show(results.console(), about, result.tally, findings.strata)
    asking.explain(result, errors, again="goes on", lost="are not there as listed")
    return result.exit


def _require_all_lists(job: Job) -> None:
    """An audit is of all that the manifest has: if that is more than was named, it must be told
    before. A list that is not there any more was moved, or another has taken its place.
    """
    try:
        with ManifestReader(job.manifest) as reader:
            known = reader.lists_of_images()
    except ManifestUnusableError:
        return  # there is none; or whoever opens it for writing brings it up to date, or says why
    named = {os.path.realpath(path) for path in job.lists}
    others = [
        path
        for path in known
        if os.path.isfile(path) and os.path.realpath(path) not in named  # noqa: PTH113  never raises
    ]
    if others:
        shown = ", ".join(others[:_LISTS_NAMED]) + (", …" if len(others) > _LISTS_NAMED else "")
        raise UsageError(
            f"{job.directory} is of other lists than these: it has images of {shown}.",
            hint="An audit is of all of them. Name them, too, or give the audit a DIR of its own.",
        )


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
