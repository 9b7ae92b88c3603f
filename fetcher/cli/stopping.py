"""Signals to a command that ends where it is, between two pieces of work, and may go on there."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from fetcher.cli.interrupts import is_ignored

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def told_to_stop() -> Iterator[list[int]]:
    """The signals that have come so far; the command looks at it where it can end."""
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {
        number: signal.signal(number, on_signal) for number in _SIGNALS if not is_ignored(number)
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
