"""Target: image lists in Parquet, damaged and with columns of types that nobody expects."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import import_module
from typing import Any, Final

from scripts.fuzzing.laws import Choices, Target, require
from scripts.fuzzing.lists import read_whole

_URLS: Final = ["https://a.example/1", None, "https://a.example/3"]


@cache
def _files() -> tuple[bytes, ...]:
    """One for each kind of column, compressed or not."""
    pyarrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    files = []
    for name, column in _columns(pyarrow):
        for compression in ("NONE", "SNAPPY"):
            packed = io.BytesIO()
            table = pyarrow.table({"url": pyarrow.array(_URLS), name: column})
            parquet.write_table(table, packed, compression=compression)
            files.append(packed.getvalue())
    return tuple(files)


def _columns(pyarrow: Any) -> Iterator[tuple[str, Any]]:
    array, early = pyarrow.array, datetime(1, 1, 1, tzinfo=UTC)
    yield "id", array(["a", "b", "c"])
    yield "id", array([1, None, 2**63 - 1])
    yield "id", array([b"a", b"\xff", None])
    yield "md5", array([b"\0" * 16, b"x", None])
    yield "md5", array(["EEGQ0ZQ/OxJAIGzfJ6LMvw==", "", None])
    yield "size", array([1.0, float("nan"), float("inf")])
    yield "size", array([Decimal("1.00"), None, Decimal(7)])
    yield "title", array([early, None, early + timedelta(days=1)])
    yield "title", array([-(2**52), 2**52, None], pyarrow.timestamp("s", "UTC"))
    yield "title", array([-(2**62), 2**62, None], pyarrow.timestamp("us"))
    yield "title", array([-(2**62), 2**62 + 1, None], pyarrow.timestamp("ns", "Nowhere/Here"))
    yield "title", array([2**62, 0, None], pyarrow.duration("us"))
    yield "title", array([2**31 - 1, 0, None], pyarrow.date32())
    yield "title", array(["a", "a", None]).dictionary_encode()
    yield "title", array([[1], None, []])
    yield "title", array([{"a": 1}, None, {}])
    yield "title", array([True, None, False])
    yield "title", pyarrow.nulls(3)


def _parquet(data: bytes) -> None:
    """Each three further bytes of the input change one of the file."""
    choices = Choices(data)
    files = _files()
    content = bytearray(files[choices.below(len(files))])
    columns = choices.below(4)
    changes = choices.rest()
    for at in range(0, len(changes) - 2, 3):
        where = int.from_bytes(changes[at : at + 2], "big") % len(content)
        content[-1 - where] = changes[at + 2]
    reading = read_whole(bytes(content), columns)
    if not changes[:3]:
        require(reading.refusal is not None or len(reading.rows) == len(_URLS), "rows are lost")


TARGETS: Final = (
    Target(
        "list-parquet",
        "only SourceError; every row becomes a row or a bad row, whatever its types are; checked "
        "and read it is refused alike",
        _parquet,
        (*(bytes([n, 0]) for n in range(34)), *(bytes([n, 0, 0, 9 * n, 7]) for n in range(28))),
        longest=40,
    ),
)
