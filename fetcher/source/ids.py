"""The ids of ``--ids FILE``: which images of the lists are meant.

Ids are as in the manifest: 16 hex digits for Open Images, also where a list has them in decimal.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from fetcher.errors import SourceError
from fetcher.source.columns import is_id_column
from fetcher.source.streams import DamageError, read_chunks, unpacked
from fetcher.source.text import NOTHING, blocks_of, record_reader


def read_ids(path: str | os.PathLike[str]) -> frozenset[str]:
    """The ids in ``path``, plain or gzipped; all of them are held in memory.

    It is read as a table if its first line has an id column's name in it, and as one id per line
    if not. Raises SourceError if it cannot be read, has a line that is neither, or has no id.
    """
    file = Path(path)
    try:
        ids = frozenset(_ids(file))
    except DamageError as damage:
        raise _refusal(file, f"is damaged: {damage}") from damage
    except csv.Error as error:
        raise _refusal(file, f"is no list of ids: {error}") from error
    if not ids:
        raise _refusal(file, "has no id")
    return ids


def _ids(file: Path) -> Iterator[str]:
    blocks = blocks_of(unpacked(read_chunks(file)))
    first = next(blocks, NOTHING)
    delimiter = "\t" if "\t" in first.text else ","
    records = record_reader(chain([first], blocks), delimiter)
    at: int | None = None
    header = False
    for record in records:
        if not any(cell.strip() for cell in record) or record[0].lstrip().startswith("#"):
            continue
        if at is None:
            at = next((at for at, name in enumerate(record) if is_id_column(name)), None)
            header, at = at is not None, at or 0
            if header:
                continue
        if len(record) > 1 and not header:
            raise _refusal(
                file, f"has {len(record)} columns in line {records.line_num}, but none named as id"
            )
        # An id has no slash. Open Images' own downloader takes lines like train/0000a1b2c3d4e5f6.
        image_id = record[at].rpartition("/")[2].strip() if at < len(record) else ""
        if not image_id:
            raise _refusal(file, f"has no id in line {records.line_num}")
        yield image_id


def _refusal(file: Path, what: str) -> SourceError:
    return SourceError(
        f"The file of ids {file} {what}.",
        hint="It holds one id per line, or is a CSV or TSV with a header and a column ImageID, "
        "image_id or id. Empty lines and lines that start with # are left out.",
    )
