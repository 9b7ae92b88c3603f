"""The project's pages as tests read them: tables, headings, links and blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_CELL: Final = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Page:
    """One Markdown file; ``name`` is its path in the project."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """Without blocks of code, where # and | mean something else."""
        return _FENCE.sub("", self.text)

    def blocks(self, kind: str) -> list[str]:
        return [body for found, body in _FENCE.findall(self.text) if found == kind]

    @cached_property
    def tables(self) -> list[list[list[str]]]:
        """Each with its head and the line below it; cells are stripped."""
        tables: list[list[list[str]]] = []
        before = ""
        for line in self.prose.splitlines():
            if line.startswith("|"):
                if not before.startswith("|"):
                    tables.append([])
                tables[-1].append([cell.strip() for cell in _CELL.split(line)[1:-1]])
            before = line
        return tables

    @cached_property
    def rows(self) -> list[list[str]]:
        return [row for table in self.tables for row in table]

    @cached_property
    def words(self) -> frozenset[str]:
        """What stands in backticks in the first cell of any row."""
        return frozenset(word for row in self.rows for word in re.findall(r"`([^`]+)`", row[0]))

    @cached_property
    def anchors(self) -> frozenset[str]:
        """As GitHub makes them of headings."""
        seen: dict[str, int] = {}
        anchors = []
        for heading in _HEADING.findall(self.prose):
            plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
            anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            anchors.append(f"{anchor}-{seen[anchor]}" if anchor in seen else anchor)
            seen[anchor] = seen.get(anchor, 0) + 1
        return frozenset(anchors)

    def links(self) -> Iterator[str]:
        yield from _LINK.findall(self.prose)

    def row(self, first: str) -> list[str]:
        """The only row that begins so."""
        (row,) = [row for row in self.rows if row[0] == first]
        return row


README: Final = Page("README.md")
PAGES: Final = {
    page.name: page
    for page in (
        README,
        Page("CHANGELOG.md"),
        *(Page(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md"))),
    )
}
