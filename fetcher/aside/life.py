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
from fetcher.manifest.staging import Stager
from fetcher.source.aside import read_aside
from fetcher.source.lists import ImageList

_TURN: Final = 0.000_2
"""Seconds that the thread which unpacks may have to wait. It takes turns of some microseconds."""


def read(end: socket.socket, image_list: ImageList) -> None:
    """Tell all of it; messages and replies are those of ``fetcher.source.aside``."""
    sys.setswitchinterval(_TURN)
    with end, suppress(BrokenPipeError, ConnectionResetError, EOFError):  # nobody wants it any more
        read_aside(image_list, Stager, Link(end))
