"""``fetcher report``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from fetcher import __version__
from fetcher.cli import options
from fetcher.config import registrable_domain
from fetcher.errors import UsageError
from fetcher.manifest import Grouping, ManifestReader
from fetcher.model import KEPT, HostBudget
from fetcher.policy.hosts import GroupRule, HostGroups
from fetcher.report import credits as crediting
from fetcher.report import data, html
from fetcher.report.output import STDOUT, refuse_inside, refuse_lists, whole_file
from fetcher.report.text import counted, moment
from fetcher.report.ticking import Ticker

_WRITERS: Final[Mapping[str, Callable[..., None]]] = {
    "html": html.write,
    "csv": data.write_csv,
    "json": data.write_json,
    "parquet": data.write_parquet,
}
_SUFFIXES: Final[Mapping[str, str]] = {".htm": "html"} | {f".{form}": form for form in _WRITERS}
_NEEDS: Final[Mapping[str, Callable[[], object]]] = {
    "html": html.require,
    "parquet": lambda: data.arrow("A report in Parquet"),
}
"""They raise ``MissingExtraError`` before a long manifest is read for it."""
_NO_BUDGET: Final = HostBudget(None, 1, 1)


@click.command()
@click.argument("directory", type=options.FILE, metavar="DIR")
@click.option(
    "--as",
    "form",
    type=click.Choice(tuple(_WRITERS)),
    help="What to write; if not given, what the ending of FILE says, or html.",
)
@click.option(
    "-o",
    "--output",
    type=options.FILE,
    metavar="FILE",
    help="Where to; - is standard output. If not given: report.html or report.parquet here; CSV "
    "and JSON go to standard output.",
)
@click.option(
    "--since",
    type=int,
    metavar="RUN",
    help="Add what died, came back or changed in it and after it.",
)
@click.option(
    "--attribution",
    type=options.FILE,
    metavar="FILE",
    help="Instead of a report, write the credits of what is stored: FILE.csv or FILE.html.",
)
@options.manifest_option
def report(
    *,
    directory: Path,
    form: str | None,
    output: Path | None,
    since: int | None,
    attribution: Path | None,
    manifest: Path | None,
) -> None:
    """Report on the mirror in DIR: for people as HTML with plots, for machines as data.

    Changes nothing in DIR; works while a run is on, too.
    """
    path = options.manifest_path(directory, manifest)
    if attribution is not None:
        if form is not None or output is not None or since is not None:
            raise UsageError(
                "--attribution stands alone: it writes credits instead of a report.",
                hint="Give the two commands one after the other.",
            )
        _credits(directory, path, attribution)
        return
    form = _form(form, output)
    target = output or (STDOUT if form in {"csv", "json"} else Path(f"report.{form}"))
    refuse_inside(directory, path, target)
    if form in _NEEDS:
        _NEEDS[form]()
    errors = Console(stderr=True, markup=False, emoji=False, highlight=False)
    with (
        ManifestReader(path) as reader,
        Ticker(errors, time.monotonic, time.time) as ticker,
    ):
        refuse_lists(reader.lists(), target)
        settings = reader.last_settings()
        tables = reader.figures(
            _grouping(settings), since, lambda name: ticker.tell(lambda: f"report  counting {name}")
        )
    about = html.About(
        str(directory),
        moment(time.time()),
        __version__,
        since,
        _texts(settings, "placeholders", "redirects"),
        _texts(settings, "placeholders", "digests"),
    )
    with whole_file(target, binary=form == "parquet") as file:
        _WRITERS[form](file, tables, about)
    if target != STDOUT:
        click.echo(f"Written: {target}", err=True)


def _form(given: str | None, output: Path | None) -> str:
    """What to write: as asked for, else as the file's name says."""
    named = _SUFFIXES.get(output.suffix.lower()) if output is not None else None
    if given is not None and named is not None and given != named:
        raise UsageError(
            f"{output} has the name of another form than --as {given}.",
            hint=f"Give the file another ending, or ask for --as {named}.",
        )
    return given or named or "html"


def _credits(directory: Path, path: Path, target: Path) -> None:
    refuse_inside(directory, path, target)
    with ManifestReader(path) as reader:
        refuse_lists(reader.lists(), target)
        rows = reader.listed(KEPT, kept=True)
        written = crediting.write(target, rows, about=str(directory))
    where = f"Written: {target}, with the" if target != STDOUT else "The"
    click.echo(f"{where} credits of {counted(written, 'image')}", err=True)


def _grouping(settings: Mapping[str, Any]) -> Grouping:
    """Hosts as the last run grouped them."""
    hosts = settings.get("hosts")
    groups = hosts.get("groups") if isinstance(hosts, Mapping) else None
    patterns = {
        str(name): _texts(group, "match")
        for name, group in (groups.items() if isinstance(groups, Mapping) else ())
    }
    rules = [GroupRule(name, match, _NO_BUDGET) for name, match in patterns.items()]
    known = HostGroups(_NO_BUDGET, rules, registrable_domain=registrable_domain)
    return Grouping(known.group_of, patterns, registrable_domain)


def _texts(settings: Any, *path: str) -> tuple[str, ...]:
    """A list of texts in what a run noted, which may have been another version's."""
    for key in path:
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    if isinstance(settings, str):
        return (settings,)
    return tuple(map(str, settings)) if isinstance(settings, list) else ()
