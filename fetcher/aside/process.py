"""The starter's end: a process that reads a list, and can be lost at any time.

Nothing depends on it. What it told and was committed is there; the rest is read again, here or
there, behind the last row that was.
"""

from __future__ import annotations

import fcntl
import pickle
import subprocess
import sys
from contextlib import suppress
from typing import IO, Any, Final

from fetcher.source.aside import Message
from fetcher.source.importer import AsideLostError
from fetcher.source.lists import ImageList

_COMMAND: Final = ("-P", "-m", "fetcher.aside.worker")
_LOST: Final = (EOFError, OSError, pickle.UnpicklingError)


_PIPE: Final = 1 << 20
"""Bytes that a pipe holds: a batch or so, or each side would wake the other for every 64 KiB."""


class ReadingProcess:
    """Starts it at once. ``close`` it in the end: what it has yet to tell is of no use then."""

    def __init__(self, image_list: ImageList) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own module, by our own interpreter
                [sys.executable, *_COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Ctrl-C is for the one who started us.
                start_new_session=True,
            )
        except OSError as error:
            raise AsideLostError(str(error)) from error
        _widen(self._process.stdout)
        self.reply(image_list)

    def receive(self) -> Message:
        """Raises ``AsideLostError`` if there is nobody any more."""
        assert self._process.stdout is not None  # noqa: S101  for mypy: it was asked for
        try:
            message: Message = pickle.load(self._process.stdout)  # noqa: S301  from our own worker
        except _LOST as error:
            raise AsideLostError(f"the process that reads ended ({error})") from error
        return message

    def reply(self, value: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101  likewise
        try:
            pickle.dump(value, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except OSError as error:
            raise AsideLostError(f"the process that reads ended ({error})") from error

    def close(self) -> None:
        self._process.kill()
        with suppress(BrokenPipeError), self._process:  # closes the pipes, and waits for it
            pass


def _widen(pipe: IO[bytes] | None) -> None:
    size = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux has it
    if pipe is not None and size is not None:
        with suppress(OSError):  # more than this user may have: it is as it was
            fcntl.fcntl(pipe, size, _PIPE)
