"""What is in an answer that came compressed, though nobody had asked for that.

Two passes over the bytes: the first only measures, and keeps nothing; the second writes down what
the first found worth keeping. Neither goes on beyond ``most`` bytes of what comes out, and neither
holds more of it than a piece: a bomb costs the time to inflate ``most`` bytes, and no room.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from fetcher.errors import StoreError
from fetcher.model import Body
from fetcher.policy import codings, sniff, verify
from fetcher.policy.oserrors import disk_fault

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o644

Chunks = Callable[[], Iterable[bytes | bytearray]]
"""The bytes as they came, from the first on."""


def measure(label: str, chunks: Chunks, most: int) -> tuple[verify.Digest, str | None] | None:
    """Size and MD5, and the type, of what comes out; ``None`` if that is not to be had."""
    take_off = codings.decoder(label)
    if take_off is None:
        return None
    head = bytearray()

    def looked_at() -> Iterator[bytes]:
        for piece in _at_most(take_off(chunks()), most):
            if len(head) < sniff.HEAD:
                head.extend(piece[: sniff.HEAD - len(head)])
            yield piece

    try:
        digest = verify.digest(looked_at())
    except codings.CodingError:
        return None
    return digest, sniff.sniff(bytes(head))


def write(label: str, chunks: Chunks, path: Path, size: int) -> Body:
    """Write the ``size`` bytes that come out to a new file at ``path``. Raises ``StoreError``."""
    take_off = codings.decoder(label)
    assert take_off is not None  # noqa: S101  measure() has used it
    with suppress(FileNotFoundError):
        path.unlink()
    try:
        with os.fdopen(os.open(path, _NEW, _MODE), "wb", buffering=1 << 20) as file:
            for piece in _at_most(take_off(chunks()), size):
                file.write(piece)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}.",
            fault_code=disk_fault(error),
            hint="Check the disk and the permissions of DIR, then run the same command again.",
        ) from error
    return Body(size, path=path)


def beginning(label: str, data: bytes, most: int) -> bytes:
    """The first ``most`` bytes of a text that came compressed, and may have been cut there; as it
    came, if it is not what ``label`` says.
    """
    take_off = codings.decoder(label)
    if take_off is None:
        return data
    text = bytearray()
    with suppress(codings.CodingError):
        for piece in take_off([data]):
            text += piece
            if len(text) >= most:
                break
    return bytes(text[:most]) if text else data


def _at_most(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Raises ``CodingError`` at the piece that goes beyond ``most`` bytes."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise codings.CodingError("it is too large")
        yield piece
