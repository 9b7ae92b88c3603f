"""Ordinary lines of a table, cut into cells by C.

A *cut* is where a cell lies in its text; cuts of a line after the other are plain bytes, and with
their text they are a *part*. Cells become objects only where somebody asks for them: of the nine
million rows of a long list, hardly any is looked at by itself on its way into the manifest.

The extension ``_lines`` is made where there is a C compiler. Everywhere else ``cut`` is ``None``:
no line is ordinary, and all are read one by one, some three times as slowly.
"""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["Cut", "Part", "cut", "unquoted"]

Part = tuple[bytes, bytes]
"""A text in UTF-8, and the cuts of some of its lines."""


class Cut(Protocol):
    """The cuts of all lines of a text in UTF-8, or ``None`` if one of them is not ordinary.

    ``kinds`` says of each column what its cells are, with a letter:

    === =================================================== ==========================
    i   an id: one to 64 of ``A-Z a-z 0-9 _ -``             one cut
    s   the same, or nothing
    u   a URL of http or https, printable ASCII without     one cut, and one of its
        quotes, commas and spaces; before its path it is    scheme and authority
        in lower case, and names no user
    n   a number of up to 15 digits, the first of which is  one cut
        not 0, or nothing
    d   an MD5 as every encoder writes it in base64, or
        nothing
    l   anything on one line; in quotes, that is without
        a quote, or not beginning with one
    x   the same                                            one for all that lie side
                                                            by side, with the
                                                            delimiters between them
    === =================================================== ==========================

    Lines end with LF or CRLF, the last one as well, and have no other CR.
    """

    def __call__(self, text: bytes, kinds: bytes, delimiter: str, /) -> bytes | None: ...


def unquoted(cell: str) -> str:
    """What an ordinary cell says."""
    return cell[1:-1] if cell.startswith('"') else cell


def _made() -> Cut | None:
    try:
        from fetcher.lines import _lines  # noqa: PLC0415  it may not be there
    except ImportError:
        return None
    return _lines.cut


cut: Final = _made()
