"""Image lists in Parquet, through pyarrow, batch by batch.

Cells become the text that a CSV of the same table would have, so that everything after this file is
the same. Rows are numbered as if there were a header line. Columns of binary or nested types that
no row needs (pictures, embeddings) are not read.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from fetcher.errors import MissingExtraError, SourceError
from fetcher.model import Selection, SourceInfo
from fetcher.source.columns import ColumnNames, no_url_column, resolve
from fetcher.source.streams import DamageError
from fetcher.source.table import RowMaker, Table, damaged
from fetcher.source.text import NUL, SUBSTITUTE

MAGIC: Final = b"PAR1"
_BATCH_ROWS: Final = 4096
_MD5_BYTES: Final = 16
_DAMAGE: Final = (OSError, ValueError, ArithmeticError, LookupError)
"""What pyarrow has been seen to raise of a damaged file besides its own exceptions."""


def table(path: Path, columns: ColumnNames, selection: Selection) -> Table:
    """Raises SourceError if the file is damaged or has no URL column, and MissingExtraError."""
    pyarrow, parquet = _pyarrow()
    place = f"The image list {path}"
    try:
        schema = parquet.read_schema(path)
    except (pyarrow.ArrowException, *_DAMAGE) as error:
        raise damaged(str(path), _damage(error), "") from error
    header = list(schema.names)
    if len(set(header)) < len(header):
        raise SourceError(
            f"{place} has two columns of the same name.", hint="Write it with unique names."
        )
    layout = resolve(header, columns, place)
    if layout is None:
        raise no_url_column(header, columns, place)
    left_out = {header[at] for at in layout.extra if not _is_flat(pyarrow, schema.types[at])}
    names = [name for name in header if name not in left_out]
    layout = resolve(names, columns, place) or layout
    digests = names[layout.md5] if layout.md5 is not None else None

    def rows() -> Iterator[list[str]]:
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                    yield from map(list, zip(*_columns(batch, names, digests), strict=True))
        except (pyarrow.ArrowException, *_DAMAGE) as error:
            raise _damage(error) from error

    info = SourceInfo(str(path), None, layout.extra_names)
    return Table(info, _Records(rows()), RowMaker(layout, selection))


class _Records:
    """Rows as a ``RecordReader``; the header that a CSV would have is line 1."""

    def __init__(self, rows: Iterator[list[str]]) -> None:
        self._rows = rows
        self.line_num = 1

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        record = next(self._rows)
        self.line_num += 1
        return record


def _columns(batch: Any, names: list[str], digests: str | None) -> Iterator[list[str]]:
    for name in names:
        text = _digest_text if name == digests else _text
        yield [text(value) for value in _values(batch.column(name))]


def _values(column: Any) -> list[object]:
    """As Python has them; what it has not (dates before the year 1 or after 9999, unknown time
    zones) as the text that Arrow writes.
    """
    try:
        values: list[object] = column.to_pylist()
    except (ArithmeticError, LookupError, ValueError):
        values = column.cast("string").to_pylist()
    return values


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.replace(NUL, SUBSTITUTE)
    # NaN is how pandas keeps a missing number.
    if value is None or value != value:  # noqa: PLR0124  NaN alone differs from itself
        return ""
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.replace(NUL, SUBSTITUTE)


def _digest_text(value: object) -> str:
    if isinstance(value, bytes) and len(value) == _MD5_BYTES:
        return b64encode(value).decode("ascii")
    return _text(value)


def _is_flat(pyarrow: ModuleType, kind: Any) -> bool:
    types = pyarrow.types
    return not (
        types.is_nested(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
    )


def _damage(error: Exception) -> DamageError:
    return DamageError(f"the Parquet data is corrupt ({str(error).partition(chr(10))[0]})")


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError("Reading image lists in Parquet", extra="parquet") from error
