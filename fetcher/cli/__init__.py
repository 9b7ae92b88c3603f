"""The command line's way in. It can be told to stop before it loads anything that takes time, and
what will have workers lets them load before it loads the command line itself.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Final, NoReturn

from fetcher.cli.interrupts import interruptible, loading
from fetcher.cli.streams import fill_gaps

_WITH_WORKERS: Final = frozenset({"mirror", "audit"})


def main() -> NoReturn:
    """``fetcher``: ends the process, with one of the promised exit codes."""
    fill_gaps()
    with interruptible(), ExitStack() as at_the_end:
        nursery = None
        if not _WITH_WORKERS.isdisjoint(sys.argv[1:2]):
            with loading():
                from fetcher.cli.early import nursery_of_workers  # noqa: PLC0415  see above
            nursery = at_the_end.enter_context(nursery_of_workers())
        with loading():
            from fetcher.cli import commands  # noqa: PLC0415  see above
        commands.main(nursery)
