"""Forks of a nursery as a run sees them: asked for, killed if they hang, and seen off.

This module is loaded before anything that takes long to load, so that the nursery
(``fetcher.nursery.process``) can begin while the run does the rest: keep it light.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from fetcher.nursery.process import EXIT_CODE, FROM_A_TERMINAL, LENGTH, PID

GRACE: Final = 10.0
"""Seconds that a process whose time is over may say nothing. Then it hangs, stopped by a signal or
in a library, and is killed.
"""


class Hired:
    """A fork of a nursery, and the end of its socket that is ours."""

    def __init__(self, end: socket.socket, status: int) -> None:
        self.end = end
        self._seeing_off = threading.Lock()
        self._status = status
        """Our end of its status pipe; -1 when it was seen off."""
        self._pid: int | None = None
        self._told = b""
        self._hung_up = False

    @property
    def pid(self) -> int | None:
        """``None`` if it could not be started. Blocks until the nursery has loaded everything."""
        if self._pid is None and self._hear(PID.size, None):
            (self._pid,) = PID.unpack_from(self._told)
        return self._pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, as ``os.waitstatus_to_exitcode`` tells it; ``None`` if it lives, was seen
        off before it had ended, or if nobody knows.
        """
        if not self._hear(PID.size + EXIT_CODE.size, 0.0):
            return None
        code: int = EXIT_CODE.unpack_from(self._told, PID.size)[0]
        return code

    @property
    def lives(self) -> bool:
        return self.pid is not None and not self.has_ended(0.0)

    def kill(self) -> None:
        """It hangs. Nothing is lost that a crash would not lose."""
        if self.lives:
            assert self._pid is not None  # noqa: S101  for mypy: it lives
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def see_off(self) -> int | None:
        """Wait for its end, and give back what is held of it: a descriptor, until that is done.
        Once is enough, twice does no harm, not even at once. The answer is its ``exit_code``.
        """
        with self._seeing_off:
            if self._status >= 0:
                if not self.has_ended(GRACE):  # it has nothing left to do
                    self.kill()
                    self.has_ended(GRACE)
                os.close(self._status)
                self._status = -1
            return self.exit_code

    def has_ended(self, patience: float) -> bool:
        """Within so many seconds. It has, too, when the nursery is gone: see there."""
        return self._hear(PID.size + EXIT_CODE.size, patience) or self._status < 0 or self._hung_up

    def _hear(self, size: int, patience: float | None) -> bool:
        """Whether that many bytes were told over the pipe; wait for them for so many seconds."""
        until = None if patience is None else time.monotonic() + patience
        while len(self._told) < size and self._status >= 0 and not self._hung_up:
            left = None if until is None else max(0.0, until - time.monotonic()) * 1e3
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            if not poll.poll(left):
                break
            part = os.read(self._status, 64)
            self._told += part
            self._hung_up = not part
        return len(self._told) >= size


class Nursery:
    """The run's end of it. ``modules`` is what forks are made of, by name.

    It starts again what was killed. The thread that does so must not end before the forks do, or
    the kernel takes it for the run's end.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._modules = tuple(modules)
        self._lock = threading.Lock()
        self._pid = 0
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Let it begin to load. Does not wait for that."""
        self._control, theirs = socket.socketpair()
        theirs.set_inheritable(True)
        with theirs:
            argument = (theirs.fileno(), os.getpid(), self._modules)
            # Before that line nothing is loaded but what Python itself needs.
            code = f"import sys; sys.path[:] = {sys.path!r}\n"
            code += f"from fetcher.nursery.process import nurse; nurse{argument!r}"
            command = (sys.executable, "-c", code)
            self._pid = os.posix_spawn(
                sys.executable, command, os.environ, setsigmask=FROM_A_TERMINAL
            )

    def hire(self, life: str, value: Any) -> Hired:
        """Another process, that lives for the function ``life`` (``package.module:name``): it is
        called with its end of the socket and ``value``. From any thread that lives as long. Raises
        ``OSError`` if there cannot be a nursery. If there cannot be a fork now, its end is closed.
        """
        pickled = pickle.dumps((life, value))
        with self._lock:
            try:
                return self._ask(pickled)
            except (BrokenPipeError, ConnectionResetError):  # it was killed
                self._stop()
                return self._ask(pickled)

    def close(self) -> None:
        """No more of them; those that there are have been seen off. Does not raise."""
        with self._lock:
            self._stop()

    def _ask(self, pickled: bytes) -> Hired:
        if self._control is None:
            self.start()
        assert self._control is not None  # noqa: S101  for mypy
        ours, theirs = socket.socketpair()
        ours_of_status, theirs_of_status = os.pipe()
        try:
            with theirs:
                ends = [theirs.fileno(), theirs_of_status]
                socket.send_fds(self._control, [LENGTH.pack(len(pickled))], ends)
                self._control.sendall(pickled)
        except BaseException:
            ours.close()
            os.close(ours_of_status)
            raise
        finally:
            os.close(theirs_of_status)
        return Hired(ours, ours_of_status)

    def _stop(self) -> None:
        if self._control is None:
            return
        self._control.close()
        self._control = None
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)  # it may be loading still, and has nothing to save
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


@contextmanager
def nursery(modules: Sequence[str] = (), *, at_once: bool = True) -> Iterator[Nursery]:
    """One that begins to load ``at_once``, or when it is first asked; it ends with the block."""
    one = Nursery(modules)
    try:
        if at_once:
            one.start()
        yield one
    finally:
        one.close()
