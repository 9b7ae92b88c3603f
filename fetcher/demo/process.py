"""Handling a little web that runs in a process of its own, from the process that started it.

For tests that kill things, and for the demo: what it counts goes on being true whatever happens to
others, and it is gone when its starter is.
"""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from fetcher.demo.journal import Request, read_journal
from fetcher.demo.steps import Step

_STOP_WITHIN: Final = 10.0
"""Seconds; then it is killed."""


@dataclass(frozen=True, slots=True)
class Script:
    """The arguments of ``Web.serve``."""

    path: str
    steps: tuple[Step, ...]
    host: str | None = None


class WebProcess:
    """A context manager; ``directory`` takes its journal and its CA."""

    def __init__(
        self,
        directory: Path,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        unscripted: int = 404,
    ) -> None:
        """``port`` is for plain HTTP; 0 is chosen by the system, and kept when it starts again.
        ``unscripted`` is the status of what is no picture and has no script (yet).
        """
        self._unscripted = unscripted
        self.address = address
        self.journal = directory / "requests.jsonl"
        self.ca_file = directory / "ca.pem" if tls else None
        self.port = port
        self.tls_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Raises ``RuntimeError`` if it does not come up; it has told why on standard error."""
        command = [sys.executable, "-m", "fetcher.demo.serve", f"--address={self.address}"]
        command.append(f"--journal={self.journal}")
        command += [f"--port={self.port}", f"--unscripted={self._unscripted}"]
        if self.ca_file is not None:
            command.append(f"--ca={self.ca_file}")
        self._process = subprocess.Popen(  # noqa: S603  our own module, by our own interpreter
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for who started it, and may still need it
        )
        try:
            hello = self._reply()
        except BaseException:
            self.stop()
            raise
        self.port = hello["port"]
        self.tls_port = hello["tls_port"] or 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._running().pid

    def serve(self, path: str, *steps: Step, host: str | None = None) -> None:
        """As ``Web.serve``; the script is in force when this returns.

        Raises ``RuntimeError`` if the web is gone.
        """
        pipe = self._running().stdin
        assert pipe is not None  # noqa: S101  for mypy: it was asked for
        with suppress(BrokenPipeError):  # then there is no reply, either
            write_frame(pipe, pickle.dumps(Script(path, steps, host)))
        self._reply()

    def url(self, path: str, scheme: str = "http") -> str:
        port = self.tls_port if scheme == "https" else self.port
        return f"{scheme}://{self.address}:{port}{path}"

    def requests(self) -> list[Request]:
        """All that has arrived; readable after it has stopped, too."""
        return read_journal(self.journal) if self.journal.exists() else []

    def stop(self) -> None:
        """Close its input and see it end; by force if it does not within ten seconds."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            assert process.stdin is not None  # noqa: S101  for mypy: it was asked for
            with suppress(BrokenPipeError):  # it has gone, with part of a frame still to be sent
                process.stdin.close()
            try:
                process.wait(_STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the little web's process is not running")
        return self._process

    def _reply(self) -> dict[str, Any]:
        pipe = self._running().stdout
        assert pipe is not None  # noqa: S101  for mypy: it was asked for
        line = pipe.readline()
        if not line:
            raise RuntimeError("the little web's process has ended")
        reply: dict[str, Any] = json.loads(line)
        return reply


# Frames: four bytes of length, big-endian, then as many bytes.


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


def write_frame(pipe: _Writable, frame: bytes) -> None:
    pipe.write(struct.pack(">I", len(frame)) + frame)
    pipe.flush()


def read_frame(pipe: _Readable) -> bytes | None:
    """``None`` if the other side has closed, be it in the middle of a frame."""
    header = _read(pipe, 4)
    return _read(pipe, struct.unpack(">I", header)[0]) if header is not None else None


def _read(pipe: _Readable, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = pipe.read(size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)
