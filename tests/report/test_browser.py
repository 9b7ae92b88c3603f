"""The pages in a real browser: at a desk and on a phone, light and dark, without JavaScript."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from fetcher.evidence import Table
from fetcher.manifest import ManifestReader
from fetcher.model import KEPT
from fetcher.report import credits as crediting
from fetcher.report import html
from tests.report.about import ABOUT
from tests.report.browser import CHROMIUM, Page, browser
from tests.report.test_html import poisoned

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

VIEWS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]

# Nothing sticks out of the page, but within regions that can be scrolled.
STICKS_OUT = """
[...document.body.querySelectorAll("*")].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1)
    && !e.closest(".scroll") && !e.closest("caption");
}).map(e => e.outerHTML.slice(0, 80))
"""
# Every drawing has a size, is as wide as its figure, and its texts are legible and within it.
UNDRAWN = """
[...document.querySelectorAll("figure svg")].filter(svg => {
  const box = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")];
  const outside = texts.some(t => {
    const b = t.getBoundingClientRect();
    return b.left < box.left - 2 || b.right > box.right + 2 || b.height < 9;
  });
  return box.width < 250 || box.height < 40 || texts.length == 0 || outside;
}).map(svg => svg.closest("article").id)
"""
COLOURS = """
[getComputedStyle(document.body).backgroundColor,
 getComputedStyle(document.querySelector("figure svg path[style*=fill]")).fill]
"""


async def look(
    page: Page, file: Path, pictures: Path, views: list[tuple[int, str]] = VIEWS
) -> list[list[str]]:
    """The colours of each view; asserts that nothing is wrong with any."""
    colours = []
    url = await asyncio.to_thread(lambda: file.resolve().as_uri())
    for width, scheme in views:
        await page.show(url, width=width, scheme=scheme)
        assert await page.ask("document.documentElement.scrollWidth") <= width
        assert await page.ask(STICKS_OUT) == [], (width, scheme)
        assert await page.ask(UNDRAWN) == [], (width, scheme)
        picture = await page.picture()
        assert picture.startswith(b"\x89PNG")
        name = pictures / f"{file.stem}-{width}-{scheme}.png"
        await asyncio.to_thread(name.write_bytes, picture)
        colours.append(await page.ask(COLOURS) if "report" in file.name else [])
    assert page.complaints == []
    assert {request.split("?")[0] for request in page.requests} <= {url, "data:,"}
    return colours


@pytest.fixture
def report(tables: list[Table], tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    with path.open("wb") as file:
        html.write(file, tables, ABOUT)
    return path


async def test_the_report(report: Path, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        colours = await look(page, report, tmp_path)
        assert colours[0] != colours[1]  # light and dark
        assert colours[0] == colours[2]
        # Without JavaScript it is the same page.
        url = report.as_uri()
        await page.show(url, width=1280, scheme="light")
        height = "document.body.scrollHeight"
        whole = await page.ask(height)
        await page.show(url, width=1280, scheme="light", scripts=False)
        assert await page.ask(height) == whole
        # Printed, the SQL is there without a click, and the page is white.
        await page.call(
            "Emulation.setEmulatedMedia",
            media="print",
            features=[{"name": "prefers-color-scheme", "value": "dark"}],
        )
        shown = '[...document.querySelectorAll("code.sql")].every(e => e.checkVisibility())'
        assert await page.ask(shown) is True
        assert (await page.ask(COLOURS))[0] == colours[0][0]


async def test_a_report_on_hostile_text(tables: list[Table], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    long = "x" * 5_000
    with path.open("wb") as file:
        html.write(file, [poisoned(table) for table in tables], replace(ABOUT, directory=long))
    async with browser(tmp_path / "profile") as page:
        await look(page, path, tmp_path, [(1280, "dark"), (390, "light")])


async def test_the_credits(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crediting, "PER_PAGE", 50)
    with ManifestReader(manifest) as reader:
        crediting.write(tmp_path / "c.html", reader.listed(KEPT, kept=True), about="mirror")
    async with browser(tmp_path / "profile") as page:
        await look(page, tmp_path / "c.html", tmp_path, [(1280, "dark"), (390, "light")])
        page.requests.clear()
        await look(page, tmp_path / "c-pages" / "000001.html", tmp_path)
