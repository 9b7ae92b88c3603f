"""The page: every number can be asked again, nothing foreign is markup, nothing else is needed."""

from __future__ import annotations

import io
import re
import shlex
import sqlite3
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from fetcher.config import load
from fetcher.errors import Exit, MissingExtraError
from fetcher.evidence import Table
from fetcher.manifest import ManifestReader
from fetcher.report import html
from fetcher.report.cells import harmless
from fetcher.report.sections import NAMES
from tests.report.about import ABOUT
from tests.report.conftest import GROUPING
from tests.report.pages import Page

HOSTILE = (
    "<script>alert(1)</script>\"'&$\\frac{1}$ \x1b[31m\u202e\x00 {{ 7 * 7 }} =cmd|' /C calc'!A0"
)


def written(tables: list[Table], about: html.About = ABOUT) -> str:
    out = io.BytesIO()
    html.write(out, tables, about)
    return out.getvalue().decode()


@pytest.fixture(scope="module")
def text(tables: list[Table]) -> str:
    return written(tables)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_all_figures_are_there(page: Page, tables: list[Table]) -> None:
    assert list(page.figures) == list(NAMES)
    assert {table.name for table in tables} == set(NAMES)


def test_the_printed_sql_gives_the_numbers_shown(page: Page, plain: sqlite3.Connection) -> None:
    for name, figure in page.figures.items():
        rows = plain.execute(figure.sql).fetchall()
        expected = [[harmless(v) if isinstance(v, str) else v for v in row] for row in rows]
        if name == "summary":
            # Upright: a row for each column.
            assert [row[1:] for row in figure.rows] == [[value] for value in expected[0]], name
        else:
            assert [row for row in figure.rows if row] == expected, name
        assert expected, f"{name} is empty here, and so shows nothing"


def test_so_do_the_numbers_of_the_sentence(page: Page, plain: sqlite3.Connection) -> None:
    cursor = plain.execute(page.figures["summary"].sql)
    names = [column[0] for column in cursor.description]
    found = {name: str(value) for name, value in zip(names, cursor.fetchone(), strict=True)}
    assert len(page.sentence) > 10
    assert page.sentence.items() <= found.items()
    # Whatever looks like a number in it is one of these.
    said = re.findall(r"\d[\d,]*(?:\.\d+ %)?(?:-\d\d-\d\d)?", page.said.replace("MD5", ""))
    values = {number.replace(",", "").removesuffix(" %") for number in said}
    shown = {found[c] for c in page.sentence} | {
        f"{float(found[c]):.2f}" for c in page.sentence if c.endswith("_share")
    }
    assert values <= shown


def test_nothing_is_loaded_and_nothing_runs(page: Page, text: str) -> None:
    tags = Counter(tag for tag, _ in page.tags)
    for tag in ("script", "img", "iframe", "object", "embed", "form", "base", "foreignobject"):
        assert tags[tag] == 0, tag
    for tag, given in page.tags:
        assert not any(name.startswith("on") for name in given), (tag, given)
        for name in ("href", "xlink:href"):
            assert given.get(name, "#").startswith(("#", "data:,")), (tag, given)
        assert tag != "link" or given == {"rel": "icon", "href": "data:,"}
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_it_can_be_found_ones_way_in_without_eyes(page: Page) -> None:
    assert ("html", {"lang": "en"}) in page.tags
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= level + 1 for level, later in pairwise(levels))
    figures = [given for tag, given in page.tags if tag == "figure"]
    assert len(figures) > 10
    assert all(given["role"] == "img" and len(given["aria-label"]) > 20 for given in figures)
    tags = Counter(tag for tag, _ in page.tags)
    assert tags["svg"] == tags["figure"]
    assert tags["table"] == tags["caption"] == len(page.figures)
    for tag, given in page.tags:
        for name in ("aria-labelledby", "href"):
            if tag != "link" and name in given:
                assert given[name].lstrip("#") in ids


def poisoned(table: Table) -> Table:
    """With hostile text wherever there is text, but for what the program itself says."""
    own = {"state", "change", "state_then", "state_now", "first_day", "last_day"}
    return replace(
        table,
        rows=tuple(
            tuple(
                HOSTILE if isinstance(value, str) and column not in own else value
                for column, value in zip(table.columns, row, strict=True)
            )
            for row in table.rows
        ),
    )


def test_hostile_text_is_only_text(tables: list[Table]) -> None:
    about = replace(ABOUT, directory=HOSTILE, redirects=(HOSTILE,))
    found = written([poisoned(table) for table in tables], about)
    page = Page(found)
    assert not any(tag == "script" for tag, _ in page.tags)
    assert "49" not in {value for f in page.figures.values() for row in f.rows for value in row}
    for char in "\x1b\x00\u202e":
        assert char not in found
    assert harmless(HOSTILE) in {row[0] for row in page.figures["examples"].rows if row}
    assert "&lt;script&gt;" in found


def some(figures: dict[str, Table], *names: str) -> list[Table]:
    """Fewer, where drawing all of them would only take time."""
    return [figures[name] for name in ("summary", "lists", *names)]


def test_passwords_in_commands_are_not_published(figures: dict[str, Table]) -> None:
    secret = "mirror --set network.proxy=http://me:s3cret@proxy.example:3128 a.csv"  # noqa: S105
    told = figures["runs"]
    runs = replace(told, rows=tuple((*row[:-1], secret) for row in told.rows))
    found = written([*some(figures), runs])
    assert "s3cret" not in found
    assert "http://***@proxy.example:3128 a.csv" in found


def test_the_line_to_paste_is_a_configuration_with_old_and_new(page: Page) -> None:
    for name, key, expected in (
        (
            "suspect_redirects",
            "redirects",
            ("https://*.example/known/*", "https://static.example/missing/blank.png"),
        ),
        ("suspect_digests", "digests", ("kMDRPO9pGx0XLUFyQTMVgQ==",)),
    ):
        option, value = shlex.split(page.figures[name].paste)
        assert option == "--set"
        placeholders = load(None, [value], {}).config.placeholders
        assert tuple(map(str, getattr(placeholders, key))) == expected


def test_the_same_data_make_the_same_page(figures: dict[str, Table]) -> None:
    tables = some(figures, "states", "subsets", "timeline")
    assert written(tables) == written(tables)


def test_an_empty_manifest_and_one_without_changes_have_a_page(tmp_path: Path) -> None:
    from tests.manifest.opened import database  # noqa: PLC0415

    path = tmp_path / "manifest.sqlite"
    with database(path):
        pass
    with ManifestReader(path) as reader:
        page = Page(written(reader.figures(GROUPING)))
    assert "none has been settled yet" in page.said
    assert "since_kinds" not in page.figures


def test_plots_take_every_colour_from_the_page(text: str) -> None:
    style = (Path(html.__file__).parent / "templates" / "style.css").read_text()
    defined = set(re.findall(r"(--[\w-]+):", style))
    drawings = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(drawings) > 10
    for drawing in drawings:
        assert re.findall(r"#[0-9a-fA-F]{6}\b", drawing) == []
        used = set(re.findall(r"var\((--[\w-]+)\)", drawing))
        assert used
        assert used <= defined


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_without_the_extra_it_says_what_to_install(
    missing: str, figures: dict[str, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError) as caught:
        written(some(figures, "states"))
    assert "fetcher[report]" in caught.value.hint
    assert caught.value.exit == Exit.UNUSABLE


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("name", "least"), [("ink", 7), ("dim", 4.5), ("link", 4.5), ("series-1", 3), ("gone", 3)]
)
def test_contrast(name: str, least: float, *, dark: bool) -> None:
    style = (Path(html.__file__).parent / "templates" / "style.css").read_text()
    block = style.split("prefers-color-scheme: dark")[1 if dark else 0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for ground in ("page", "panel"):
        bright, other = sorted((luminance(colours[ground]), luminance(colours[name])))[::-1]
        assert (bright + 0.05) / (other + 0.05) >= least
