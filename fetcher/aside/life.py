"""``python -m fetcher.aside.worker``: reads an image list for the process that started it.

What it is to read comes in first; messages and replies are those of ``fetcher.source.aside``, each
a pickle. It ends with its starter, wherever it is in a list (``fetcher.orphans``); where the kernel
does not see to that, with the first word that it says to nobody.
"""

from __future__ import annotations

import pickle
import signal
import sys
from contextlib import suppress
from typing import Any, Final

from fetcher.manifest.staging import Stager
from fetcher.orphans import die_with
from fetcher.source.aside import Message, read_aside

_TURN: Final = 0.000_2
"""Seconds that the thread which unpacks may have to wait. It takes turns of some microseconds."""


class _Pipes:
    """A ``Link`` over standard input and output."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.buffer, sys.stdout.buffer

    def send(self, message: Message) -> None:
        pickle.dump(message, self._out, protocol=pickle.HIGHEST_PROTOCOL)
        self._out.flush()

    def receive(self) -> Any:
        return pickle.load(self._in)  # noqa: S301  from our own starter


def main() -> None:
    die_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the starter, which ends our output
    sys.setswitchinterval(_TURN)
    pipes = _Pipes()
    with suppress(BrokenPipeError, EOFError):  # nobody wants it any more
        read_aside(pipes.receive(), Stager, pipes)


if __name__ == "__main__":
    main()
