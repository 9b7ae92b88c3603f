"""Starts ``slowweb`` as a process of its own, and says what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import IO, Final

from scripts.benchmarks.slowweb import ADDRESS, Journal, Options

_PROGRAM: Final = Path(__file__).with_name("slowweb.py")
_STOP_LIMIT: Final = 10.0  # seconds


class SlowWeb:
    """One that runs; ``journal`` is a moment old, and after ``end`` the last."""

    def __init__(self, process: subprocess.Popen[str], lines: IO[str]) -> None:
        self._process = process
        self._lines = lines
        self.journal = Journal()
        self.port: int = json.loads(lines.readline())["port"]
        self._reader = Thread(target=self._read, name="journal", daemon=True)
        self._reader.start()

    @property
    def place(self) -> str:
        """Address and port."""
        return f"{ADDRESS}:{self.port}"

    def end(self) -> Journal:
        """Twice does no harm."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        return self.journal

    def _read(self) -> None:
        for line in self._lines:
            self.journal = Journal(**json.loads(line))


@contextmanager
def slow_web(options: Options) -> Iterator[SlowWeb]:
    """Serve until the block ends."""
    process = subprocess.Popen(  # noqa: S603  our own command line
        [sys.executable, "-P", _PROGRAM, json.dumps(asdict(options))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is ours to act on
    )
    with process:
        try:
            assert process.stdout is not None  # noqa: S101  a pipe, as asked for
            web = SlowWeb(process, process.stdout)
            yield web
            web.end()
        finally:
            process.kill()
