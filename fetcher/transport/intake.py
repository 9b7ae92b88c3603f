"""Taking in a body: in memory as far as its allowance reaches, then in a spool file.

The file is a new one of ours, or the one of ours that is gone on with: never one that a link of
either kind, or a pipe in its place, leads to.

Spooled bytes are gathered up to ``FLUSH`` before they are written, as each write is a trip to
another thread and back. A thread does not stop when the task that waits for it is cancelled: what
it still does is waited for and undone before the cancellation goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeGuard, cast

import aiofiles
from aiofiles.threadpool.binary import AsyncBufferedIOBase

from fetcher.killpoints import Point, reached
from fetcher.model import Body, Partial, Validators

FLUSH: Final = 1 << 20
"""Bytes; less if the allowance is less."""
AT_ONCE: Final = 1 << 17
"""Bytes that a connection may have read ahead."""
PIECES: Final = 1_024
"""That may be held apart from each other: an object each, which is much more than a byte."""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE: Final = 0o644


class SpoolError(Exception):
    """The spool file could not be written; its cause is the ``OSError``."""


class Intake:
    """Collects one body. As a context manager it closes its file, and removes it unless the bytes
    were handed on with ``body`` or ``partial``.
    """

    def __init__(self, spool: Path | str, memory: int, *, resume: Partial | None = None) -> None:
        self._spool = spool
        self._memory = memory
        self._gather = min(FLUSH, memory)
        self._chunks: list[bytes | bytearray] = []
        self._buffered = 0
        self._file: AsyncBufferedIOBase | None = None
        self._resume = resume
        self._handed_on = False
        self.size = resume.size if resume is not None else 0
        """Bytes of the body so far, those of the resumed part included."""

    async def __aenter__(self) -> Self:
        """Raises ``SpoolError`` if what is to be resumed is not there; it is left as it is."""
        if self._resume is not None:
            self._spool = self._resume.path
            try:
                self._file = await self._open("r+b")
                await _go_to(self._file, self._resume)
            except BaseException:
                await self._close()
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        try:
            await self._close()
        finally:
            if not self._handed_on:
                remove(self._spool)

    def holds(self, length: int | None) -> TypeGuard[int]:
        """Whether a body of ``length`` bytes stays in memory, even if it comes all at once."""
        return self.has_room(length) and length <= AT_ONCE

    def has_room(self, length: int | None) -> TypeGuard[int]:
        """Whether a body of ``length`` bytes stays in memory."""
        return length is not None and length <= self._memory and self._resume is None

    def add(self, chunk: bytes | bytearray) -> bool:
        """Take ``chunk``; ``True`` asks for a ``flush`` before the next one."""
        if len(self._chunks) == PIECES:
            self._chunks[:] = [b"".join(self._chunks)]
        self._chunks.append(chunk)
        self._buffered += len(chunk)
        self.size += len(chunk)
        return self._buffered > (self._memory if self._file is None else self._gather)

    async def flush(self) -> None:
        """Move what is buffered to the spool file. Raises ``SpoolError``."""
        if self._file is None:
            self._file = await self._open("wb")
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        try:
            await self._file.write(data)
        except OSError as error:
            raise SpoolError from error
        reached(Point.PART_SPOOLED)

    async def body(self) -> Body:
        """The whole body; its spool file, if any, is the caller's from now on."""
        if self._file is None:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            reached(Point.BODY_WHOLE)
            return Body(self.size, data=data)
        await self._finish()
        reached(Point.BODY_WHOLE)
        return Body(self.size, path=Path(self._spool))

    async def partial(self, validators: Validators, *, ended: bool = False) -> Partial | None:
        """What came so far, on disk for a later attempt; ``None`` if nothing did."""
        if self.size == 0:
            return None
        await self._finish()
        reached(Point.PART_KEPT)
        return Partial(Path(self._spool), self.size, validators, ended)

    async def _finish(self) -> None:
        await self.flush()
        assert self._file is not None  # noqa: S101  flush has just opened it
        try:
            await self._file.close()
        except OSError as error:
            raise SpoolError from error
        self._handed_on = True

    async def _open(self, mode: Literal["r+b", "wb"]) -> AsyncBufferedIOBase:
        opening = asyncio.ensure_future(_opened(self._spool, mode))
        try:
            return await asyncio.shield(opening)
        except OSError as error:
            raise SpoolError from error
        except asyncio.CancelledError:
            # The thread opens it, or has done so already: it has to be closed and removed.
            with contextlib.suppress(OSError):
                self._file = await opening
            raise

    async def _close(self) -> None:
        if self._file is not None:
            # Closing writes what a failed write left behind, and fails like it: that was told.
            with contextlib.suppress(OSError):
                await self._file.close()


def remove(path: Path | str) -> None:
    """No error if it is not there. Does not await, so that no cancellation can come between."""
    Path(path).unlink(missing_ok=True)


async def _opened(path: Path | str, mode: Literal["r+b", "wb"]) -> AsyncBufferedIOBase:
    opener = _open_new if mode == "wb" else _open_kept
    return cast("AsyncBufferedIOBase", await aiofiles.open(path, mode, opener=opener))


def _open_new(path: str, _: int) -> int:
    try:
        return os.open(path, _NEW, _MODE)
    except FileExistsError:  # of an earlier attempt or run, or somebody's trap
        os.unlink(path)  # noqa: PTH108  paths are str here
        return os.open(path, _NEW, _MODE)


def _open_kept(path: str, _: int) -> int:
    descriptor = os.open(path, _KEPT)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


async def _go_to(file: AsyncBufferedIOBase, resume: Partial) -> None:
    """Cut the file where ``resume`` ends, and go there. Raises ``SpoolError``."""
    try:
        if await file.seek(0, os.SEEK_END) < resume.size:
            raise _has_lost_bytes(resume.path)
        await file.truncate(resume.size)
        await file.seek(resume.size)
    except OSError as error:
        raise SpoolError from error


def _has_lost_bytes(path: Path) -> OSError:
    return OSError(errno.EIO, "What was kept of a body is not all there any more", str(path))
