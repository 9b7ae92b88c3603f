"""Which rows repeat an id, told exactly and in bounded memory: by partitions on disk.

Every row leaves a record of fixed size in one of ``PARTS`` partitions, chosen by its id. Rows with
the same id meet in one partition, in the order of their reading, so each can be settled by itself:
9.2 million rows are 600 MB on disk, written and read once in a row, and 18,000 records at a time in
memory. Up to ``BUFFER`` bytes nothing is written at all.

An id of up to 16 bytes is in the record as it is, a longer one as 128 bits of its BLAKE2b, and a
URL as the 64 bits of this process's keyed hash, which are compared only with those of rows that
have the same id. So a row is taken for what it is not with a chance of less than 2**-60 for each
repetition, and of 2**-80 for all of nine million long ids together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final, NamedTuple, Self

from fetcher.errors import StoreError
from fetcher.model import Row
from fetcher.policy.oserrors import disk_fault

PARTS: Final = 512
BUFFER: Final = 64 << 20

_RECORD: Final = Struct("<16sq24sqIQ")
_ID: Final = 16
_LINE_BITS: Final = 44


class Met(NamedTuple):
    """A row, as far as it is remembered."""

    image_id: bytes
    url: int
    md5: bytes
    size: int
    """-1 if it is not listed."""
    kind: int
    at: int
    """Table and line."""

    @property
    def table(self) -> int:
        return self.at >> _LINE_BITS

    @property
    def line(self) -> int:
        return self.at & ((1 << _LINE_BITS) - 1)


class Repeats:
    """A context manager: what it wrote to ``folder`` (a temporary one) is gone when it is left."""

    def __init__(self, folder: Path | None = None) -> None:
        self._parent = folder
        self._parts = [bytearray() for _ in range(PARTS)]
        self._held = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, row: Row, kind: int, table: int) -> None:
        """``kind`` is any number below 2**32 that the row is to be remembered with."""
        image_id = row.image_id.encode()
        if len(image_id) > _ID:
            image_id = blake2b(image_id, digest_size=_ID).digest()
        size, md5 = row.expected.size, row.expected.md5
        self._parts[hash(image_id) % PARTS] += _RECORD.pack(
            image_id,
            hash(row.url),
            b"" if md5 is None else md5.encode(),
            -1 if size is None else size,
            kind,
            table << _LINE_BITS | row.line,
        )
        self._held += _RECORD.size
        if self._held >= BUFFER:
            self._write()

    def partitions(self) -> Iterator[Iterator[tuple[bytes, int, bytes, int, int, int]]]:
        """The records of each partition, in the order of their reading; fields as in ``Met``."""
        for number, part in enumerate(self._parts):
            written = b""
            if self._folder is not None:
                path = Path(self._folder.name, str(number))
                written = path.read_bytes() if path.exists() else b""
            yield _RECORD.iter_unpack(written + part if written else part)

    def _write(self) -> None:
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="fetcher-plan-", dir=self._parent)
            for number, part in enumerate(self._parts):
                if part:
                    with Path(self._folder.name, str(number)).open("ab") as file:
                        file.write(part)
                    part.clear()
        except OSError as error:
            where = self._folder.name if self._folder is not None else tempfile.gettempdir()
            raise StoreError(
                f"Temporary files cannot be written to {where}: {error.strerror}.",
                fault_code=disk_fault(error),
                hint="Free some room, or name another place in the variable TMPDIR: "
                "it takes 70 bytes for each row.",
            ) from error
        self._held = 0
