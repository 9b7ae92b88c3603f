"""The nursery: a process that has loaded what others are made of, and forks one when asked to.

To load the HTTP client takes a fifth of a second of processor time. A run that is to begin at once
has a better use for it: so a process of its own loads that, once for all workers, while the run
loads its configuration and opens its manifest. A worker is then a fork, which takes milliseconds
and shares what is loaded, and so is the one that takes the place of a worker that died, and the one
that reads a long list. What a fork lives for is a function, by name, and a value for it.

A fork is safe here as it is not in the run: there are no threads, no event loop and no locks yet.

    run → nursery   for each fork what it lives for, with its end of a socket and of a status pipe
    nursery → run   over the status pipe: the fork's process id and, at its end, how it ended

All of them end with their run, however that ends: the kernel sees to it where it can (``prctl``),
and hanging up says so as well, if a little later.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn

from fetcher.orphans import die_with

LENGTH: Final = struct.Struct("!I")
"""Of what a fork lives for, which follows it: a pickled pair."""
PID: Final = struct.Struct("!q")
EXIT_CODE: Final = struct.Struct("!i")
"""As ``os.waitstatus_to_exitcode`` tells it: negative is the signal that ended it."""
FROM_A_TERMINAL: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What they mean is the run's business, which gets them as well."""


def nurse(descriptor: int, run: int, modules: Sequence[str]) -> None:
    """The nursery's life. ``descriptor`` is its end of the socket to the run with process id
    ``run``, and ``modules`` is what forks are made of.
    """
    die_with(run)
    for number in FROM_A_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_A_TERMINAL)  # the run had them wait
    with socket.socket(fileno=descriptor) as control:
        gc.disable()
        for name in modules:
            import_module(name)
        gc.freeze()  # what is loaded stays: looking through it would only copy pages
        gc.enable()
        _Nursery(control).serve()


class _Nursery:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._living: dict[int, int] = {}
        """By process id of a fork: our end of its status pipe."""

    def serve(self) -> None:
        """Until the run hangs up."""
        waking, wake = socket.socketpair()
        wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._private = (self._control, waking, wake)
        either = select.poll()
        either.register(self._control, select.POLLIN)
        either.register(waking, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in either.poll()}
            if waking.fileno() in ready:
                waking.recv(4096)
                self._bury()
            if self._control.fileno() in ready:
                if (asked := self._asked()) is None:
                    return
                self._bear(*asked)

    def _asked(self) -> tuple[bytes, int, int] | None:
        """What a fork is to live for, and its ends of its socket and of its status pipe."""
        length, descriptors, _, _ = socket.recv_fds(self._control, LENGTH.size, 2)
        if not length:
            return None
        end, status = descriptors
        (left,) = LENGTH.unpack(length)
        purpose = bytearray()
        while len(purpose) < left:
            part = self._control.recv(left - len(purpose))
            if not part:
                return None
            purpose += part
        return bytes(purpose), end, status

    def _bear(self, purpose: bytes, end: int, status: int) -> None:
        """A fork. If there can be none now, both of its ends are closed, which says so."""
        nursery = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(end)
            os.close(status)
            return
        if pid == 0:
            self._live(purpose, end, status, nursery)
        os.close(end)
        self._living[pid] = status
        with suppress(BrokenPipeError):
            os.write(status, PID.pack(pid))

    def _live(self, purpose: bytes, end: int, status: int, nursery: int) -> NoReturn:
        """A fork's life; what is the nursery's is closed, so that all can see each other go."""
        code = 1
        try:
            die_with(nursery)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for ours in self._private:
                ours.close()
            for other in (status, *self._living.values()):
                os.close(other)
            # The other end is our run, which pickled it: that is why it may be unpickled.
            life, value = pickle.loads(purpose)  # noqa: S301
            module, _, name = life.partition(":")
            getattr(import_module(module), name)(socket.socket(fileno=end), value)
            code = 0
        except BaseException:  # noqa: BLE001  it is told, and ends the fork
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)

    def _bury(self) -> None:
        """Tell of those that have ended."""
        for pid, code in _ended():
            status = self._living.pop(pid)
            with suppress(BrokenPipeError):
                os.write(status, EXIT_CODE.pack(code))
            os.close(status)


def _ended() -> Iterator[tuple[int, int]]:
    """Children that have ended, and how."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended[0], os.waitstatus_to_exitcode(ended[1])
