"""The run's end: a process that reads a list, and can be lost at any time.

Nothing depends on it. What it told and was committed is there; the rest is read again, here or
there, behind the last row that was.
"""

from __future__ import annotations

import pickle
import threading
from typing import Any, Final

from fetcher.aside.link import Link
from fetcher.nursery.hiring import Nursery
from fetcher.source.aside import Message
from fetcher.source.importer import AsideLostError
from fetcher.source.lists import ImageList

LIFE: Final = "fetcher.aside.life:read"
_DYING: Final = 1.0
"""Seconds in which a process is gone that has closed its end."""
_LOST: Final = (EOFError, OSError, pickle.UnpicklingError)


class ReadingProcess:
    """Has the nursery fork it at once; of which threads, see ``Nursery.hire``. ``close`` it in the
    end: what it has yet to tell is of no use then.
    """

    def __init__(self, nursery: Nursery, image_list: ImageList, life: str = LIFE) -> None:
        try:
            self._hired = nursery.hire(life, image_list)
        except OSError as error:
            raise AsideLostError(str(error)) from error
        self._link = Link(self._hired.end)
        self._asking = threading.Lock()
        """How it has ended, one thread asks at a time."""

    def receive(self) -> Message:
        """Raises ``AsideLostError`` if there is nobody any more."""
        try:
            message: Message = self._link.receive()
        except _LOST as error:
            raise AsideLostError(self._how_it_ended(error)) from error
        return message

    def reply(self, value: Any) -> None:
        try:
            self._link.send(value)
        except OSError as error:
            raise AsideLostError(self._how_it_ended(error)) from error

    def _how_it_ended(self, seen: Exception) -> str:
        with self._asking:
            if not self._hired.has_ended(_DYING):
                return f"it says nothing that makes sense ({seen!r})"
            code, pid = self._hired.exit_code, self._hired.pid
        if pid is None:
            return "no process could be had for it"
        if code is None:
            return "nobody knows how it ended"
        return f"it ended with exit code {code}" if code >= 0 else f"signal {-code} ended it"

    def close(self) -> None:
        """Of any thread, also while another one receives."""
        with self._asking:
            self._hired.kill()
            self._hired.see_off()
        self._link.close()
        self._hired.end.close()
