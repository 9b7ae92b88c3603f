"""The command line's way in. It can be told to stop before it loads anything that takes time."""

from __future__ import annotations

from typing import NoReturn

from fetcher.cli.interrupts import interruptible, loading
from fetcher.cli.streams import fill_gaps


def main() -> NoReturn:
    """``fetcher``: ends the process, with one of the promised exit codes."""
    fill_gaps()
    with interruptible():
        with loading():
            from fetcher.cli import commands  # noqa: PLC0415  see above
        commands.main()
