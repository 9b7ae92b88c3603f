"""Runs one command and prints what it cost: ``EXIT WALL CPU`` (code, seconds, seconds).

A process of its own, so that the command's CPU is counted apart: its own and that of every
descendant that was waited for. It imports next to nothing (run it with ``-I -S``).

The command's output goes where this one's standard error goes.
"""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    command = sys.argv[1:]
    began = time.monotonic()
    pid = os.posix_spawnp(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)]
    )
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    print(code, wall, usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    main()
