"""The same list again, one that grew, one that was corrected, and several that overlap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from fetcher.demo.images import md5_of, picture
from fetcher.demo.steps import Answer, Picture
from scripts.proofs import laws, mirrors
from scripts.proofs.laws import Image
from tests.e2e.conftest import Bench, fetcher

ROWS: Final = mirrors.gallery(30, size=600)
OTHER: Final = picture("other", 700)


def changed(before: dict[str, Image], after: dict[str, Image]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def rows(bench: Bench) -> Any:
    found = bench.status()["rows"]
    return found["read"], found["accepted"], found["duplicate"], found["rejected"]


def test_the_same_list_changes_nothing(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    bench.mirror(listed)
    before, tally = bench.images(), bench.status()
    assert bench.mirror(listed).code == 0
    assert bench.images() == before
    assert bench.status() == tally
    assert bench.web.count() == len(ROWS)


@pytest.mark.parametrize("name", ["images.csv", "elsewhere.csv"])
def test_the_same_rows_from_elsewhere_change_nothing(name: str, bench: Bench) -> None:
    listed = bench.rows(ROWS)
    bench.mirror(listed)
    before = bench.images()
    assert bench.mirror(bench.rows(ROWS, name)).code == 0
    assert bench.images() == before
    assert bench.status()["rows"]["accepted"] == len(ROWS)
    assert bench.web.count() == len(ROWS)


def test_a_list_that_grew_adds_what_is_new(bench: Bench) -> None:
    bench.mirror(bench.rows(ROWS[:20]))
    before = bench.images()
    assert bench.mirror(bench.rows(ROWS)).code == 0
    assert changed(before, bench.images()) == {row.image_id for row in ROWS[20:]}
    assert bench.web.count() == len(ROWS)
    assert rows(bench) == (30, 30, 0, 0)


def test_a_list_that_shrank_loses_nothing(bench: Bench) -> None:
    bench.mirror(bench.rows(ROWS))
    before = bench.images()
    assert bench.mirror(bench.rows(ROWS[:10])).code == 0
    assert bench.images() == before


@pytest.mark.parametrize("what", ["md5", "size", "both"])
def test_a_settled_image_with_other_values_is_opened_again(what: str, bench: Bench) -> None:
    bench.mirror(bench.rows(ROWS))
    before = bench.images()
    data = picture("other", 600) if what == "md5" else OTHER
    path = ROWS[7].url.removeprefix(f"http://{mirrors.HOST}")
    bench.web.serve(path, Answer(Picture(len(data), "other")))
    md5 = ROWS[7].md5 if what == "size" else md5_of(data)
    corrected = replace(ROWS[7], size=str(len(data)), md5=md5)
    assert bench.mirror(bench.rows([*ROWS[:7], corrected, *ROWS[8:]])).code == (what == "size")
    after = bench.images()
    assert changed(before, after) == {corrected.image_id}
    image = after[corrected.image_id]
    assert image.attempts == 1
    assert image.path is not None
    assert (bench.directory / image.path).read_bytes() == data
    assert bench.web.count() == len(ROWS) + 1


def test_an_image_that_failed_gets_another_chance_with_another_url(bench: Bench) -> None:
    moved = replace(ROWS[3], url=f"http://{mirrors.HOST}/moved/away.jpg")
    assert bench.mirror(bench.rows([*ROWS[:3], moved])).code == 1
    assert bench.mirror(bench.rows(ROWS[:4])).code == 0


def test_lists_that_overlap(bench: Bench) -> None:
    one, two = bench.rows(ROWS[:20], "one.csv"), bench.rows(ROWS[10:], "two.csv")
    assert bench.mirror(one, two).code == 0
    assert rows(bench) == (40, 30, 10, 0)
    assert bench.web.count() == len(ROWS)
    before = bench.images()
    assert bench.mirror(two, one).code == 0
    assert bench.images() == before
    assert rows(bench) == (40, 30, 10, 0)


def test_lists_that_contradict_each_other(bench: Bench) -> None:
    contrary = replace(ROWS[0], md5=md5_of(OTHER))
    one, two = bench.rows(ROWS[:2], "one.csv"), bench.rows([contrary, ROWS[2]], "two.csv")
    assert bench.mirror(one, two).code == 0
    assert rows(bench) == (4, 3, 0, 1)
    with laws.opened(bench.directory) as connection:
        ((reason, detail),) = connection.execute("SELECT reason, detail FROM rejected_rows")
    assert reason == "conflicting-id"
    assert "MD5" in detail
    assert str(one) in detail


def test_another_list_later(bench: Bench) -> None:
    assert bench.mirror(bench.rows(ROWS[:10], "one.csv")).code == 0
    assert bench.mirror(bench.rows(ROWS[10:], "two.csv")).code == 0
    assert set(bench.images()) == {row.image_id for row in ROWS}
    assert rows(bench) == (30, 30, 0, 0)


def test_another_list_goes_on_with_what_the_first_has_left_unless_ids_say_otherwise(
    bench: Bench,
) -> None:
    bench.mirror(bench.rows(ROWS[:10], "one.csv"), options="--limit 4")
    two = bench.rows(ROWS[10:], "two.csv")
    ids = bench.place / "ids.txt"
    ids.write_text("\n".join(row.image_id for row in ROWS[10:]))
    assert bench.mirror(two, options=f"--ids {ids}").code == 0
    assert bench.status()["states"]["pending"] == 6
    done = bench.mirror(two)
    assert done.code == 0
    assert "30  in all" in done.out
    assert bench.web.count() == len(ROWS)


def subsets(count: int) -> list[mirrors.Row]:
    names = ("train", "validation", "test")
    return [replace(row, subset=names[n % 3]) for n, row in enumerate(ROWS[:count])]


def test_a_subset(bench: Bench) -> None:
    listed = bench.rows(subsets(30))
    assert bench.mirror(listed, options="--subset test").code == 0
    assert {image.subset for image in bench.images().values()} == {"test"}
    assert bench.web.count() == 10
    assert bench.mirror(listed, options="--subset test --subset train").code == 0
    assert bench.web.count() == 20
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == 30


def test_one_subset_after_the_other(bench: Bench) -> None:
    """The second is new to the manifest, which has images already."""
    listed = bench.rows(subsets(30))
    for n, name in enumerate(("test", "train", "validation"), 1):
        assert bench.mirror(listed, options=f"--subset {name}").code == 0
        assert bench.web.count() == 10 * n
    assert fetcher("audit", listed, *bench.command(listed)[2:], "--subset", "none").code == 2


def test_ids(bench: Bench) -> None:
    chosen = {row.image_id for row in ROWS[::7]}
    ids = bench.place / "ids.txt"
    ids.write_text("\n".join(sorted(chosen)))
    assert bench.mirror(bench.rows(ROWS), options=f"--ids {ids}").code == 0
    assert set(bench.images()) == chosen
    assert bench.web.count() == len(chosen)


def test_ids_of_a_list_that_is_imported_already(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    bench.mirror(listed, options="--limit 1")
    ids = bench.place / "ids.txt"
    ids.write_text(f"{ROWS[20].image_id}\n{ROWS[29].image_id}\n")
    assert bench.mirror(listed, options=f"--ids {ids}").code == 0
    assert bench.web.count() == 3
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == len(ROWS)
