"""Signals to a command that is still loading, or has nothing to end in good order.

Whichever comes is a Ctrl-C: an exception, which unwinds what there is and ends as an interrupted
command does. But none is raised while modules load: that goes through callbacks which only print
what is raised in them, and through others which make something else of it. So the first one waits
until they are loaded, and the second ends the process where it is.

A run hears signals in its own way (``fetcher.cli.signals``), and so does what ends between two
pieces of work (``fetcher.cli.stopping``).

This comes before anything else, and loads next to nothing.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPED: Final = 3
"""``fetcher.errors.Exit.STOPPED``, which takes longer to load."""
_ALL: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """The process's life, in its main thread. Once it is known how it ends, no signal changes
    that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio knows what to do with it
    for number in (signal.SIGTERM, signal.SIGHUP):
        if not is_ignored(number):
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None
    finally:
        for number in _ALL:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def loading() -> Iterator[None]:
    """While modules load. Raises ``KeyboardInterrupt`` in the end if a signal has come. None of
    what is made meanwhile is garbage, and looking for it would take a fifteenth of the time.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if came:
            os._exit(STOPPED)
        came.append(number)

    before = signal.signal(signal.SIGINT, note)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def is_ignored(number: signal.Signals) -> bool:
    """Whoever started us wants us to outlive it: ``nohup`` does so with SIGHUP."""
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
