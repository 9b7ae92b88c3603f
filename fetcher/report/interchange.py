"""Assets in the formats of others, so that a user can leave, or combine: each written as a stream.

What a format cannot say of an asset is left out, and an asset that it cannot name at all (a URL
that is none, or that has a line break in it) is skipped and counted, never bent into shape.

=============  ==================================================================================
csv            an image list that ``fetcher mirror`` reads back: the same rows, columns and order
tsv            ``TsvHttpData-1.0`` of Google's Storage Transfer Service: URL, size, base64 MD5,
               sorted by URL as it asks for
aria2          an input file for ``aria2c --input-file``: URL, ``out=`` and ``checksum=`` (hex)
img2dataset    Parquet with ``url`` and ``md5`` (hex, as ``--verify_hash`` compares), and the rest
md5sums        lines for ``md5sum --check`` in DIR, of what is stored
=============  ==================================================================================

The CSV is for programs, and holds text to the byte: unlike a report's it has no apostrophes before
what a spreadsheet would take for a formula.
"""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, Final, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from fetcher.errors import UsageError
from fetcher.evidence import Listed
from fetcher.policy.paths import relative_path
from fetcher.report.data import arrow, csv_writer


class Written(NamedTuple):
    images: int
    skipped: int


class Format(Struct, frozen=True):
    """``write`` gets where to, the assets, and the names of the lists' other columns."""

    write: Callable[[IO[bytes], Iterable[Listed], Sequence[str]], Written]
    by_url: bool = False
    """Wants assets sorted by URL."""
    kept: bool = False
    """Is of files, not of URLs."""
    binary: bool = False


MAIN: Final = ("ImageID", "Subset", "OriginalURL", "OriginalSize", "OriginalMD5")
"""Open Images' own names, which every reader of image lists finds first."""


def columns_beside(main: Sequence[str], extra: Sequence[str]) -> dict[str, str]:
    """Headings for the columns ``extra``, none of which can be taken for one of ``main``."""
    taken = {_plain(name) for name in main}
    headings: dict[str, str] = {}
    for name in extra:
        heading = name
        while _plain(heading) in taken or heading in headings.values():
            heading += "_listed"
        headings[name] = heading
    return headings


def _plain(name: str) -> str:
    return name.casefold().translate(_IGNORED)


_IGNORED: Final = str.maketrans("", "", " _-")


def write_csv(out: IO[bytes], images: Iterable[Listed], extra: Sequence[str]) -> Written:
    headings = columns_beside(MAIN, extra)
    n = 0
    with _text(out) as text:
        writer = csv_writer(text)
        writer.writerow((*MAIN[:3], *headings.values(), *MAIN[3:]))
        for n, image in enumerate(images, start=1):  # noqa: B007  the count
            others = [image.extra.get(name, "") for name in headings]
            writer.writerow(
                (image.image_id, image.subset, image.url, *others, image.size, image.md5)
            )
    return Written(n, 0)


def write_tsv(out: IO[bytes], images: Iterable[Listed], _extra: Sequence[str]) -> Written:
    def line(image: Listed) -> str:
        cells = [image.url, str(image.size or ""), image.md5 or ""]
        return "\t".join(cells).rstrip("\t") + "\n"

    return _lines(out, images, line, first="TsvHttpData-1.0\n")


def write_aria2(out: IO[bytes], images: Iterable[Listed], _extra: Sequence[str]) -> Written:
    def entry(image: Listed) -> str:
        path = relative_path("images", image.subset, image.image_id, _extension(image.url))
        checksum = f"  checksum=md5={_hex(image.md5)}\n" if image.md5 else ""
        return f"{image.url}\n  out={path}\n{checksum}"

    return _lines(out, images, entry)


def write_md5sums(out: IO[bytes], images: Iterable[Listed], _extra: Sequence[str]) -> Written:
    """Raises ``UsageError`` if an image lies in a shard."""
    n = skipped = 0
    with _text(out) as text:
        for image in images:
            if image.path is not None and image.path.startswith("shards/"):
                raise UsageError(
                    f"{image.path} lies in a tar shard, where md5sum cannot look.",
                    hint="fetcher verify checks shards; --as csv --state verified has their MD5s.",
                )
            if image.path is None or image.actual_md5 is None:
                skipped += 1
                continue
            n += 1
            text.write(md5sum_line(_hex(image.actual_md5), image.path))
    return Written(n, skipped)


def md5sum_line(digest: str, path: str) -> str:
    r"""As ``md5sum`` writes it: a name with a backslash or a line break is escaped, and a backslash
    before the digest says so (GNU coreutils manual, section 6.6; ``\r`` since 9.0).
    """
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == path else chr(92)}{digest}  {escaped}\n"


_TAKEN: Final = ("url", "md5", "image_id", "subset", "size")
_GROUP: Final = 10_000
"""Rows."""


def write_img2dataset(out: IO[bytes], images: Iterable[Listed], extra: Sequence[str]) -> Written:
    """Raises ``MissingExtraError`` without PyArrow."""
    pyarrow, parquet = arrow("An export for img2dataset")
    headings = columns_beside(_TAKEN, extra)
    schema = pyarrow.schema(
        [
            ("url", pyarrow.string()),
            ("md5", pyarrow.string()),
            ("image_id", pyarrow.string()),
            ("subset", pyarrow.string()),
            ("size", pyarrow.int64()),
            *((heading, pyarrow.string()) for heading in headings.values()),
        ]
    )
    n = skipped = 0
    running = iter(images)
    with parquet.ParquetWriter(out, schema) as writer:
        while part := list(islice(running, _GROUP)):
            rows = [
                (
                    image.url,
                    _hex(image.md5) if image.md5 else None,
                    image.image_id,
                    image.subset,
                    image.size,
                    *(image.extra.get(name) for name in headings),
                )
                for image in part
                if _is_plain_url(image.url)
            ]
            n += len(rows)
            skipped += len(part) - len(rows)
            columns = [
                pyarrow.array([row[at] for row in rows], field.type)
                for at, field in enumerate(schema)
            ]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))
    return Written(n, skipped)


FORMATS: Final = {
    "csv": Format(write_csv),
    "tsv": Format(write_tsv, by_url=True),
    "aria2": Format(write_aria2),
    "img2dataset": Format(write_img2dataset, binary=True),
    "md5sums": Format(write_md5sums, kept=True),
}


def _lines(
    out: IO[bytes],
    images: Iterable[Listed],
    line: Callable[[Listed], str],
    *,
    first: str = "",
) -> Written:
    n = skipped = 0
    with _text(out) as text:
        text.write(first)
        for image in images:
            if _is_plain_url(image.url):
                n += 1
                text.write(line(image))
            else:
                skipped += 1
    return Written(n, skipped)


def _is_plain_url(url: str) -> bool:
    """Whether it is a web address, and one word of one line."""
    return (
        url.lower().startswith(("http://", "https://"))
        and url.isprintable()
        and not any(character.isspace() for character in url)
    )


_EXTENSIONS: Final = frozenset(
    {"avif", "bmp", "gif", "heic", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp"}
)


def _extension(url: str) -> str:
    """As the URL has it, if it is an image's; the bytes would tell better, but are not here yet."""
    try:
        suffix = urlsplit(url).path.rpartition("/")[2].rpartition(".")[2].lower()
    except ValueError:
        return "jpg"
    return suffix if suffix in _EXTENSIONS else "jpg"


def _hex(md5: str) -> str:
    return b64decode(md5).hex()


@contextmanager
def _text(out: IO[bytes]) -> Iterator[IO[str]]:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
    try:
        yield text
        text.flush()
    finally:
        text.detach()
