"""What arrived, measured: size, MD5 and type of a body, wherever its bytes lie; and its key.

Bodies are measured in company, as many MD5s take hardly longer than a few (``fetcher.digests``):
those in memory all at once, those in files some at a time, a chunk of each in turn.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from fetcher import digests
from fetcher.errors import StoreError
from fetcher.model import Arrival, Asset, Body, Keep, Receipt, Verdict
from fetcher.policy import paths, sniff
from fetcher.policy.oserrors import disk_fault

CHUNK: Final = 1 << 18
"""Bytes of a spooled body that are read at once."""
FILES: Final = 16
"""At a time: memory for as many chunks."""


def measure(arrivals: Sequence[Arrival]) -> list[Receipt]:
    """Reads all of each body. Raises ``StoreError`` if a file is not what was written."""
    held = [arrival.body.data for arrival in arrivals if arrival.body.data is not None]
    in_memory = zip(held, digests.digest_together(held), strict=True)
    files = iter(_read([arrival.body for arrival in arrivals if arrival.body.data is None]))
    receipts = []
    for arrival in arrivals:
        if arrival.body.data is not None:
            data, md5 = next(in_memory)
            size, head = len(data), bytes(data[: sniff.HEAD])
        else:
            file = next(files)
            size, md5, head = file.size, file.md5.digest(), file.head
        receipts.append(_receipt(arrival, size, md5, head))
    return receipts


def _receipt(arrival: Arrival, size: int, md5: bytes, head: bytes) -> Receipt:
    if size != arrival.body.size:
        raise StoreError(
            f"{arrival.body.path} has {size} bytes; {arrival.body.size} were written.",
            fault_code="disk-error",
            hint="Something else changes files in DIR, or the disk loses data.",
        )
    return Receipt(
        size=size,
        md5=b2a_base64(md5, newline=False).decode("ascii"),
        content_type=sniff.sniff(head),
        final_url=arrival.final_url,
        http_status=arrival.http_status,
        validators=arrival.validators,
    )


class _File:
    """A spooled body that is read, a chunk at a time."""

    __slots__ = ("_chunks", "chunk", "head", "md5", "size")

    def __init__(self, body: Body) -> None:
        self._chunks = chunks_of(body)
        self.chunk = self.head = b""
        self.md5 = digests.new()
        self.size = 0

    def read(self) -> bool:
        """The next chunk; false at the end."""
        self.chunk = next(self._chunks, b"")
        if not self.size:
            self.head = self.chunk[: sniff.HEAD]
        self.size += len(self.chunk)
        return bool(self.chunk)


def _read(bodies: Sequence[Body]) -> list[_File]:
    """All of them, to the end. Raises ``StoreError``."""
    files: list[_File] = []
    for first in range(0, len(bodies), FILES):
        going = [_File(body) for body in bodies[first : first + FILES]]
        files += going
        while going:
            going = [file for file in going if file.read()]
            digests.update_together([(file.md5, file.chunk) for file in going])
    return files


def body_in(path: Path) -> Body:
    """What lies there. Raises ``StoreError``."""
    try:
        return Body(path.stat().st_size, path=path)
    except OSError as error:
        raise _unreadable(path, error) from error


def key(asset: Asset, receipt: Receipt, verdict: Verdict) -> str:
    """The final path of bytes that are kept, relative to DIR."""
    folder = "mismatched" if verdict.keep is Keep.QUARANTINE else "images"
    extension = sniff.extension(receipt.content_type, asset.url)
    return paths.relative_path(folder, asset.subset, asset.image_id, extension)


def chunks_of(body: Body) -> Iterator[bytes]:
    """The bytes of a spooled body. Raises ``StoreError``."""
    assert body.path is not None  # noqa: S101  a body is in memory or in a file
    try:
        with body.path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise _unreadable(body.path, error) from error


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be read: {error.strerror or error}.",
        fault_code=disk_fault(error),
        hint="Check the disk and the permissions of DIR, then run the same command again.",
    )
