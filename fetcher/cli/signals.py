"""Signals that stop a run, from when the manifest is its own until its end is written there.

Each goes to whoever can stop what is going on. Where that is nobody, as between the lists' end and
the engine's begin, it waits for the next one who can; behind the last there is only bookkeeping to
be done, and no signal ends that. However many of them come, none kills a run that has been told to
stop: it would stay without an end in the manifest, and its exit code would say another thing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fetcher.cli.interrupts import is_ignored

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Stop = Callable[[str], None]
"""Told each signal's name."""


class Signals:
    """Of one run."""

    def __init__(self) -> None:
        self._stop: Stop | None = None
        self._waiting: list[str] = []
        self._came = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """None of them ends the process meanwhile; nor later, once one has come: there is nothing
        left to do but to tell of it.
        """
        loop = asyncio.get_running_loop()
        before = {each: signal.getsignal(each) for each in SIGNALS if not is_ignored(each)}
        for number in before:
            loop.add_signal_handler(number, self._on_signal, number.name)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN if self._came else handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    @contextmanager
    def stopping(self, stop: Stop) -> Iterator[None]:
        """They go to ``stop``, and at once those that nobody could do anything about."""
        self._stop = stop
        waiting, self._waiting = self._waiting, []
        for name in waiting:
            stop(name)
        try:
            yield
        finally:
            self._stop = None

    def _on_signal(self, name: str) -> None:
        self._came = True
        if self._stop is not None:
            self._stop(name)
        else:
            self._waiting.append(name)
