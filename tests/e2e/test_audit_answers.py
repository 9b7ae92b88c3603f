"""``fetcher audit``: what it makes of answers, with which requests, by HEAD and by GET."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fetcher.demo.images import md5_of
from fetcher.demo.steps import (
    PLACEHOLDER,
    Answer,
    Bytes,
    Chunked,
    Gzipped,
    Picture,
    Ranges,
    Step,
    html,
    redirect,
    status,
    throttled,
)
from scripts.proofs.mirrors import Row
from tests.e2e.audits import FAST, HOST, SIZE, asked, audit, row, shown
from tests.e2e.conftest import Bench

PART: Final = "bytes=0-511"


@dataclass(frozen=True, slots=True)
class Case:
    """What the web answers, in turn, and what an audit by HEAD makes of it with which requests."""

    steps: tuple[Step, ...]
    state: str
    code: str | None
    requests: tuple[str, ...]


def cases(name: str) -> dict[str, Case]:
    there = shown(name)
    other = Answer(Picture(SIZE + 1, name))
    return {
        "there": Case((there,), "alive", None, ("HEAD",)),
        "gone": Case((status(404),), "gone", "http-404", ("HEAD",)),
        "gone-for-good": Case((status(410),), "gone", "http-410", ("HEAD",)),
        "placeholder": Case((redirect(PLACEHOLDER),), "gone", "placeholder", ("HEAD",)),
        "denied": Case((status(403),), "denied", "http-403", ("HEAD", PART)),
        "unknown-method": Case((status(405), there), "alive", None, ("HEAD", PART)),
        "not-implemented": Case((status(501), there), "alive", None, ("HEAD", PART)),
        "only-gets": Case((status(403), there), "alive", None, ("HEAD", PART)),
        "other-size": Case((other,), "mismatched", "size-mismatch", ("HEAD", PART)),
        "head-lies": Case((html("text/html"), there), "alive", None, ("HEAD", PART)),
        "page": Case((html("text/html"),), "mismatched", "not-an-image", ("HEAD", PART)),
        "no-length": Case((shown(name, framing=Chunked()),), "alive", None, ("HEAD", PART)),
        "never-a-length": Case(
            (shown(name, framing=Chunked(), ranges=Ranges.IGNORED),),
            "verified",
            None,
            ("HEAD", PART, "GET"),
        ),
        "no-ranges": Case(
            (status(405), shown(name, ranges=Ranges.IGNORED)), "alive", None, ("HEAD", PART)
        ),
        "refuses-ranges": Case(
            (status(405), shown(name, ranges=Ranges.REFUSED)),
            "verified",
            None,
            ("HEAD", PART, "GET"),
        ),
        "unlabelled": Case(
            (status(405), shown(name, ranges=Ranges.UNLABELLED)),
            "verified",
            None,
            ("HEAD", PART, "GET"),
        ),
        "coded": Case(
            (Answer(Gzipped(Picture(SIZE, name))),), "verified", None, ("HEAD", PART, "GET")
        ),
        "typeless": Case(
            (shown(name, type="application/octet-stream"),), "alive", None, ("HEAD", PART)
        ),
        "empty": Case(
            (Answer(Bytes(b"", "image/jpeg")),),
            "mismatched",
            "not-an-image",
            ("HEAD", PART, "GET"),
        ),
        "throttled": Case((throttled(1), there), "alive", None, ("HEAD", "HEAD")),
        "broken": Case((status(503), status(503), there), "alive", None, ("HEAD",) * 3),
        "opted-out": Case(
            (shown(name, headers=(("X-Robots-Tag", "noai"),)),), "denied", "opted-out", ("HEAD",)
        ),
    }


NAMES: Final = tuple(cases(""))


def test_what_a_head_audit_makes_of_answers(bench: Bench) -> None:
    """One list with all cases; no image is kept."""
    table = {name: cases(name)[name] for name in NAMES}
    for name, case in table.items():
        bench.web.serve(f"/{name}.jpg", *case.steps, host=HOST)
    done = audit(bench, bench.rows(row(name) for name in NAMES))
    assert done.code == 1
    images = bench.images()
    found = {name: (images[name].state, images[name].code) for name in NAMES}
    assert found == {name: (case.state, case.code) for name, case in table.items()}
    requests = {name: tuple(asked(bench, name)) for name in NAMES}
    assert requests == {name: case.requests for name, case in table.items()}
    assert {path.name for path in bench.directory.iterdir()} == {"manifest.sqlite"}
    assert all(image.path is None for image in images.values())


def test_a_get_audit_compares_digests_and_keeps_nothing(bench: Bench) -> None:
    bench.web.serve("/good.jpg", shown("good"), host=HOST)
    bench.web.serve("/other.jpg", shown("another"), host=HOST)
    bench.web.serve("/unlisted.jpg", shown("unlisted"), host=HOST)
    big = Picture(6_000_000, "big")
    bench.web.serve("/big.jpg", Answer(big), host=HOST)
    rows = [row("good"), row("other"), row("unlisted", size="", md5="")]
    rows.append(Row("big", f"https://{HOST}/big.jpg", "6000000", md5_of(big.data()), "train", ""))
    done = audit(bench, bench.rows(rows), options="--method get --json")
    assert done.code == 1
    assert {image.image_id: (image.state, image.path) for image in bench.images().values()} == {
        "good": ("verified", None),
        "other": ("mismatched", None),
        "unlisted": ("unverified", None),
        "big": ("verified", None),
    }
    assert done.json["rates"]["present"]["share"] == 0.75
    assert {path.name for path in bench.directory.iterdir()} == {"manifest.sqlite"}
    assert bench.status()["bytes"]["stored"] == 0


def test_urls_that_cannot_be_asked_are_counted_and_not_asked(bench: Bench) -> None:
    bad = Row("bad", "ftp://example.org/x.jpg", "1", "", "train", "")
    bench.web.serve("/good.jpg", shown("good"), host=HOST)
    done = audit(bench, bench.rows([bad, row("good")]), options="--json")
    assert done.code == 1
    assert done.json["states"]["invalid"] == 1
    assert done.json["codes"] == {"bad-scheme": 1}
    assert bench.web.count() == 1


def test_workers_audit_as_one_process_does(bench: Bench) -> None:
    for name in NAMES:
        bench.web.serve(f"/{name}.jpg", *cases(name)[name].steps, host=HOST)
    config = bench.config(FAST, {"fetch": {"processes": 2}})
    assert audit(bench, bench.rows(row(name) for name in NAMES), config=config).code == 1
    images = bench.images()
    assert {name: (images[name].state, images[name].code) for name in NAMES} == {
        name: (cases(name)[name].state, cases(name)[name].code) for name in NAMES
    }
