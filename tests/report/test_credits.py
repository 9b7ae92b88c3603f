"""Credits: of all that is stored, decoded once, escaped again, in pieces."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from fetcher.errors import UsageError
from fetcher.evidence import Listed
from fetcher.manifest import ManifestReader
from fetcher.model import KEPT, State
from fetcher.report import credits as crediting
from scripts.proofs import manifests
from tests.report.conftest import COUNT, Made
from tests.report.pages import Page


def stored(made: Made) -> list[int]:
    return [n for n in range(COUNT) if manifests.fate(n, later=made.by[n] >= 2)[0] in KEPT]


def images(manifest: Path) -> Iterator[Listed]:
    with ManifestReader(manifest) as reader:
        yield from reader.listed(KEPT, kept=True)


def image(**extra: str) -> Listed:
    return Listed("1", "", "https://a.test/1.jpg", None, None, State.VERIFIED, "p", "m", extra)


def test_csv_credits_everything_stored_and_nothing_else(made: Made, tmp_path: Path) -> None:
    target = tmp_path / "credits.csv"
    assert crediting.write(target, images(made.path), about="mirror") == len(stored(made))
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == [manifests.row(n).image_id for n in stored(made)]
    for n, row in zip(stored(made), rows, strict=True):
        listed = manifests.row(n)
        landing, licence, profile, author, title = map(unescape, listed.extra)
        assert row["title"].removeprefix("'") == title
        assert row["author"] == author
        assert (row["author_profile"], row["licence"]) == (profile, licence)
        assert (row["landing_page"], row["source"]) == (landing, listed.url)
        assert row["file"].endswith(f"/{listed.image_id}.jpg")
        assert row["changes"] == "none"
        assert not row["title"].startswith(("=", "-"))


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        (
            "Tom &amp; Jerry&#39;s &#x263A; &quot;caf&eacute;&quot;",
            'Tom & Jerry\'s \u263a "caf\xe9"',
        ),
        ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
        ("https://photos.example/?id=1&copy=2&lt=3&notify=4", None),
        ("Rock &copy Roll", None),
        ("&notanentity; &; &#; &#x; &#99999999;", None),
        ("&#0;&#xD800;&#x110000;", "\ufffd\ufffd\ufffd"),
    ],
)
def test_only_what_is_an_entity_is_decoded(listed: str, told: str | None) -> None:
    found = crediting.credit(image(Title=listed, OriginalLandingURL=listed))
    assert (found.title, found.landing_page) == ((told or listed),) * 2


def test_entities_are_decoded_once() -> None:
    credit = crediting.credit(image(Title="a &amp;quot; b &#x27;c&#x27; &lt;i&gt;"))
    assert credit.title == "a &quot; b 'c' <i>"


def test_other_lists_call_it_otherwise_or_do_not_say() -> None:
    assert crediting.credit(image()).title == ""
    credit = crediting.credit(image(author_name="A", licence="L", **{"Landing URL": "https://l"}))
    assert (credit.author, credit.licence, credit.landing_page) == ("A", "L", "https://l")


def test_pages(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crediting, "PER_PAGE", 500)
    target = tmp_path / "a b%.html"
    total = crediting.write(target, images(made.path), about="mirror")
    folder = tmp_path / "a b%-pages"
    names = [path.name for path in sorted(folder.glob("*.html"))]
    assert names == [f"{n:06}.html" for n in range(1, -(-total // 500) + 1)]
    index = Page(target.read_text())
    hrefs = [given["href"] for tag, given in index.tags if tag == "a"]
    assert hrefs == [f"a%20b%25-pages/{name}" for name in names]
    credited: list[str] = []
    for path in sorted(folder.glob("*.html")):
        page = Page(path.read_text())
        credited += [given["id"] for tag, given in page.tags if tag == "dt"]
        assert not any(tag == "script" for tag, _ in page.tags)
        for tag, given in page.tags:
            if tag == "a":
                assert given["href"].startswith(("https://", "../a%20b%25.html", "0000"))
    assert credited == [manifests.row(n).image_id for n in stored(made)]
    first = (folder / names[0]).read_text()
    assert "000002.html" in first
    assert "&lt;script&gt;alert(1)" in first
    assert "&amp;amp;" in first  # listed as "&amp;amp;", so the author wrote "&amp;"
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, target.name]


def test_a_link_is_only_made_of_web_addresses(tmp_path: Path) -> None:
    evil = image(Title="t", OriginalLandingURL="javascript:alert(1)", License="data:text/html,x")
    crediting.write(tmp_path / "c.html", [evil], about="m")
    page = Page((tmp_path / "c-pages" / "000001.html").read_text())
    hrefs = [given["href"] for tag, given in page.tags if tag == "a"]
    assert hrefs == ["../c.html", "https://a.test/1.jpg"]


def test_pages_replace_their_like_and_nothing_else(tmp_path: Path) -> None:
    target, folder = tmp_path / "c.html", tmp_path / "c-pages"
    for n in (2_001, 1):
        crediting.write(target, [image()] * n, about="m")
    assert [path.name for path in folder.glob("*.html")] == ["000001.html"]
    (tmp_path / "d-pages").mkdir()
    (tmp_path / "d-pages" / "mine.txt").touch()
    with pytest.raises(UsageError, match="in the way"):
        crediting.write(tmp_path / "d.html", [image()], about="m")
    assert (tmp_path / "d-pages" / "mine.txt").exists()
    assert not (tmp_path / "d.html").exists()


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Listed]:
        yield from [image()] * 1_500
        raise RuntimeError("the disk of the manifest")

    for name in ("c.html", "c.csv"):
        with pytest.raises(RuntimeError):
            crediting.write(tmp_path / name, broken(), about="m")
    assert list(tmp_path.iterdir()) == []


def test_nothing_stored_is_said(tmp_path: Path) -> None:
    assert crediting.write(tmp_path / "c.html", [], about="m") == 0
    assert "nobody to credit" in (tmp_path / "c.html").read_text()


def test_a_name_must_say_the_form(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither CSV nor HTML"):
        crediting.write(tmp_path / "credits", [], about="m")


def test_csv_goes_to_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    crediting.write(Path("-"), [image(Title="=1")], about="m")
    text = capfdbinary.readouterr().out.decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["title"] == "'=1"
