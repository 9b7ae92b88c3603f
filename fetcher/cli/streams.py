"""Standard input and output, as whoever started us left them.

Where one of the three is closed, the next file that is opened takes its number: a socket, an image,
the manifest; and whatever a library or a process of ours says to standard error goes there.
"""

from __future__ import annotations

import os
import sys


def fill_gaps() -> None:
    """What is closed reads and writes nothing from now on. To be called before a file is opened."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            lowest = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(lowest, True)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  for ever
            setattr(sys, name, stream)


def silence_output() -> None:
    """What is left of standard output goes nowhere: the interpreter would try once more at its end,
    and complain.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
