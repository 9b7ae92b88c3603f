"""What a process lives for that reads an image list for the run that it was forked for.

It ends with its run, wherever it is in the list; where the kernel does not see to that, with the
first word that it says to nobody.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Final

from fetcher.aside.link import Link
from fetcher.source.aside import MakeStager, read_aside
from fetcher.source.lists import ImageList

_TURN: Final = 0.000_2
"""Seconds that the thread which unpacks may have to wait. It takes turns of some microseconds."""


def read(end: socket.socket, image_list: ImageList) -> None:
    """Tell all of it; messages and replies are those of ``fetcher.source.aside``."""
    sys.setswitchinterval(_TURN)
    with end, suppress(BrokenPipeError, ConnectionResetError, EOFError):  # nobody wants it any more
        read_aside(image_list, stager(), Link(end))


def stager() -> MakeStager | None:
    """``None`` where the extensions that it needs were not made: then no row is staged."""
    try:
        from fetcher.manifest.staging import Stager  # noqa: PLC0415  see above
    except ImportError:
        return None
    return Stager
