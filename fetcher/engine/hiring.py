"""Worker processes as such: started, killed if they hang, and seen off."""

from __future__ import annotations

import multiprocessing
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import Any, Final

from fetcher.engine.worker import Recipe, work

GRACE: Final = 10.0
"""Seconds that a worker whose time is over may say nothing. Then it hangs, stopped by a signal or
in a library, and is killed.
"""


class Hired:
    """A worker process that has been started, and the end of its socket that is ours."""

    def __init__(self, recipe: Recipe, method: str, others: Sequence[Hired] = ()) -> None:
        self.end, theirs = socket.socketpair()
        # A fork inherits our ends too; unless it closes them, no worker would see us go.
        inherited = (self.end, *(other.end for other in others)) if method == "fork" else ()
        context: Any = multiprocessing.get_context(method)
        self.process: BaseProcess = context.Process(
            target=work, args=(theirs, recipe, inherited), name="fetcher-worker", daemon=True
        )
        self._seeing_off = threading.Lock()
        self._exit_code: int | None = None
        with theirs:
            try:
                self.process.start()
            except BaseException:
                self.end.close()
                raise

    @property
    def lives(self) -> bool:
        try:
            return self.process.is_alive()
        except ValueError:  # it was seen off
            return False

    def kill(self) -> None:
        """It hangs. Nothing is lost that a crash would not lose."""
        with suppress(ValueError):  # it was seen off
            self.process.kill()

    def see_off(self) -> int | None:
        """Wait for its end, and give back what is held of it: descriptors, until that is done.
        Once is enough, twice does no harm, not even at once. How it ended: minus the signal's
        number, if by one.
        """
        with self._seeing_off, suppress(ValueError):  # it was done before
            self.process.join(GRACE)  # it has nothing left to do
            self.process.kill()
            self.process.join()
            self._exit_code = self.process.exitcode
            self.process.close()
        return self._exit_code


@contextmanager
def hired(recipe: Recipe, count: int) -> Iterator[list[Hired]]:
    """``count`` workers, seen off in the end.

    By fork where that is safe, as a fork shares what is loaded: so there should be no other thread
    yet, and there must be no lock that a fork would inherit.
    """
    alone = threading.active_count() == 1
    method = "fork" if sys.platform == "linux" and alone else "spawn"
    workers: list[Hired] = []
    try:
        for _ in range(count):
            workers.append(Hired(recipe, method, workers))
        yield workers
    finally:
        for worker in workers:
            worker.end.close()
            worker.see_off()
