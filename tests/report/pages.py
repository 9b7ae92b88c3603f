"""A report's page, taken apart again: what stands in it, by figure."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

_VOID: Final = {"meta", "link", "br", "hr", "img", "input"}

Value = str | float | None


@dataclass(slots=True)
class Figure:
    sql: str = ""
    rows: list[list[Value]] = field(default_factory=list)
    paste: str = ""


class Page(HTMLParser):
    """``figures`` by name; ``sentence``: its numbers by column. Fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.figures: dict[str, Figure] = {}
        self.sentence: dict[str, str] = {}
        self.said = ""
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[tuple[str, dict[str, str]]] = []
        self._figure: Figure | None = None
        self._cell: Value = None
        self._text = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag not in _VOID:
            self._open.append((tag, given))
        if tag == "article":
            self._figure = self.figures[given["data-figure"]] = Figure()
        elif tag == "tr" and self._figure is not None:
            self._figure.rows.append([])
        elif tag in {"td", "th"}:
            self._cell = None
        elif tag == "data":
            if "data-column" in given:
                self.sentence[given["data-column"]] = given["value"]
            else:
                self._cell = float(given["value"])
        elif tag in {"bdi", "code"}:
            self._text = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened, given = self._open.pop()
        assert opened == tag
        figure = self._figure
        if tag == "bdi" and any(name in {"td", "th"} for name, _ in self._open):
            self._cell = self._text
        elif tag in {"td", "th"} and figure is not None and given.get("scope") != "col":
            figure.rows[-1].append(self._cell)
        elif tag == "code" and figure is not None:
            if given.get("class") == "sql":
                figure.sql = self._text
            elif given.get("class") == "paste":
                figure.paste = self._text
        elif tag == "article":
            self._figure = None

    def handle_data(self, data: str) -> None:
        self._text += data
        if any(given.get("class") == "cite" for _, given in self._open):
            self.said += data
