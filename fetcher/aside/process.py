"""The starter's end: a process that reads a list, and can be lost at any time.

Nothing depends on it. What it told and was committed is there; the rest is read again, here or
there, behind the last row that was.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from typing import IO, Any, Final

from fetcher.source.aside import Message
from fetcher.source.importer import AsideLostError
from fetcher.source.lists import ImageList

_COMMAND: Final = ("-P", "-m", "fetcher.aside.worker")
_DYING: Final = 1.0
"""Seconds in which a process is gone that has closed its output."""
_LOST: Final = (EOFError, OSError, pickle.UnpicklingError)


_PIPE: Final = 1 << 20
"""Bytes that a pipe holds: a batch or so, or each side would wake the other for every 64 KiB."""


class ReadingProcess:
    """Starts it at once. ``close`` it in the end: what it has yet to tell is of no use then. The
    thread that has started it must not end before that, as it does so too.
    """

    def __init__(self, image_list: ImageList) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own module, by our own interpreter
                [sys.executable, *_COMMAND, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Ctrl-C is for the one who started us.
                start_new_session=True,
            )
        except OSError as error:
            raise AsideLostError(str(error)) from error
        _widen(self._process.stdout)
        try:
            self.reply(image_list)
        except BaseException:
            self.close()
            raise

    def receive(self) -> Message:
        """Raises ``AsideLostError`` if there is nobody any more."""
        assert self._process.stdout is not None  # noqa: S101  for mypy: it was asked for
        try:
            message: Message = pickle.load(self._process.stdout)  # noqa: S301  from our own worker
        except _LOST as error:
            raise AsideLostError(self._how_it_ended(error)) from error
        return message

    def reply(self, value: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101  likewise
        try:
            pickle.dump(value, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except OSError as error:
            raise AsideLostError(self._how_it_ended(error)) from error

    def _how_it_ended(self, seen: Exception) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_DYING)
        code = self._process.returncode
        if code is None:
            return f"it says nothing that makes sense ({seen!r})"
        return f"it ended with exit code {code}" if code >= 0 else f"signal {-code} ended it"

    def close(self) -> None:
        self._process.kill()
        with suppress(BrokenPipeError), self._process:  # closes the pipes, and waits for it
            pass


def _widen(pipe: IO[bytes] | None) -> None:
    size = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux has it
    if pipe is not None and size is not None:
        with suppress(OSError):  # more than this user may have: it is as it was
            fcntl.fcntl(pipe, size, _PIPE)
