"""What there is to command, and how each command ends: exit codes are made here."""

from __future__ import annotations

import errno
import io
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from fetcher import __version__
from fetcher.cli.interrupts import loading
from fetcher.cli.streams import silence_output
from fetcher.errors import Exit, FetcherError, StoreError, WorkerBrokeError
from fetcher.policy.oserrors import disk_fault
from fetcher.report.text import printable

if TYPE_CHECKING:
    from fetcher.nursery.hiring import Nursery

_COMMANDS: Final = {
    "demo": "fetcher.cli.demo:demo",
    "plan": "fetcher.cli.plan:plan",
    "mirror": "fetcher.cli.mirror:mirror",
    "audit": "fetcher.cli.audit:audit",
    "verify": "fetcher.cli.verify:verify",
    "triage": "fetcher.cli.triage:triage",
    "retry": "fetcher.cli.retry:retry",
    "status": "fetcher.cli.status:status",
    "report": "fetcher.cli.report:report",
    "export": "fetcher.cli.export:export",
    "config": "fetcher.cli.config:config_group",
}

_WHOLE: Final = 1_000
"""Characters; more than a sentence has."""
_OF_A_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


class _Commands(click.Group):
    """Loads a command when it is asked for: what all of them need together takes longer to load
    than most of them take to run.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        with loading():
            command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Whole first sentences, on two lines where need be: the library ends them with dots."""
        loaded = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, found.get_short_help_str(_WHOLE)) for name, found in loaded if found]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """The library would end with 1 where nobody reads the result any more (``| head``)."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as error:
            if not isinstance(error.__context__ or error, BrokenPipeError):
                raise
            silence_output()
            raise click.exceptions.Exit(Exit.STOPPED) from None


def _version(ctx: click.Context) -> NoReturn:
    """Whether the extensions are in force nothing else shows but the processor's time."""
    from fetcher import lines  # noqa: PLC0415  most commands do without
    from fetcher.digests import LANES  # noqa: PLC0415  likewise

    click.echo(f"fetcher, version {__version__}")
    click.echo(f"MD5 of {LANES} at a time" if LANES > 1 else "MD5 by hashlib, one after the other")
    click.echo("lists by whole blocks" if lines.cut is not None else "lists row by row")
    ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, asked: _version(ctx) if asked else None,
    help="Show the version, and what computes MD5s here.",
)
def cli() -> None:
    """Mirror lists of millions of images: polite, resumable, verified.

    New here? `fetcher demo` shows it all in under a minute, without a network.
    """


def main(nursery: Nursery | None = None) -> NoReturn:
    """Run the command line, and turn what it raises into a message and an exit code. ``nursery`` is
    of a command's workers, if it has begun.
    """
    try:
        code = cli.main(standalone_mode=False, obj=nursery)
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
    except WorkerBrokeError as error:  # a bug as well, and where it is tells the worker's traceback
        _echo(str(error))
        sys.exit(Exit.OUR_FAULT)
    except OSError as error:
        if error.errno not in _OF_A_DISK:
            _echo(traceback.format_exc())
        else:
            silence_output()
            _show(_unwritable(error))
        sys.exit(Exit.OUR_FAULT)
    except Exception:  # noqa: BLE001  a bug: told in full, and not as one of the promised endings
        _echo(traceback.format_exc())
        sys.exit(Exit.OUR_FAULT)
    sys.exit(code if isinstance(code, int) else Exit.COMPLETE)


def _unwritable(error: OSError) -> StoreError:
    """Mostly a result: what writes files of ours says which one it is."""
    return StoreError(
        f"{error.filename or 'The result'} cannot be written: {error.strerror}.",
        fault_code=disk_fault(error),
        hint="Make room where it goes, then give the same command again; nothing is lost.",
    )


def _echo(text: str) -> None:
    for line in text.split("\n")[:-1]:
        click.echo(printable(line.expandtabs(4)), err=True)  # click indents choices by a tab


def _show(error: FetcherError) -> None:
    for n, line in enumerate(error.sentence.splitlines()):
        click.echo(f"{'fetcher: ' if n == 0 else '  '}{printable(line)}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"  {printable(line)}", err=True)
