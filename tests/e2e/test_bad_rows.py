"""Bad input: nothing of it stops the run, and nothing is silently dropped."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.images import md5_of, picture
from fetcher.demo.tls import Authority
from fetcher.demo.tour import HEADER
from scripts.proofs import laws
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, Done
from tests.e2e.littleweb import LittleWeb

GOOD: Final = picture("good", 2_000)
MD5: Final = md5_of(GOOD)
URL: Final = "http://farm1.staticflickr.com/pic/good/2000.jpg"


@dataclass(frozen=True)
class Line:
    """One record of the list. ``becomes`` is a state with its code, ``duplicate``, or the reason of
    a rejection.
    """

    becomes: str
    image_id: str
    url: str = URL
    size: str = "2000"
    md5: str = MD5
    subset: str = "train"
    title: str = "A title"
    cells: tuple[str, ...] | None = None
    """All of the record, where it is not made of the others."""

    @property
    def record(self) -> tuple[str, ...]:
        made = (self.image_id, self.subset, self.url, "", "", "", "", self.title)
        return self.cells or (*made, self.size, self.md5, "")


LINES: Final = (
    Line("verified", "good"),
    # The rest of the record.
    Line("verified", "newline", title="two\nlines"),
    Line("verified", "quotes", title='a "quoted", title'),
    Line("verified", "entities", title="&quot;a&#x27;&amp;"),
    Line("verified", "backslash", title="a\\"),
    Line("verified", "unicode", title="写真 🌆 عكس"),
    Line("verified", "nul", title="a\0b"),
    Line("wrong-column-count", "", cells=("short", "train", URL)),
    Line("wrong-column-count", "", cells=("long", *[""] * len(HEADER))),
    Line("oversized-field", "huge", title="x" * 1_048_577),
    # Identity.
    Line("duplicate", "good"),
    Line("duplicate", "good", title="another title"),
    Line("conflicting-id", "good", size="2001"),
    Line("conflicting-id", "good", md5=md5_of(b"")),
    Line("conflicting-id", "good", url=URL + "?again"),
    Line("missing-id", ""),
    Line("unsafe-id", "../../outside"),
    Line("unsafe-id", "/etc/passwd"),
    Line("unsafe-id", "a\\b"),
    Line("unsafe-id", ".."),
    Line("unsafe-id", ".hidden"),
    Line("unsafe-id", "a\0b"),
    Line("unsafe-id", "bell\a"),
    Line("unsafe-id", " spaced "),
    Line("unsafe-id", "x" * 300),
    Line("unsafe-subset", "outside", subset=".."),
    Line("unsafe-subset", "inside", subset="train/../.."),
    Line("verified", "写真"),
    Line("verified", "GOOD"),
    Line("verified", "no-subset", subset=""),
    # Expectations.
    Line("bad-md5", "m1", md5="no base64 at all"),
    Line("bad-md5", "m2", md5="YWJj"),
    Line("bad-md5", "m3", md5=MD5[:-1]),
    Line("verified", "hex", md5=base64.b64decode(MD5).hex()),
    Line("bad-size", "s1", size="-1"),
    Line("bad-size", "s2", size="many"),
    Line("bad-size", "s3", size="1e3"),
    Line("bad-size", "s4", size="9" * 30),
    Line("verified", "s5", size=""),
    Line("verified", "s6", size="0"),
    Line("verified", "s7", size="2000.0"),
    Line("unverified", "s8", size="", md5=""),
    Line("mismatched size-mismatch", "s9", size="1999"),
    # URLs.
    Line("invalid bad-url", "u1", url=""),
    Line("invalid bad-url", "u2", url="http://"),
    Line("invalid bad-url", "u3", url="http:///pic/good/2000.jpg"),
    Line("invalid bad-url", "u4", url="no url"),
    Line("invalid bad-url", "u5", url="//farm1.staticflickr.com/pic/good/2000.jpg"),
    Line("invalid bad-url", "u6", url="http://farm1.staticflickr.com:99999/"),
    Line("invalid bad-url", "u7", url="http://farm1.staticflickr.com:0/"),
    Line("invalid bad-url", "u8", url="http://[::1/a.jpg"),
    Line("invalid bad-url", "u9", url="http://farm1.staticflickr.com/a\tb.jpg"),
    Line("invalid bad-scheme", "v1", url="file:///etc/passwd"),
    Line("invalid bad-scheme", "v2", url="ftp://ftp.invalid/a.jpg"),
    Line("invalid bad-scheme", "v3", url="data:image/gif;base64,R0lGODlh"),
    Line("invalid bad-scheme", "v4", url="javascript:alert(1)"),
    Line("invalid blocked-address", "w1", url="http://127.0.0.1:9/a.jpg"),
    Line("invalid blocked-address", "w2", url="http://[::ffff:192.168.0.1]/a.jpg"),
    Line("invalid blocked-address", "w3", url="http://169.254.169.254/latest/meta-data"),
    Line("invalid blocked-address", "w4", url="http://localhost/a.jpg"),
    Line("verified", "c1", url="http://user:pass@farm1.staticflickr.com/pic/good/2000.jpg"),
    Line("verified", "c2", url=" " + URL + " "),
    Line("gone http-404", "c3", url="http://farm1.staticflickr.com/写真.jpg"),
    Line("gone dns-not-found", "c4", url="http://photos.invalid/a.jpg"),
)
STATES: Final = {line.becomes.partition(" ")[0] for line in LINES} & {
    "verified", "unverified", "mismatched", "gone", "invalid",
}  # fmt: skip


def accepted(line: Line) -> bool:
    return line.becomes.partition(" ")[0] in STATES


ACCEPTED: Final = tuple(filter(accepted, LINES))


@dataclass(frozen=True, slots=True)
class Seen:
    bench: Bench
    done: Done


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, ca_file: Path
) -> Iterator[Seen]:
    with LittleWeb(tls=authority) as web:
        bench = Bench(tmp_path_factory.mktemp("bench"), web, ca_file)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(HEADER)
        writer.writerows(line.record for line in LINES)
        path = bench.place / "images.csv"
        path.write_text("\ufeff" + text.getvalue(), encoding="utf-8", newline="")
        yield Seen(bench, bench.mirror(path))


@pytest.mark.parametrize("line", ACCEPTED, ids=lambda line: line.image_id)
def test_an_accepted_row_ends_as(line: Line, seen: Seen) -> None:
    image = seen.bench.images()[line.image_id]
    state, _, code = line.becomes.partition(" ")
    assert (image.state, image.code or "") == (state, code)
    if state == "verified":
        subset = f"{line.subset}/" if line.subset else ""
        assert image.path == f"images/{subset}{line.image_id[:3]}/{line.image_id}.jpg"


def test_every_rejected_row_is_kept_with_its_line_and_reason(seen: Seen) -> None:
    expected, number = [], 2
    for line in LINES:
        if not accepted(line) and line.becomes != "duplicate":
            expected.append((number, line.becomes))
        number += 1 + sum(cell.count("\n") for cell in line.record)
    with laws.opened(seen.bench.directory) as connection:
        found = connection.execute("SELECT line, reason FROM rejected_rows ORDER BY line")
        assert found.fetchall() == expected


def test_the_tally_is_whole(seen: Seen) -> None:
    status = seen.bench.status()
    assert list(status) == ["total", "states", "codes", "bytes", "rows"]
    assert set(status["states"]) == {
        "pending", "verified", "unverified", "alive", "mismatched",
        "gone", "denied", "failed", "invalid",
    }  # fmt: skip
    assert set(status["bytes"]) == {"expected", "stored"}
    rows = status["rows"]
    duplicates = sum(line.becomes == "duplicate" for line in LINES)
    taken = len(ACCEPTED)
    assert rows == {
        "read": len(LINES),
        "accepted": taken,
        "duplicate": duplicates,
        "rejected": len(LINES) - taken - duplicates,
    }
    assert rows["accepted"] == status["total"] == sum(status["states"].values())
    assert status["bytes"]["stored"] == 2_000 * (
        status["states"]["verified"] + status["states"]["unverified"]
    )


def test_the_run_says_that_rows_were_rejected(seen: Seen) -> None:
    assert seen.done.code == 1
    rejected = seen.bench.status()["rows"]["rejected"]
    assert f"{rejected} rows cannot be used" in seen.done.err


def test_nothing_is_outside_of_dir(seen: Seen) -> None:
    assert {path.name for path in seen.bench.place.iterdir()} == {
        "mirror", "images.csv", "config.yaml",
    }  # fmt: skip


def test_a_header_alone_is_a_list_without_rows(bench: Bench) -> None:
    done = bench.mirror(bench.rows([]))
    assert done.code == 0
    assert bench.status()["rows"] == {"read": 0, "accepted": 0, "duplicate": 0, "rejected": 0}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
def test_line_ends_and_a_missing_last_one(ending: str, last: str, bench: Bench) -> None:
    rows = [Row.of(name, URL, GOOD) for name in ("a", "b")]
    path = bench.rows(rows)
    text = path.read_text().rstrip("\n")
    path.write_text(text.replace("\n", ending) + (ending if last else ""), newline="")
    assert bench.mirror(path).code == 0
    assert set(bench.images()) == {"a", "b"}
