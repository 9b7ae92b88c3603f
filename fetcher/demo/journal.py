"""What was asked of the little web: every request, in order of arrival.

Requests are what laws 4 and 5 are about, so they are counted here, at the far end, and not where
they are made. A journal may also be a file: one line per request, written before anything is
answered and handed to the kernel at once, so that it is true whatever is killed when.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fetcher.demo.steps import Step


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived."""

    number: int
    """Counts from 1."""
    at: float
    """The event loop's time: monotonic seconds."""
    wall: float
    """Seconds since the epoch."""
    client: str
    """The client's end of the connection, ``address:port``: equal if connections were reused."""
    scheme: str
    host: str
    """From the Host header: lower case, without port."""
    method: str
    path: str
    """With the query, as it was sent."""
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class Served(Request):
    """A request and what came of it."""

    step: Step
    ended_at: float | None = None
    """The event loop's time when nothing more was to be sent, or the client had left."""
    completed: bool = False
    """A whole answer was handed to the connection; never true of steps that end early."""


class Journal:
    """Remembers all requests, or the ``remember`` latest; counts all of them by path."""

    def __init__(self, file: Path | None = None, *, remember: int | None = None) -> None:
        self._file = file
        self._descriptor: int | None = None
        self._remember = remember
        self._served: dict[int, Served] = {}
        self._counts: Counter[str] = Counter()
        self._total = 0

    def open(self) -> None:
        """Begin to append to the file, if there is one. Raises ``OSError`` if that cannot be."""
        if self._file is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._file, flags, 0o644)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def arrived(self, request: Request) -> None:
        """Count it, and write it to the file."""
        self._total += 1
        self._counts[request.path] += 1
        if self._descriptor is not None:
            # One write of one line: appends of that size do not mix, and none is half there.
            os.write(self._descriptor, json.dumps(_fields(request)).encode() + b"\n")

    def answering(self, request: Request, step: Step) -> None:
        self._served[request.number] = Served(**_fields(request), step=step)
        if self._remember is not None and len(self._served) > self._remember:
            del self._served[next(iter(self._served))]

    def ended(self, request: Request, *, at: float, completed: bool) -> None:
        served = self._served.get(request.number)
        if served is not None:
            self._served[request.number] = replace(served, ended_at=at, completed=completed)

    @property
    def requests(self) -> list[Served]:
        return list(self._served.values())

    def count(self, path: str | None = None) -> int:
        """Requests to ``path``, or all of them."""
        return self._total if path is None else self._counts[path]


def _fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Request.__slots__}


def read_journal(file: Path) -> list[Request]:
    """The requests that a journal's file tells of; a line that is being written is left out."""
    lines = file.read_bytes().split(b"\n")
    return [Request(**json.loads(line)) for line in lines[:-1]]
