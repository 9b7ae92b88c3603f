"""``fetcher retry``: settled assets back to pending."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from fetcher import __version__
from fetcher.cli import options
from fetcher.config.units import DURATION
from fetcher.errors import Exit, UsageError
from fetcher.manifest import ManifestReader, RunInfo
from fetcher.manifest.maintaining import ManifestMaintainer
from fetcher.manifest.reopening import Reopened
from fetcher.model import State
from fetcher.policy.codes import CODES
from fetcher.policy.reopening import Reopening, kept_among, reopening
from fetcher.report import reopening as report
from fetcher.report import results

Counts = Counter[tuple[State, str | None]]

_HOSTS: Final = (
    "Hosts are as in the URLs, without a port; * stands for anything, as in --host '*.example.org'."
)


@click.command()
@click.argument("directory", type=options.FILE, metavar="DIR")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in State if state.terminal]),
    metavar="S",
    help="Only images in this state; may be repeated. Without it and --code: failed.",
)
@click.option(
    "--code", "codes", multiple=True, metavar="C", help="Only with this code; as --state."
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="H",
    help="Only of this host, * as wildcard; as --state.",
)
@click.option("--older-than", metavar="AGE", help="Only what was settled longer ago, such as 30d.")
@click.option(
    "--include-kept", is_flag=True, help="Allow verified and unverified: images that are there."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be put back.")
@options.manifest_option
@options.json_option
def retry(
    *,
    directory: Path,
    states: tuple[str, ...],
    codes: tuple[str, ...],
    hosts: tuple[str, ...],
    older_than: str | None,
    manifest: Path | None,
    include_kept: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Put settled images of DIR back to pending, with all their attempts to spend.

    Nothing is sent and no file is touched: the mirror's own command fetches them.
    """
    chosen = tuple(map(State, states))
    if (kept := kept_among(chosen)) and not include_kept:
        raise UsageError(
            f"--state {kept[0]}: these images are there, and what is known of them would be lost.",
            hint="To find and mend what is broken: fetcher verify DIR --repair. "
            "To ask for all of them again: --include-kept.",
        )
    if "" in hosts:  # mostly a shell's variable that was never set; it would mean URLs without one
        raise UsageError("--host '': that is no host.", hint=_HOSTS)
    wanted = reopening(chosen, codes, hosts, _settled_by(older_than))
    path = options.manifest_path(directory, manifest)
    if dry_run:
        with ManifestReader(path) as reader:
            _check(wanted, *reader.reopening_terms(wanted))
            counts = _added(reader.reopenable(wanted))
    else:
        counts = _reopen(path, wanted)
    if as_json:
        click.echo(json.dumps(report.as_dict(counts, dry_run=dry_run)))
    else:
        report.show(results.console(), counts, wanted, dry_run=dry_run)
    return Exit.COMPLETE


def _settled_by(age: str | None) -> float | None:
    if age is None:
        return None
    try:
        return time.time() - DURATION.parse(age)
    except ValueError as error:
        raise UsageError(
            f"--older-than: got {age!r}.", hint=f"It takes {DURATION.accepts}."
        ) from error


def _check(wanted: Reopening, known_host: bool, codes: frozenset[str]) -> None:  # noqa: FBT001
    """A misspelt code or host finds nothing, and must not look like good news."""
    for code in sorted(wanted.codes or ()):
        if code not in CODES and code not in codes:
            raise UsageError(
                f"--code {code}: there is no such code.",
                hint=f"The codes of this manifest are: {', '.join(sorted(codes)) or 'none'}.",
            )
    if wanted.hosts is not None and not known_host:
        raise UsageError(
            f"--host {' '.join(wanted.hosts)}: no image of the manifest is on such a host.",
            hint=_HOSTS,
        )


def _reopen(path: Path, wanted: Reopening) -> Counts:
    command = options.command_line()
    counts = Counts()
    with ManifestMaintainer(path, command=command) as manifest:
        _check(wanted, *manifest.reopening_terms(wanted))
        run_id = manifest.begin_run(RunInfo(command, __version__))
        for found in manifest.reopen(wanted):
            counts += _added(found)
        manifest.end_run(run_id, Exit.COMPLETE, f"{counts.total()} reopened")
    return counts


def _added(found: Iterable[Reopened]) -> Counts:
    counts = Counts()
    for state, code, n in found:
        counts[state, code] += n
    return counts
