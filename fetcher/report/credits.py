"""The credit that CC BY asks for, of each image that is stored: title, author and the author's
page, licence, the page it came from, and that nothing was changed (CC BY 2.0 section 4 b).

Two forms, both written as a stream: a CSV, and HTML in pieces, as no browser opens millions of
rows. ``FILE.html`` is the index, and ``FILE-pages/000001.html`` and so on have ``PER_PAGE`` images.
The pages are there whole before the index that leads to them is.

Lists carry text with HTML entities (``&quot;``). They are decoded once, so that ``&amp;quot;`` is
shown as the author wrote it, and what is shown is escaped again by the templates. Browsers decode
some without their semicolon, too; here that would spoil addresses, where ``&copy=1`` may stand. A
link is made of ``http`` and ``https`` addresses only.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from html import unescape
from html.entities import html5
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple

from fetcher.errors import UsageError
from fetcher.evidence import Listed
from fetcher.report.data import csv_writer, tame
from fetcher.report.html import environment_for
from fetcher.report.output import STDOUT, whole_file

PER_PAGE: Final = 1_000
CHANGES: Final = "none"
COLUMNS: Final = (
    "file",
    "image_id",
    "title",
    "author",
    "author_profile",
    "licence",
    "landing_page",
    "source",
    "changes",
)
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]*);")
_MARK: Final = ".fetcher-credits"
"""In a folder of pages: says that it is ours, and may be replaced."""

# Names of columns without case, spaces, "_" and "-"; Open Images' own first.
_NAMES: Final = {
    "title": ("title", "name", "caption"),
    "author": ("author", "authorname", "creator", "artist", "owner"),
    "author_profile": ("authorprofileurl", "authorurl", "profileurl", "creatorurl"),
    "licence": ("license", "licence", "licenseurl", "licenceurl"),
    "landing_page": ("originallandingurl", "landingurl", "landingpage", "foreignlandingurl"),
}


class Credit(NamedTuple):
    file: str
    image_id: str
    title: str
    author: str
    author_profile: str
    licence: str
    landing_page: str
    source: str
    changes: str = CHANGES


def _decoded(entity: re.Match[str]) -> str:
    known = entity[0][1] == "#" or entity[0][1:] in html5
    return unescape(entity[0]) if known else entity[0]


def credit(image: Listed) -> Credit:
    plain = {name.casefold().translate(_IGNORED): name for name in reversed(image.extra)}

    def told(role: str) -> str:
        found = (image.extra[plain[name]] for name in _NAMES[role] if name in plain)
        return _ENTITY.sub(_decoded, next(found, ""))

    return Credit(
        image.path or "",
        image.image_id,
        told("title"),
        told("author"),
        told("author_profile"),
        told("licence"),
        told("landing_page"),
        image.url,
    )


_IGNORED: Final = str.maketrans("", "", " _-")


def write(target: Path, images: Iterable[Listed], *, about: str) -> int:
    """How many credits were written. Raises ``UsageError`` if the name says no form, or a folder of
    that name is not ours; ``MissingExtraError`` for HTML without Jinja.
    """
    found = map(credit, images)
    if target == STDOUT or target.suffix.lower() == ".csv":
        with whole_file(target) as file:
            return _write_csv(file, found)
    if target.suffix.lower() in {".html", ".htm"}:
        return _write_pages(target, found, about)
    raise UsageError(
        f"--attribution {target}: its name says neither CSV nor HTML.",
        hint="Name a file that ends in .csv or .html, or - for CSV on standard output.",
    )


def _write_csv(out: IO[bytes], credits_: Iterable[Credit]) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=True)
    writer = csv_writer(text)
    writer.writerow(COLUMNS)
    n = 0
    for n, found in enumerate(credits_, start=1):  # noqa: B007  the count
        writer.writerow(map(tame, found))
    text.flush()
    text.detach()
    return n


class Page(NamedTuple):
    """A line of the index."""

    name: str
    images: int
    first: str
    last: str


def _write_pages(target: Path, credits_: Iterable[Credit], about: str) -> int:
    environment = environment_for("Credits in HTML")
    folder = target.with_name(f"{target.stem}-pages")
    if folder.exists() and not (folder / _MARK).is_file():
        raise UsageError(
            f"{folder} is in the way: it is not a folder of credits that fetcher wrote.",
            hint="Move it, or choose another name.",
        )
    template = environment.get_template("credits.html")
    pages: list[Page] = []
    with whole_file(target) as index:
        fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{folder.name}."))
        try:
            (fresh / _MARK).write_text("Credits, in pieces; the index is beside this folder.\n")
            for n, (part, more) in enumerate(_pieces(credits_), start=1):
                page = Page(f"{n:06}.html", len(part), part[0].image_id, part[-1].image_id)
                pages.append(page)
                with (fresh / page.name).open("w", encoding="utf-8", errors="replace") as file:
                    stream = template.stream(
                        credits=part, number=n, more=more, index=f"../{target.name}"
                    )
                    stream.enable_buffering(100)
                    file.writelines(stream)
            fresh.chmod(0o755)
            old = _set_aside(folder)
            fresh.rename(folder)
            if old is not None:
                shutil.rmtree(old)
        except BaseException:
            with suppress(OSError):
                shutil.rmtree(fresh)
            raise
        total = sum(page.images for page in pages)
        listing = environment.get_template("credits-index.html")
        index.write(
            listing.render(pages=pages, about=about, total=total, folder=folder.name).encode()
        )
    return total


def _set_aside(folder: Path) -> Path | None:
    if not folder.exists():
        return None
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    folder.rename(aside / "old")
    return aside


def _pieces(credits_: Iterable[Credit]) -> Iterator[tuple[list[Credit], bool]]:
    """With each whether there is another."""
    running = iter(credits_)
    part = list(islice(running, PER_PAGE))
    while part:
        following = list(islice(running, PER_PAGE))
        yield part, bool(following)
        part = following
