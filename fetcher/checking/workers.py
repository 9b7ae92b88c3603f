"""Processes that read and hash, each behind a thread that feeds it.

Hashing a large file frees the GIL, but a small one is mostly Python around three system calls, so
threads of one process would stand in each other's way. A worker gets a batch as the line of JSON
that the manifest made of it, unparsed, and answers with what does not match. Workers are in a
session of their own: Ctrl-C is for the one who started them, and they end with their input. One
that is killed ends the check, which keeps what was found until then.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self

from fetcher.errors import WorkersLostError
from fetcher.policy.findings import Batch, Finding, Kind

_COMMAND: Final = ("-P", "-m", "fetcher.checking.worker")


class Result(NamedTuple):
    batch: Batch
    read: int
    """Bytes."""
    findings: list[Finding]


def _ended(code: int) -> Exception:
    """What to raise of a worker that is gone. One that ended by itself has told a bug."""
    if code < 0:
        return WorkersLostError(
            f"A process that reads files was killed by signal {-code}.", fewer_by="--workers"
        )
    return RuntimeError(f"a worker ended with {code}")


class Workers:
    """A context manager; ``submit`` hands out a batch. Entering starts all processes and waits for
    none: they load while their starter does.
    """

    def __init__(self, root: str, count: int) -> None:
        self._root = root
        self.count = count
        self._here = threading.local()
        self._started: list[subprocess.Popen[bytes]] = []
        self._taken = itertools.count()
        """Of these, one for each thread."""

    def __enter__(self) -> Self:
        try:
            for _ in range(self.count):
                self._started.append(self._start())
        except BaseException:
            self._end()
            raise
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="checking")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End at once: what is under way is lost, and was only reading."""
        for process in self._started:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        self._end()

    def _end(self) -> None:
        for process in self._started:
            process.kill()
            # Closes its pipes and waits for it. A batch that it did not take is in our buffer,
            # and closing would send it.
            with suppress(BrokenPipeError), process:
                pass

    def submit(self, batch: Batch) -> Future[Result]:
        return self._threads.submit(self._examine, batch)

    def _examine(self, batch: Batch) -> Result:
        process: subprocess.Popen[bytes] | None = getattr(self._here, "process", None)
        if process is None:
            process = self._here.process = self._started[next(self._taken)]
        reply = b""
        assert process.stdin is not None  # noqa: S101  for mypy: it was asked for
        assert process.stdout is not None  # noqa: S101  likewise
        with suppress(BrokenPipeError):
            process.stdin.write(batch.records.encode() + b"\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        if not reply.endswith(b"\n"):
            raise _ended(process.wait())
        read, amiss = json.loads(reply)
        findings = [
            Finding(Kind(kind), path, detail, asset_id, size, md5, recorded, slot and tuple(slot))
            for asset_id, path, recorded, slot, kind, detail, size, md5 in amiss
        ]
        return Result(batch, read, findings)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  our own module, by our own interpreter
            [sys.executable, *_COMMAND, self._root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
