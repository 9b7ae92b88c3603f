"""``fetcher audit`` and ``fetcher mirror`` in one DIR: what each leaves to the other."""

from __future__ import annotations

from dataclasses import replace

from fetcher.demo.steps import html, status
from tests.e2e.audits import FAST, HOST, asked, audit, changes, row, select, shown
from tests.e2e.conftest import Bench, fetcher


def test_a_mirror_fetches_what_an_audit_found_and_nothing_else(bench: Bench) -> None:
    names = ["a", "b", "c"]
    for name in names[:2]:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows(row(name) for name in names)
    config = bench.config(FAST)
    assert audit(bench, rows, config=config).code == 1
    assert bench.mirror(rows, config=config).code == 1
    assert {i.image_id: i.state for i in bench.images().values()} == {
        "a": "verified", "b": "verified", "c": "gone",
    }  # fmt: skip
    assert [asked(bench, name) for name in names] == [["HEAD", "GET"], ["HEAD", "GET"], ["HEAD"]]
    assert bench.mirror(rows, config=config).code == 1
    assert bench.web.count() == 5


def test_a_mirror_of_a_part_reopens_nothing_else_of_what_an_audit_found(bench: Bench) -> None:
    """Of another subset, or id, the audit's finding stays the last word."""
    names = ["a", "b", "c"]
    for name in names:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = [row("a"), replace(row("b"), subset="test"), replace(row("c"), subset="test")]
    listed, config = bench.rows(rows), bench.config(FAST)
    assert audit(bench, listed, config=config).code == 0
    assert bench.mirror(listed, config=config, options="--subset train").code == 0
    states = {image.image_id: image.state for image in bench.images().values()}
    assert states == {"a": "verified", "b": "alive", "c": "alive"}
    ids = bench.place / "ids"
    ids.write_text("c\n")
    assert bench.mirror(listed, config=config, options=f"--ids {ids}").code == 0
    states = {image.image_id: image.state for image in bench.images().values()}
    assert states == {"a": "verified", "b": "alive", "c": "verified"}
    assert select(bench, "SELECT count(*) FROM past_states") == [(2,)]


def test_an_audit_of_a_mirror_leaves_its_files_and_states(bench: Bench) -> None:
    """What is stored stays stored; the finding stands beside it, and the report tells it."""
    bench.web.serve("/stays.jpg", shown("stays"), host=HOST)
    bench.web.serve("/dies.jpg", shown("dies"), status(404), host=HOST)
    bench.web.serve("/turns.jpg", shown("turns"), html(), host=HOST)
    bench.web.serve("/returns.jpg", status(404), shown("returns"), host=HOST)
    rows = bench.rows(row(name) for name in ("stays", "dies", "turns", "returns"))
    config = bench.config(FAST)
    assert bench.mirror(rows, config=config).code == 1
    before = bench.images()
    done = audit(bench, rows, config=config)
    assert done.code == 1
    after = bench.images()
    for name in ("stays", "dies", "turns"):
        assert after[name].state == "verified"
        assert after[name].path == before[name].path
    assert after["returns"].state == "alive"
    found = dict(select(bench, "SELECT image_id, state FROM audit_findings"))
    assert found == {
        "stays": "alive", "dies": "gone", "turns": "mismatched", "returns": "alive",
    }  # fmt: skip
    assert changes(bench, 2) == {"stays": "as before"} | {
        "dies": "died", "turns": "changed", "returns": "came back",
    }  # fmt: skip
    assert bench.mirror(rows, config=config).code == 0
    assert bench.images()["returns"].state == "verified"
    bench.web.serve("/dies.jpg", shown("dies"), host=HOST)
    audit(bench, rows, config=config)
    assert changes(bench, 4) == {"dies": "came back", "turns": "as before"} | dict.fromkeys(
        ("stays", "returns"), "as before"
    )


def test_an_audit_has_not_settled_what_a_mirror_stored(bench: Bench) -> None:
    """When the image is opened again, its past is of the run that stored it."""
    bench.web.serve("/a.jpg", shown("a"), status(404), host=HOST)
    rows = bench.rows([row("a")])
    config = bench.config(FAST)
    assert bench.mirror(rows, config=config).code == 0
    assert audit(bench, rows, config=config).code == 1
    again = fetcher("retry", bench.directory, "--state", "verified", "--include-kept")
    assert again.code == 0, again
    assert select(bench, "SELECT in_run, until_run FROM past_states") == [(1, 3)]
