"""``fetcher ARGS…``, with the CPU seconds of its manifest's thread written down.

The thread is asked at its end, and the seconds go to the file that ``BENCH_MANIFEST_CPU`` names.
Everything else is as in any other run, so their share of the run's CPU is the manifest's.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from fetcher.cli import main
from fetcher.manifest import ManifestThread

VARIABLE: Final = "BENCH_MANIFEST_CPU"
_leave = ManifestThread.__aexit__


async def _leaving(
    self: ManifestThread,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    seconds = await self._call(lambda _: time.thread_time())
    _write_down(seconds)
    await _leave(self, kind, error, traceback)


def _write_down(seconds: float) -> None:
    Path(os.environ[VARIABLE]).write_text(f"{seconds}")


if __name__ == "__main__":
    setattr(ManifestThread, "__aexit__", _leaving)  # noqa: B010  a method is not assigned to
    main()
