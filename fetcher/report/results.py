"""The console that results are printed on.

A terminal has its own width, and may be a dumb one. Anything else is a log, a file or another
program's input, where a line is a line: it is not broken at the eightieth character, and columns
leave no blanks behind their last word.
"""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Any, Final, cast

from rich.console import Console, ConsoleDimensions

_UNBROKEN: Final = 1_000
"""Columns; more than any line of a table has."""
_BLANKS: Final = re.compile(r" +$", re.MULTILINE)


def console(**settings: Any) -> Console:
    """On standard output, as it is now. ``COLUMNS`` says otherwise, as everywhere."""
    if not sys.stdout.isatty():
        width = None if "COLUMNS" in os.environ else _UNBROKEN
        return Console(file=cast("IO[str]", _Trimmed(sys.stdout)), width=width, **settings)
    made = Console(**settings)
    if made.is_dumb_terminal and "COLUMNS" not in os.environ:
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.columns:  # else nobody knows, and the library's 80 are as good as any
            made.size = ConsoleDimensions(size.columns, size.lines)
    return made


class _Trimmed:
    """Takes what is written line by line or in many lines at once, as the library does."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_BLANKS.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
