"""Runs one command and prints what it cost: ``EXIT WALL CPU PEAK`` (code, seconds, seconds, bytes).

A process of its own, because Linux counts the memory of whoever starts a program to the peak of the
program: exec hands the high-water mark on. This one imports next to nothing (run it with ``-I -S``)
and stays below 10 MiB, so that smaller peaks are all that it hides. CPU and peak are those of the
command and of every descendant that was waited for: CPU is the sum, the peak that of the largest.

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
    print(code, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


if __name__ == "__main__":
    main()
