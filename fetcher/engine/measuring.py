"""What arrived, measured: size, MD5 and type of a body, wherever its bytes lie; and its key."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from fetcher.errors import StoreError
from fetcher.model import Arrival, Asset, Body, Keep, Receipt, Verdict
from fetcher.policy import paths, sniff, verify
from fetcher.policy.oserrors import disk_fault

CHUNK: Final = 1 << 20


def measure(arrival: Arrival) -> Receipt:
    """Reads all of the body. Raises ``StoreError`` if its file is not what was written."""
    body = arrival.body
    if body.data is not None:
        first = body.data
        measured = verify.digest((first,))
    else:
        chunks = chunks_of(body)
        first = next(chunks, b"")
        measured = verify.digest(chain((first,), chunks))
    if measured.size != body.size:
        raise StoreError(
            f"{body.path} has {measured.size} bytes; {body.size} were written.",
            fault_code="disk-error",
            hint="Something else changes files in DIR, or the disk loses data.",
        )
    return Receipt(
        size=measured.size,
        md5=measured.md5,
        content_type=sniff.sniff(first[: sniff.HEAD]),
        final_url=arrival.final_url,
        http_status=arrival.http_status,
        validators=arrival.validators,
    )


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
