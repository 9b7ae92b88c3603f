"""Which column of a list holds what: by header name, never by position.

Open Images changed its columns eight times; every layout is told by the same names. Other lists
use other names: the usual ones are known here, and any can be named in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import fields

from fetcher.errors import SourceError


class ColumnNames(Struct, frozen=True):
    """Names of the columns that make an asset, as the configuration gives them.

    ``None`` finds the column by its usual names; ``""`` says that the list has none, for a column
    whose usual name means something else here. A given name must occur to the letter.
    """

    id: str | None = None
    subset: str | None = None
    url: str | None = None
    size: str | None = None
    md5: str | None = None


USUAL: Final = {
    "id": ("imageid", "id"),
    "subset": ("subset", "split"),
    "url": ("originalurl", "imageurl", "imgurl", "url"),
    "size": ("originalsize", "sizebytes", "sizeinbytes", "filesize", "bytes", "size"),
    "md5": ("originalmd5", "md5", "md5sum", "md5base64", "md5hex", "contentmd5"),
}
"""In the order of preference, Open Images' own name first; compared without case, spaces, "_" and
"-" (``plain``), so that ``imageid`` stands for ImageID, image_id and "Image ID" alike. Left out are
names that as often mean something else: link, source, key, hash, checksum, length.
"""

# images_2016_08, first release and _v2: the one header that does not tell how ids are written.
_FIRST_V1: Final = frozenset(
    {
        "imageid",
        "originalurl",
        "originallandingurl",
        "license",
        "authorprofileurl",
        "author",
        "title",
    }
)


class Layout(Struct, frozen=True):
    """A header, understood: positions of the columns that make an asset, and of the others."""

    header: tuple[str, ...]
    url: int
    id: int | None = None
    subset: int | None = None
    size: int | None = None
    md5: int | None = None
    least: int = 0
    """Columns that a row must have at least; it has at most as many as the header."""
    maybe_decimal: bool = False
    """The header is that of the release whose ids were decimal; the rows decide."""

    @property
    def extra(self) -> tuple[int, ...]:
        used = {self.url, self.id, self.subset, self.size, self.md5}
        return tuple(at for at in range(len(self.header)) if at not in used)

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Unique names of the other columns; a repeated name becomes ``name_2``, ``name_3`` …, and
        a missing one ``column_N``, N counting from 1.
        """
        names: list[str] = []
        taken = set(self.header)
        for at in self.extra:
            stem = self.header[at] or f"column_{at + 1}"
            name, number = stem, 1
            while name in names or (number > 1 and name in taken):
                number += 1
                name = f"{stem}_{number}"
            names.append(name)
        return tuple(names)


_LIKE_A_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

TSV_HTTP_DATA: Final = "TsvHttpData-1.0"
"""The first line of a URL list for Google's Storage Transfer Service, which CVDF publishes."""

TSV_HTTP_LAYOUT: Final = Layout(header=("URL", "size", "MD5"), url=0, size=1, md5=2, least=1)
"""Size and MD5 are optional there: a row may end after its URL or its size."""


def resolve(header: Sequence[str], names: ColumnNames, where: str) -> Layout | None:
    """The layout that ``header`` tells, or ``None`` if it has no URL column.

    ``where`` names the list in messages. Raises SourceError if the configuration names a column
    that is not there, or if more than one column could be meant.
    """
    columns = tuple(name.strip() for name in header)
    url = _find("url", columns, names, where, required=False)
    if url is None:
        return None
    found = {role.name: _find(role.name, columns, names, where) for role in fields(ColumnNames)} | {
        "url": url
    }
    return Layout(
        header=columns,
        url=url,
        id=found["id"],
        subset=found["subset"],
        size=found["size"],
        md5=found["md5"],
        least=len(columns),
        maybe_decimal=len(columns) == len(_FIRST_V1) and set(map(plain, columns)) == _FIRST_V1,
    )


def no_url_column(
    header: Sequence[str], names: ColumnNames, where: str, from_urls: str = ""
) -> SourceError:
    """The error for a header that ``resolve`` found no URL column in.

    ``from_urls`` is a command that makes a list of a file with a URL on each line.
    """
    if names.url:
        return _lacking("url", names.url, header, where)
    return SourceError(
        f"{where} is no image list: no column of its header holds URLs. {_listing(header)}",
        hint=_how_to_name_urls([name.strip() for name in header], from_urls),
    )


def _how_to_name_urls(first_line: Sequence[str], from_urls: str) -> str:
    urls = [_LIKE_A_URL.match(name) is not None for name in first_line]
    named = "put a line first that names the columns, such as"
    if from_urls and urls and urls[0]:
        # URLs may have commas in them, so one that begins the line may be all of it.
        more = f"\nIf it has more columns, {named}: url,size" if len(urls) > 1 else ""
        return (
            "If it is one URL a line, this makes a list of it; give that instead:\n"
            f"  {from_urls}{more}"
        )
    if any(urls):
        return f"Its first line has a URL in it: {named}: id,url"
    return (
        "The first line must name the columns, with commas or tabs between them. The URLs' is "
        f"found by the names {', '.join(USUAL['url'])} (upper case, spaces, _ and - make no "
        "difference); any other one is named with --set source.columns.url=NAME."
    )


def is_id_column(name: str) -> bool:
    return plain(name) in USUAL["id"]


def _find(
    role: str, columns: Sequence[str], names: ColumnNames, where: str, *, required: bool = True
) -> int | None:
    wanted: str | None = getattr(names, role)
    if wanted == "":
        return None
    if wanted is not None:
        exact = [at for at, name in enumerate(columns) if name == wanted]
        if not exact and required:
            raise _lacking(role, wanted, columns, where)
        return _only(exact, role, columns, where)
    for usual in USUAL[role]:
        alike = [at for at, name in enumerate(columns) if plain(name) == usual]
        if alike:
            return _only(alike, role, columns, where)
    return None


def _only(candidates: Sequence[int], role: str, columns: Sequence[str], where: str) -> int | None:
    if len(candidates) > 1:
        alike = " and ".join(repr(columns[at]) for at in candidates)
        raise SourceError(
            f"{where} has more than one column that may hold the {role}: {alike}.",
            hint=f"Give them different names, and say which is meant with "
            f"--set source.columns.{role}=NAME.",
        )
    return candidates[0] if candidates else None


def _lacking(role: str, wanted: str, columns: Sequence[str], where: str) -> SourceError:
    return SourceError(
        f"{where} has no column {wanted!r}, which source.columns.{role} names. {_listing(columns)}",
        hint=f"Set source.columns.{role} to one of them, or to null to find it by its usual name.",
    )


_SHOWN: Final = 40
_NAME_SHOWN: Final = 60


def _listing(columns: Sequence[str]) -> str:
    # What was taken for a header may be anything: a line of JSON, a whole file without line ends.
    shown = [repr(name[:_NAME_SHOWN]) for name in columns[:_SHOWN]]
    if len(columns) > _SHOWN:
        shown.append(f"and {len(columns) - _SHOWN} more")
    return f"Its columns are: {', '.join(shown)}."


def plain(name: str) -> str:
    """As names of columns are compared."""
    return name.casefold().translate(_IGNORED)


_IGNORED: Final = str.maketrans("", "", " _-")
