"""A web that throttles, for real: how much of its limit is used, and how much it has to refuse.

The web is a small server on loopback that answers every GET with the same few bytes, or with 429
when its token bucket is empty, and counts both. What is judged is the second half of the time: in
the first the limit is found.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fetcher.demo.images import picture
from scripts.proofs import mirrors
from scripts.proofs.beside import serving

LEAST_USED: Final = 0.85
MOST_REFUSED: Final = 0.03
_BODY: Final = picture("throttled", 600)
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    served: int
    refused: int
    used: float
    """Share of the web's limit, in the second half."""
    refused_share: float
    """Of the requests in the second half."""

    @property
    def holds(self) -> bool:
        return self.used >= LEAST_USED and self.refused_share < MOST_REFUSED


@dataclass(slots=True)
class _Web:
    rate: float
    burst: float
    retry_after: int | None
    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    _tokens: float = 0.0
    _at: float = 0.0

    def _admits(self, now: float) -> bool:
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                now = time.monotonic()
                well = self._admits(now)
                (self.served if well else self.refused).append(now)
                writer.write(self._answer(well=well))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, *, well: bool) -> bytes:
        if well:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(_BODY)}\r\n\r\n"
            return head.encode() + _BODY
        wait = f"Retry-After: {self.retry_after}\r\n" if self.retry_after is not None else ""
        return f"HTTP/1.1 429 Too Many Requests\r\n{wait}Content-Length: 0\r\n\r\n".encode()


def prove(
    place: Path, *, rate: float, burst: float, retry_after: int | None, seconds: float
) -> Report:
    """Mirror without a configured rate for ``seconds``."""
    web = _Web(rate, burst, retry_after)
    with serving(lambda: asyncio.start_server(web.talk, "127.0.0.1", 0)) as port:
        connect_to = {"*.staticflickr.com:80": f"127.0.0.1:{port}"}
        config = mirrors.write_config(
            place / "config.yaml",
            {"network": {"connect_to": connect_to}, "retry": {"attempts": 20}},
        )
        count = int(rate * seconds * 1.5) + 100
        rows = [
            mirrors.Row.of(f"{n:016x}", f"http://{mirrors.HOST}/{n}.jpg", _BODY)
            for n in range(count)
        ]
        image_list = mirrors.write_list(place / "images.csv", rows)
        command = ("mirror", image_list, "--to", place / "mirror", "--config", config, "--quiet")
        with mirrors.start(*command, "--max-runtime", f"{seconds}s") as process:
            _, errors = process.communicate(timeout=seconds + _PATIENCE)
        if process.returncode != 3:  # noqa: PLR2004  stopped before the end, as told
            raise RuntimeError(f"the mirror ended with {process.returncode}: {errors}")
    end = max(web.served)
    half = end - seconds / 2
    served = sum(at >= half for at in web.served)
    refused = sum(at >= half for at in web.refused)
    return Report(
        len(web.served),
        len(web.refused),
        served / (end - half) / rate,
        refused / (served + refused),
    )
