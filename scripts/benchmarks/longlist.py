"""An image list as long as Open Images, and of its shape: eleven columns, three members, no image.

Rows have the layout of the 2017_11 packaging (``2017_11/{test,validation,train}/images.csv``) and
the statistics of the 3,000 rows that begin its members: how long each cell is, how many hosts there
are and how URLs divide among them, how often a thumbnail is missing or an author comes again, and
which sizes images have. Names are invented, and all URLs lead to names under ``.invalid``
(RFC 6761), which are asked of nobody; they say ``http``, so that a server here can be led to.

The first ``KNOWN`` rows all are of one image that there is, ``LongList.image``; the rest cannot be
had. Everything follows from a seed and the position in the list, in batches, so memory does not
grow. What was made is kept under a key of its content: of this file, and the number of rows.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
import tarfile
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from scripts.benchmarks import corpus
from scripts.benchmarks.corpus import SEED, Image

ROWS: Final = 9_178_275
DOMAIN: Final = "pictures.invalid"
HOSTS: Final = tuple(f"{kind}{n}.{DOMAIN}" for kind in ("c", "farm") for n in range(1, 9))
KNOWN: Final = 20_000
KNOWN_SIZE: Final = 2_000_000
_SHARES: Final = {"test": 125_436, "validation": 41_620, "train": 9_011_219}
"""Rows of the members, in the order in which they are packed."""
COLUMNS: Final = (
    *("ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL"),
    *("Author", "Title", "OriginalSize", "OriginalMD5", "Thumbnail300KURL"),
)
_LICENCE: Final = "https://creativecommons.org/licenses/by/2.0/"
_HEADER: Final = f"{','.join(COLUMNS)}\n"
_FURNITURE: Final = len(',,,,,,"","",,,\n')
"""Bytes of a row that are in none of its cells: commas, quotes and the line end."""
_PAGES: Final = "https://photos.invalid"
_BATCH: Final = 8_192
_LEVEL: Final = 6
_AUTHORS: Final = 600_000
_BUSY: Final = 5
"""How much more some authors have than others: of 3,000 rows some 2,500 are of different ones."""

# Lengths, and what URLs' folders are called, at these shares of the sampled rows.
_PERCENT: Final = (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 100)
_TITLE: Final = (1, 6, 8, 8, 11, 14, 18, 21, 26, 33, 46, 61, 124, 277)
_AUTHOR: Final = (1, 6, 7, 9, 10, 12, 13, 13, 15, 16, 20, 26, 44, 83)
_ALIAS: Final = (3, 5, 6, 7, 8, 8, 9, 10, 11, 13, 15, 17, 22, 31)
_FOLDER: Final = (
    1,
    81,
    431,
    2_457,
    3_105,
    3_659,
    4_062,
    5_164,
    6_037,
    7_314,
    8_159,
    8_444,
    8_695,
    8_877,
)
_DIGITS: Final = (8,) * 3 + (9,) * 8 + (10,) * 65 + (11,) * 24
"""Of a photo's number."""
_ROOM: Final = 1 << 20
_LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class LongList:
    directory: Path
    rows: int
    bytes: int
    """Of the unpacked members."""
    cells: int
    """Of these, what is in cells: what a manifest keeps of a list."""
    image: Image
    """Of the first ``KNOWN`` rows."""

    @property
    def archive(self) -> Path:
        return self.directory / "images_2017_11.tar.gz"

    @property
    def members(self) -> tuple[Path, ...]:
        """The same, unpacked."""
        return tuple(self.directory / _member(subset) for subset in _SHARES)

    @property
    def image_file(self) -> Path:
        return self.directory / "image" / self.image.file_name


def obtain(rows: int, place: Path, say: Callable[[str], None]) -> LongList:
    """The list of ``rows`` (≥ 3), made in ``place`` unless it is there already."""
    home = place / "fetcher-bench-lists" / _key(rows)
    if not home.is_dir():
        say(f"making a list of {rows:,} rows in {place}: some {rows * 505 / 1e6:,.0f} MB")
        home.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home.parent))
        try:
            _make(rows, unfinished)
            with suppress(OSError):  # somebody else was quicker
                unfinished.rename(home)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    about = json.loads((home / "about.json").read_text())
    image_id, size, md5 = about.pop("image")
    return LongList(home, rows, image=Image(image_id, size, bytes.fromhex(md5)), **about)


def _key(rows: int) -> str:
    return f"{rows}-{sha256(Path(__file__).read_bytes()).hexdigest()[:16]}"


def _make(rows: int, directory: Path) -> None:
    spec = corpus.uniform("known", 1, KNOWN_SIZE)
    (image,) = corpus.write(spec, directory / "image").images
    counts = members(rows)
    before = total = 0
    for subset, count in counts.items():
        path = directory / _member(subset)
        path.parent.mkdir(parents=True)
        with path.open("wb", buffering=1 << 20) as file:
            total += file.write(_HEADER.encode())
            known = max(0, min(count, KNOWN - before))
            for batch in lines(subset, count, image, known):
                total += file.write("".join(batch).encode())
        before += count
    _pack(directory)
    about = {
        "bytes": total,
        "cells": total - len(counts) * len(_HEADER) - rows * _FURNITURE,
        "image": (image.image_id, image.size, image.md5.hex()),
    }
    (directory / "about.json").write_text(json.dumps(about))


def _member(subset: str) -> str:
    return f"2017_11/{subset}/images.csv"


def _pack(directory: Path) -> None:
    path = directory / "images_2017_11.tar.gz"
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=1 << 20) as archive,
    ):
        for subset in _SHARES:
            member = tarfile.TarInfo(_member(subset))
            member.size = (directory / member.name).stat().st_size
            with (directory / member.name).open("rb") as content:
                archive.addfile(member, content)


def members(rows: int) -> dict[str, int]:
    """How many of ``rows`` each member has, at least one."""
    *smaller, largest = _SHARES
    counts = {name: max(1, round(rows * _SHARES[name] / ROWS)) for name in smaller}
    return {**counts, largest: rows - sum(counts.values())}


def lines(subset: str, count: int, image: Image, known: int) -> Iterator[list[str]]:
    """The rows of a member, in batches; the first ``known`` are of ``image``."""
    step = 2**64 // count
    for first in range(0, count, _BATCH):
        numbers = range(first, min(count, first + _BATCH))
        seed = f"{SEED} {subset} {count} {first}"
        chance = random.Random(seed)  # noqa: S311  repeatable, not secret
        ids = [number * step + chance.randrange(step) for number in numbers]
        batch = _Columns(chance, len(numbers))
        sizes, digests = batch.sizes(), batch.digests()
        of_image = max(0, min(len(numbers), known - first))
        sizes[:of_image] = [image.size] * of_image
        digests[:of_image] = [b64encode(image.md5).decode()] * of_image
        columns = (batch.photos(), batch.authors(), batch.titles(), sizes, digests)
        yield [
            f"{image_id:016x},{subset},{url},{_PAGES}/photos/{alias}/{photo},{_LICENCE},"
            f'{_PAGES}/people/{alias}/,"{author}","{title}",{size},{md5},{thumbnail}\n'
            for image_id, (photo, url, thumbnail), (alias, author), title, size, md5 in zip(
                ids, *columns, strict=True
            )
        ]


class _Columns:
    """Cells of ``count`` rows."""

    def __init__(self, chance: random.Random, count: int) -> None:
        self._chance = chance
        self._count = count
        self._stock = _stock()

    def photos(self) -> Iterator[tuple[int, str, str]]:
        """Numbers, and the URLs of the image and of its thumbnail."""
        n, chance = self._count, self._chance
        secrets = chance.randbytes(10 * n).hex()
        columns = zip(
            chance.choices(_DIGITS, k=n),
            chance.choices(self._stock.folders, k=n),
            chance.choices(HOSTS, k=n),
            chance.choices(self._stock.thumbnails, k=n),
            chance.choices(range(1, 10), k=n),
            range(0, 20 * n, 20),
            strict=True,
        )
        for digits, folder, host, (thumb_host, ending), top, at in columns:
            photo = int((0.1 + 0.9 * chance.random()) * 10**digits)
            place = f"{folder}/{photo}_{secrets[at : at + 10]}_o.jpg"
            url = f"http://{host}/{top}/{place}" if host[0] == "c" else f"http://{host}/{place}"
            small = f"{folder}/{photo}_{secrets[at + 10 : at + 20]}{ending}"
            yield photo, url, f"https://{thumb_host}/{top}/{small}" if ending else ""

    def authors(self) -> Iterator[tuple[str, str]]:
        """In URLs, and as they call themselves. The same number is the same author."""
        chance, stock = self._chance, self._stock
        for _ in range(self._count):
            number = int(_AUTHORS * chance.random() ** _BUSY)
            at = number * 7_919 % _ROOM  # a prime, so that neighbours lie apart
            if number % 8 == 0:  # one in eight has a number for a name
                alias = f"{20_000_000 + number * 97}@N0{number % 10}"
            else:
                alias = stock.letters[at : at + stock.aliases[number % 101]]
            yield alias, stock.names[at : at + stock.authors[number % 103]]

    def titles(self) -> Iterator[str]:
        chance, prose = self._chance, self._stock.prose
        for length in chance.choices(self._stock.titles, k=self._count):
            at = int(chance.random() * _ROOM)
            yield prose[at : at + length]

    def sizes(self) -> list[int]:
        chance = self._chance
        return [
            size + int(chance.random() * 1_000)
            for size in chance.choices(self._stock.sizes, k=self._count)
        ]

    def digests(self) -> list[str]:
        raw = self._chance.randbytes(16 * self._count)
        return [b64encode(raw[at : at + 16]).decode() for at in range(0, len(raw), 16)]


@dataclass(frozen=True, slots=True)
class _Stock:
    """What cells are cut out of, or drawn from."""

    prose: str
    names: str
    letters: str
    titles: tuple[int, ...]
    """Lengths, as the next two."""
    authors: tuple[int, ...]
    aliases: tuple[int, ...]
    folders: tuple[int, ...]
    sizes: tuple[int, ...]
    thumbnails: tuple[tuple[str, str], ...]
    """Hosts, and how their URLs end; nothing where there is no thumbnail."""


@cache
def _stock() -> _Stock:
    return _Stock(
        prose=_prose(),
        names=_text([*(w.capitalize() for w in _words("names", 3_000)), "O&#x27;Wan"]),
        letters=_text(_words("aliases", 500), between=""),
        titles=_spread_out(_TITLE, _PERCENT, 400),
        authors=_spread_out(_AUTHOR, _PERCENT, 103),
        aliases=_spread_out(_ALIAS, _PERCENT, 101),
        folders=_spread_out(_FOLDER, _PERCENT, 1_000),
        sizes=tuple(corpus.open_images_size((n + 0.5) / 5_000) for n in range(5_000)),
        thumbnails=(
            *((f"c{1 + n % 8}.{DOMAIN}", "_z.jpg") for n in range(873)),
            *((f"c{1 + n % 8}.{DOMAIN}", "_z.jpg?zz=1") for n in range(98)),
            *(("", "") for _ in range(29)),
        ),
    )


def _prose() -> str:
    """Words, numbers, commas, entities, and what is not ASCII."""
    words = _words("titles", 4_000)
    words += [word.capitalize() for word in words]
    some = len(words) // 100
    words += [f"{word}," for word in words[: 2 * some]]
    words += [f"&quot;{word}&quot;" for word in words[: some // 2]]
    words += [f"IMG_{1_000 + n}" for n in range(4 * some)]
    words += [f"{word}é" for word in words[:some]] + ["日本の", "дом", "café", "\\"] * (some // 4)
    return _text(words)


def _text(words: Sequence[str], between: str = " ") -> str:
    """Long enough that the longest cell can be cut out behind each of ``_ROOM`` places."""
    chance = random.Random(f"{SEED} {words[0]}")  # noqa: S311  repeatable, not secret
    return between.join(chance.choices(words, k=_ROOM))[: _ROOM + _LONGEST]


def _words(seed: str, count: int) -> list[str]:
    """That look like words, and are none."""
    chance = random.Random(f"{SEED} {seed}")  # noqa: S311  repeatable, not secret
    syllables = [a + b for a in "bdfgklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]
    return ["".join(chance.choices(syllables, k=chance.choice((1, 2, 2, 3)))) for _ in range(count)]


def _spread_out(quantiles: Sequence[int], percent: Sequence[int], n: int) -> tuple[int, ...]:
    """``n`` values that lie as ``quantiles`` say, straight in between."""
    found: list[int] = []
    for i in range(n):
        share = 100 * (i + 0.5) / n
        step = next(k for k in range(1, len(percent)) if share <= percent[k])
        low, high = quantiles[step - 1], quantiles[step]
        part = (share - percent[step - 1]) / (percent[step] - percent[step - 1])
        found.append(round(low + (high - low) * part))
    return tuple(found)
