"""`fetcher retry`: puts back what was asked for, says so, and the mirror's own command goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fetcher.demo.steps import Answer, Picture, status
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, fetcher

SHOWN = Picture(900, "shown")


def lost(bench: Bench) -> Path:
    """A mirror of two images that were there, two that failed, and one that was gone."""
    rows = mirrors.gallery(2)
    for n, answers in enumerate([[status(503)] * 3, [status(429)] * 3, [status(404)]], 10):
        bench.web.serve(f"/{n}.jpg", *answers, Answer(SHOWN))
        rows.append(Row.of(f"{n:016x}", f"http://{mirrors.HOST}/{n}.jpg", SHOWN.data()))
    listed = bench.rows(rows)
    assert bench.mirror(listed).code == 1
    return listed


def test_what_failed_is_fetched_again_and_nothing_else(bench: Bench) -> None:
    listed = lost(bench)
    assert bench.status()["states"]["failed"] == 2
    done = fetcher("retry", bench.directory, "--json")
    assert done.code == 0
    assert done.json == {
        "reopened": 2,
        "dry_run": False,
        "states": {"failed": 2},
        "codes": {"http-5xx": 1, "rate-limited": 1},
    }
    assert bench.status()["states"] | {"pending": 2, "failed": 0} == bench.status()["states"]
    assert laws.breaches(bench.directory, finished=True) == []
    before = bench.web.count()
    bench.mirror(listed)
    assert bench.web.count() == before + 2
    assert bench.status()["states"]["verified"] == 4


def test_by_code_and_host(bench: Bench) -> None:
    lost(bench)
    done = fetcher("retry", bench.directory, "--code", "http-404", "--host", "*.STATICFLICKR.com")
    assert "1 image is pending again;" in done.out
    assert bench.status()["states"]["gone"] == 0


def test_a_dry_run_changes_no_byte(bench: Bench) -> None:
    lost(bench)
    manifest = bench.directory / "manifest.sqlite"
    before = hashlib.sha256(manifest.read_bytes()).digest(), manifest.stat().st_mtime_ns
    done = fetcher("retry", bench.directory, "--dry-run", "--state", "failed", "--state", "gone")
    assert "3 images would be put back" in done.out
    assert (hashlib.sha256(manifest.read_bytes()).digest(), manifest.stat().st_mtime_ns) == before
    assert {path.name for path in bench.directory.iterdir()} <= laws.LASTING


def test_kept_images_only_when_told_and_then_found_on_disk(bench: Bench) -> None:
    listed = lost(bench)
    done = fetcher("retry", bench.directory, "--state", "verified")
    assert done.code == 2
    assert "--include-kept" in done.err
    assert fetcher("retry", bench.directory, "--state", "verified", "--include-kept").code == 0
    assert bench.status()["states"]["pending"] == 2
    assert len(laws.files(bench.directory / "images")) == 2
    before = bench.web.count()
    bench.mirror(listed)
    assert bench.web.count() == before
    assert bench.status()["states"]["verified"] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--state pending", ["pending", "failed"]),
        ("--state faild", ["faild"]),
        ("--code http-4040", ["http-4040", "no such code", "http-404"]),
        ("--host example.org", ["example.org"]),
        ("--host=", ["--host ''", "no host", "*"]),
        ("--older-than soon", ["--older-than", "soon", "30"]),
    ],
)
def test_what_cannot_be_asked_for(options: str, words: list[str], bench: Bench) -> None:
    lost(bench)
    before = bench.images()
    for more in ("", " --dry-run"):
        done = fetcher("retry", bench.directory, *(options + more).split())
        assert done.code == 2
        assert "Traceback" not in done.err
    assert all(word in done.err for word in words[:2])
    assert bench.images() == before


def test_nothing_is_so(bench: Bench) -> None:
    """What was asked for is told in words that were given, and the way to other images where
    none were.
    """
    lost(bench)
    for options, said in {
        "--older-than 1d": "is failed for that long",
        "--code http-410": "has the code http-410",
        "--state gone --code http-403": "is gone with the code http-403",
        f"--older-than 1d --host {mirrors.HOST}": f"is failed on {mirrors.HOST} for that long",
    }.items():
        done = fetcher("retry", bench.directory, *options.split())
        assert (
            done.code,
            f"No image {said}; nothing was changed." in " ".join(done.out.split()),
        ) == (0, True), done
        assert ("--state and --code say" in done.out) == ("--code" not in options)


def test_no_manifest(tmp_path: Path) -> None:
    for options in ([], ["--dry-run"]):
        assert "There is no manifest" in fetcher("retry", tmp_path, *options).err
    assert list(tmp_path.iterdir()) == []
