"""The command line: the only place where adapters meet the engine; exit codes are made here."""

from __future__ import annotations

import io
import sys
import traceback
from typing import NoReturn

import click

from fetcher import __version__
from fetcher.cli.audit import audit
from fetcher.cli.config import config_group
from fetcher.cli.demo import demo
from fetcher.cli.export import export
from fetcher.cli.mirror import mirror
from fetcher.cli.plan import plan
from fetcher.cli.report import report
from fetcher.cli.retry import retry
from fetcher.cli.status import status
from fetcher.cli.triage import triage
from fetcher.cli.verify import verify
from fetcher.errors import Exit, FetcherError
from fetcher.report.text import printable


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fetcher")
def cli() -> None:
    """Mirror lists of millions of images: polite, resumable, verified.

    New here? `fetcher demo` shows it all in under a minute, without a network.
    """


for command in (
    demo,
    plan,
    mirror,
    audit,
    verify,
    triage,
    retry,
    status,
    report,
    export,
    config_group,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line, and turn what it raises into a message and an exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as request:
        sys.exit(request.exit_code)
    except click.Abort:
        sys.exit(Exit.STOPPED)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        _echo(said.getvalue())
        sys.exit(Exit.UNUSABLE)
    except FetcherError as error:
        _show(error)
        sys.exit(error.exit)
    except Exception:  # noqa: BLE001  a bug: told in full, and not as one of the promised endings
        _echo(traceback.format_exc())
        sys.exit(Exit.OUR_FAULT)
    sys.exit(code if isinstance(code, int) else Exit.COMPLETE)


def _echo(text: str) -> None:
    for line in text.split("\n")[:-1]:
        click.echo(printable(line), err=True)


def _show(error: FetcherError) -> None:
    for n, line in enumerate(error.sentence.splitlines()):
        click.echo(f"{'fetcher: ' if n == 0 else '  '}{printable(line)}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {printable(line)}", err=True)
