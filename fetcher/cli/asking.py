"""What mirrors and audits share on the command line: options that say what is asked for and how,
the job that they make, and the last line, which says how it ended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from msgspec import Struct

from fetcher.cli import options
from fetcher.cli.interrupts import loading
from fetcher.errors import Exit
from fetcher.model import Selection
from fetcher.report.text import counted, printable

if TYPE_CHECKING:
    from rich.console import Console

    from fetcher.cli.job import Job
    from fetcher.cli.mirroring import Result

F = TypeVar("F", bound=Callable[..., Any])

_WHERE: Final = (
    click.argument("lists", nargs=-1, required=True, type=options.FILE, metavar="LIST..."),
    click.option(
        "--to", "directory", required=True, type=options.FILE, metavar="DIR", help="Where it goes."
    ),
)
_WHAT: Final = (
    click.option(
        "--subset",
        "subsets",
        multiple=True,
        metavar="NAME",
        help="Only this subset; may be repeated.",
    ),
    click.option(
        "--ids", "ids_file", type=options.FILE, metavar="FILE", help="Only the ids in this file."
    ),
    click.option("--limit", metavar="N", help="Stop after settling N images; exit code 3."),
    click.option("--max-runtime", metavar="TIME", help="Stop after this time, such as 8h."),
    click.option(
        "--tolerate", metavar="SHARE", help="Exit 0 if at most this share, as 20%, is lost."
    ),
    click.option("--rate", metavar="N", help="Requests per second to each host group."),
    click.option(
        "--contact", metavar="WHO", help="Web page or mail address that the User-Agent names."
    ),
    options.configuration,
    options.manifest_option,
    options.json_option,
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
)


def where(command: F) -> F:
    """The lists and DIR."""
    return _decorated(command, _WHERE)


def what(command: F) -> F:
    """Which rows, how much, how politely, and how it is told: the fields of ``Asked``."""
    return _decorated(command, _WHAT)


class Asked(Struct, frozen=True, kw_only=True):
    """The values of the options of ``where`` and ``what``."""

    lists: tuple[Path, ...]
    directory: Path
    subsets: tuple[str, ...]
    ids_file: Path | None
    limit: str | None
    max_runtime: str | None
    tolerate: str | None
    rate: str | None
    contact: str | None
    config_file: Path | None
    sets: tuple[str, ...]
    manifest: Path | None
    as_json: bool
    quiet: bool

    def job(self, *, measure_only: bool = False) -> Job:
        """Raises ``ConfigError`` or ``UsageError``."""
        loaded = options.loaded(
            self.config_file,
            self.sets,
            {
                "run.subsets": options.flag("--subset", list(self.subsets) or None),
                "run.limit": options.flag("--limit", self.limit),
                "run.max_runtime": options.flag("--max-runtime", self.max_runtime),
                "run.tolerate": options.flag("--tolerate", self.tolerate),
                "hosts.default.rate": options.flag("--rate", self.rate),
                "fetch.contact": options.flag("--contact", self.contact),
            },
        )
        with loading():
            from fetcher.cli.job import Job  # noqa: PLC0415  with the configuration, see options
            from fetcher.source.ids import read_ids  # noqa: PLC0415

        chosen = loaded.config.run.subsets
        return Job(
            lists=self.lists,
            directory=self.directory,
            manifest=options.manifest_path(self.directory, self.manifest),
            loaded=loaded,
            selection=Selection(
                subsets=frozenset(chosen) if chosen is not None else None,
                ids=read_ids(self.ids_file) if self.ids_file is not None else None,
            ),
            command=tuple(sys.argv[1:]),
            measure_only=measure_only,
        )

    def console(self) -> Console:
        """For all but the result."""
        with loading():
            from rich.console import Console  # noqa: PLC0415  others load while this does

        return Console(stderr=True, quiet=self.quiet, markup=False, emoji=False, highlight=False)


def explain(result: Result, console: Console, *, again: str, lost: str) -> None:
    """The last line: how it ended, and what to do now. ``again`` is what the same command does,
    ``lost`` what is wrong with images that ended otherwise than they should.
    """
    ending = result.ending
    rejected = result.tally.rows.rejected
    if rejected:
        console.print(
            f"{counted(rejected, 'row')} cannot be used; "
            "the manifest's table rejected_rows says why."
        )
    if result.exit is Exit.OUR_FAULT:
        message = f"Stopped by a fault of our side: {ending.fault_code}: {printable(ending.detail)}"
        console.print(message, style="bold red")
        console.print("Nothing is lost: mend it, then run the same command again.")
    elif result.exit is Exit.STOPPED:
        reason = printable(ending.detail) or ending.reason
        console.print(f"Stopped before the end ({reason}). The same command {again}.")
    elif result.exit is Exit.LOSSES:
        console.print(f"Finished; some images {lost}. The codes say why.")


def _decorated(command: F, decorators: tuple[Callable[[F], F], ...]) -> F:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
