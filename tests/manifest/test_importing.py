"""What becomes of rows: read once, read again, in a list that grew, shrank or changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fetcher.manifest.database import Database
from fetcher.manifest.extras import DECODED
from fetcher.model import KEPT, BadRow, Expectation, Row, RowTally, State
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import (
    check_laws,
    database,
    dump,
    images,
    import_all,
    lease,
    lease_many,
    query,
    source,
)

OTHER_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def rejected(path: Path) -> list[tuple[int, str, str]]:
    rows = query(path, "SELECT line, reason, detail FROM rejected_rows ORDER BY source_id, line")
    return [(row["line"], row["reason"], row["detail"]) for row in rows]


def settle(manifest: Database, state: State = State.VERIFIED, **values: Any) -> None:
    """Lease everything and settle it alike."""
    manifest.settle(
        [
            outcome(
                asset.asset_id,
                state,
                **{
                    "http_status": 200,
                    "actual_size": asset.expected.size,
                    "actual_md5": asset.expected.md5,
                    "path": f"images/train/{asset.image_id[:3]}/{asset.image_id}.jpg",
                    **values,
                },
            )
            for asset in lease(manifest)
        ]
    )


def test_each_row_is_accepted_a_duplicate_or_rejected(path: Path) -> None:
    rows: list[Row | BadRow] = [
        row(1),
        row(2),
        replace(row(1), line=4),
        replace(row(2), line=5, subset="test"),
        replace(row(2), line=6, expected=Expectation(7, OTHER_MD5)),
        BadRow(8, "bad-id", "it has a slash", "a/b,…"),
        replace(row(1), line=9, url="https://b.one.test/1.jpg"),
    ]
    with database(path) as manifest:
        assert import_all(manifest, rows) == RowTally(7, 2, 2, 3)
        assert manifest.tally().rows == RowTally(7, 2, 2, 3)
        check_laws(manifest._connection, manifest.tally())
    assert rejected(path) == [
        (6, "conflicting-id", "another size and MD5 than in /list.csv, line 3"),
        (8, "bad-id", "it has a slash"),
        (9, "conflicting-id", "another URL than in /list.csv, line 2"),
    ]


def test_duplicates_and_conflicts_are_found_across_the_lists_of_an_import(path: Path) -> None:
    first = source("first.tar.gz", "train/images.csv")
    with database(path) as manifest:
        import_all(manifest, [row(1), row(2)], info=first)
        rows = [replace(row(1), line=2), replace(row(2), line=3, url="https://c.two.test/2")]
        assert import_all(manifest, rows) == RowTally(2, 0, 1, 1)
    assert rejected(path) == [
        (3, "conflicting-id", "another URL than in /first.tar.gz, train/images.csv, line 3")
    ]


def test_the_same_lists_again_change_nothing(path: Path) -> None:
    rows: list[Row | BadRow] = [
        row(1),
        replace(row(1), line=3),
        BadRow(4, "bad-id", "", ""),
        row(7),
    ]
    with database(path) as manifest:
        import_all(manifest, rows)
        manifest.finish_list("/list.csv", "1")
        manifest.finish_import()
        before = dump(manifest._connection)
    with database(path) as manifest:
        assert manifest.list_is_complete("/list.csv", "1")
        assert not manifest.list_is_complete("/list.csv", "2")
        assert manifest.begin_source(source(), "1").complete
        assert dump(manifest._connection) == before


def test_a_list_that_was_only_touched_changes_nothing_but_its_fingerprint(path: Path) -> None:
    rows: list[Row | BadRow] = [row(n) for n in range(1, 40)]
    rows += [replace(row(1), line=50), BadRow(51, "x", "", "")]
    with database(path) as manifest:
        import_all(manifest, rows)
        settle(manifest)
        manifest.finish_import()
        before = dump(manifest._connection, without={"sources", "imports"})
        tally = manifest.tally()
    with database(path) as manifest:
        assert import_all(manifest, rows, fingerprint="2", batch=10) == RowTally(41, 39, 1, 1)
        manifest.finish_import()
        assert dump(manifest._connection, without={"sources", "imports"}) == before
        assert manifest.tally() == tally


def test_an_interrupted_list_goes_on_in_the_same_import(path: Path) -> None:
    rows = [row(n) for n in range(1, 7)] + [replace(row(1), line=20, url="https://x.one.test/")]
    with database(path) as manifest:
        import_all(manifest, rows[:4], finish=False)
    with database(path) as manifest:
        cursor = manifest.begin_source(source(), "1")
        assert (cursor.after_line, cursor.complete) == (5, False)
        assert import_all(manifest, rows) == RowTally(3, 2, 0, 1)
        assert manifest.tally().rows == RowTally(7, 6, 0, 1)


def test_a_list_that_grew_adds_only_what_is_new(path: Path) -> None:
    rows = [row(n) for n in range(1, 5)]
    with database(path) as manifest:
        import_all(manifest, rows)
        settle(manifest)
    with database(path) as manifest:
        read = import_all(manifest, [*rows, row(9)], fingerprint="2")
        assert (read, read.new) == (RowTally(5, 5), 1)
        assert manifest.tally().rows == RowTally(5, 5)
        assert [asset.image_id for asset in lease(manifest)] == [row(9).image_id]


def test_a_list_that_shrank_keeps_its_assets(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1), replace(row(1), line=3), row(9)])
    with database(path) as manifest:
        import_all(manifest, [row(9)], fingerprint="2")
        assert manifest.tally().rows == RowTally(2, 2)
        check_laws(manifest._connection, manifest.tally())
        assert len(lease(manifest)) == 2


@pytest.mark.parametrize("state", [state for state in State if state.terminal])
@pytest.mark.parametrize(
    ("change", "reopens_kept"),
    [
        ({"expected": Expectation(5, row(1).expected.md5)}, True),
        ({"expected": Expectation(row(1).expected.size, OTHER_MD5)}, True),
        ({"expected": Expectation()}, True),
        ({"url": "https://moved.two.test/1.jpg"}, False),
    ],
    ids=["size", "md5", "unknown now", "url"],
)
def test_a_changed_row_reopens_its_asset(
    path: Path, state: State, change: dict[str, Any], *, reopens_kept: bool
) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1), row(2)])
        settle(manifest, state, code="placeholder")
    changed = replace(row(1), **change)
    with database(path) as manifest:
        assert import_all(manifest, [changed, row(2)], fingerprint="2") == RowTally(2, 2)
        check_laws(manifest._connection, manifest.tally())
        leased = lease(manifest)
    image = images(path)[0]
    assert (image["url"], image["expected_size"]) == (changed.url, changed.expected.size)
    if reopens_kept or state not in KEPT:
        assert [asset.image_id for asset in leased] == [row(1).image_id]
        assert (leased[0].url, leased[0].expected) == (changed.url, changed.expected)
        assert leased[0].attempts == 0
        assert image["state"] == "pending"
        for column in ("code", "http_status", "final_url", "actual_size", "actual_md5", "path"):
            assert image[column] is None
    else:
        assert leased == []
        assert (image["state"], image["attempts"]) == (state, 1)
        assert image["final_url"] == row(1).url  # where the bytes came from
        assert image["path"] == "images/train/000/0000000000000001.jpg"


def test_a_kept_image_whose_url_comes_back_needs_no_final_url(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        settle(manifest)
        before = dump(manifest._connection)["assets"]
        for fingerprint, url in (("2", "https://new.one.test/1"), ("3", row(1).url)):
            manifest.finish_import()
            import_all(manifest, [replace(row(1), url=url)], fingerprint=fingerprint)
        assert dump(manifest._connection)["assets"] == before


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        ("https://a.one.test/1", "ftp://a.one.test/1", State.INVALID),
        ("ftp://a.one.test/1", "https://a.one.test/1", State.PENDING),
        ("ftp://a.one.test/1", "gopher://a.one.test/1", State.INVALID),
    ],
)
def test_a_changed_url_is_judged_anew(path: Path, before: str, after: str, state: State) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1, url=before)])
        manifest.finish_import()
        import_all(manifest, [row(1, url=after)], fingerprint="2")
        assert manifest.tally().states[state] == 1
        assert len(lease(manifest)) == (state is State.PENDING)
        check_laws(manifest._connection, manifest.tally())


def test_a_row_that_changes_while_its_asset_is_out_waits_for_its_new_values(path: Path) -> None:
    """What is under way was asked for by the old values: it is history, but settles nothing."""
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        (asset,) = lease(manifest)
        manifest.settle([outcome(1, State.PENDING, 1, code="stalled")])
        manifest.finish_import()
        import_all(manifest, [row(1, url="https://new.two.test/1")], fingerprint="2")
        assert lease(manifest) == []
        assert not manifest.settle([outcome(1, State.PENDING, 2, code="stalled")])
        assert manifest.settle([outcome(1, State.GONE, 3, code="http-404", http_status=404)])
        assert manifest.tally().pending == 1
        assert manifest.tally().codes == {}
        (again,) = lease(manifest)
        assert (again.url, again.host, again.attempts) == (
            "https://new.two.test/1",
            "new.two.test",
            0,
        )
        assert not manifest.settle([outcome(1, State.VERIFIED, 1)])
        check_laws(manifest._connection, manifest.tally())
    history = query(path, "SELECT n, attempt FROM attempts WHERE asset_id = 1")
    assert [(h["n"], h["attempt"]) for h in history] == [(1, 1), (2, 2), (3, 3), (4, 1)]
    assert asset.asset_id == again.asset_id


@pytest.mark.parametrize("gives_back", [True, False])
def test_a_row_that_becomes_unusable_while_its_asset_is_out_stays_so(
    path: Path, *, gives_back: bool
) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        lease(manifest)
        manifest.finish_import()
        import_all(manifest, [row(1, url="ftp://x/1")], fingerprint="2")
        if gives_back:
            manifest.give_back([1])
        else:
            manifest.settle([outcome(1, State.VERIFIED)])
        assert lease(manifest) == []
        assert manifest.tally().states[State.INVALID] == 1


def test_another_list_may_take_an_asset_over(path: Path) -> None:
    """A corrected edition of a list, under another name."""
    with database(path) as manifest:
        import_all(manifest, [row(1), row(2)])
    with database(path) as manifest:
        rows = [replace(row(1), url="https://new.one.test/1"), row(2)]
        assert import_all(manifest, rows, info=source("new.csv")) == RowTally(2, 1, 1)
        assert manifest.tally().rows == RowTally(4, 2, 2)
        check_laws(manifest._connection, manifest.tally())
    owners = query(path, "SELECT asset_id, source_id FROM details ORDER BY asset_id")
    assert [owner["source_id"] for owner in owners] == [2, 1]


def test_a_list_that_stands_contradicts_a_changed_one(path: Path) -> None:
    """Read in one go, the second list's row would be in conflict; so it is when only that is."""
    first, second = source("first.csv"), source("second.csv")
    with database(path) as manifest:
        import_all(manifest, [row(1)], info=first)
        import_all(manifest, [row(2)], info=second)
    with database(path) as manifest:
        assert manifest.begin_source(first, "1").complete
        rows = [row(2), replace(row(1), line=9, url="https://new.one.test/1")]
        assert import_all(manifest, rows, info=second, fingerprint="2") == RowTally(2, 1, 0, 1)
    assert rejected(path) == [(9, "conflicting-id", "another URL than in /first.csv, line 2")]


def test_a_list_read_again_owns_what_another_one_repeated_before_it(path: Path) -> None:
    first, second = source("first.csv"), source("second.csv")
    rows = [row(1), row(2)]
    for fingerprint in "12":
        with database(path) as manifest:
            if fingerprint == "1":
                import_all(manifest, rows, info=first, fingerprint=fingerprint)
            import_all(manifest, rows, info=second, fingerprint=fingerprint)
            if fingerprint == "2":
                import_all(manifest, rows, info=first, fingerprint=fingerprint)
            assert manifest.tally().rows == RowTally(4, 2, 2)
            manifest.finish_import()


def test_a_list_that_changes_while_its_reading_is_interrupted_is_read_anew(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1), replace(row(1), line=3)], finish=False)
    with database(path) as manifest:
        changed = [replace(row(1), url="https://new.one.test/1"), row(5)]
        assert import_all(manifest, changed, fingerprint="2") == RowTally(2, 2)
        assert manifest.tally().rows == RowTally(2, 2)
    assert images(path)[0]["url"] == "https://new.one.test/1"


def test_a_list_restored_in_the_middle_of_reading_its_change_is_read_again(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        manifest.finish_list("/list.csv", "1")
        manifest.finish_import()
        import_all(manifest, [row(1)], fingerprint="2", finish=False)
    with database(path) as manifest:
        assert not manifest.list_is_complete("/list.csv", "1")


def test_a_list_that_changed_since_this_import_began_is_no_conflict_with_itself(
    path: Path,
) -> None:
    first, second = source("first.csv"), source("second.csv")
    with database(path) as manifest:
        import_all(manifest, [row(1), row(2)], info=first)
        import_all(manifest, [row(3), row(4)], info=second, batch=1, finish=False)
    with database(path) as manifest:
        import_all(manifest, [row(3), row(4), row(5)], info=second)  # goes on in its import
        changed = [row(1, url="https://new.one.test/1"), row(2)]
        assert import_all(manifest, changed, info=first, fingerprint="2") == RowTally(2, 2)
        assert manifest.tally().rows == RowTally(5, 5)


def test_an_import_that_was_not_finished_leaves_nothing_to_the_next(path: Path) -> None:
    for fingerprint in "12":
        with database(path) as manifest:
            import_all(manifest, [row(1)], fingerprint=fingerprint)
    with database(path) as manifest:
        changed = [row(1, url="https://new.one.test/1")]
        assert import_all(manifest, changed, fingerprint="3") == RowTally(1, 1)


def test_a_reading_interrupted_before_the_last_import_begins_again(path: Path) -> None:
    rows = [row(1), row(2), replace(row(1), line=9)]
    with database(path) as manifest:
        import_all(manifest, rows[:2], info=source("old.csv"), finish=False)
    with database(path) as manifest:
        import_all(manifest, [row(5)], info=source("new.csv"))
    with database(path) as manifest:
        assert manifest.begin_source(source("old.csv"), "1").after_line == 0
        assert import_all(manifest, rows, info=source("old.csv")) == RowTally(3, 2, 1)
        assert manifest.tally().rows == RowTally(4, 3, 1)


def test_what_the_list_says_besides_is_kept_and_follows_the_list(path: Path) -> None:
    title = 'Naïve "café" \\ 雪, \t&quot;'
    with database(path) as manifest:
        import_all(manifest, [row(1, extra=(title, "")), row(2, extra=("x", "y"))])
        manifest.finish_import()
        import_all(
            manifest,
            [replace(row(1, extra=(title, "")), line=7), row(8, extra=("", ""))],
            fingerprint="2",
        )
    kept = query(
        path,
        "SELECT line, json_extract(extra, '$[0]') AS title, l.name FROM details AS d "
        "JOIN layouts AS l ON l.id = d.layout_id ORDER BY asset_id LIMIT 2",
    )
    assert [tuple(one.values()) for one in kept] == [(7, title, '["Title"]'), (3, "x", '["Title"]')]


@pytest.mark.parametrize(
    "url", ["https://a.test/\0", "https://a.test/a b", "https://[::1", "\ufffd"]
)
def test_an_odd_url_is_kept_to_the_letter(path: Path, url: str) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1, url=url, extra=("a\0b",))])
        manifest.finish_import()
        before = dump(manifest._connection, without={"sources", "imports"})
        assert before["assets"][0][4] == url
        import_all(manifest, [row(1, url=url, extra=("a\0b",))], fingerprint="2")
        manifest.finish_import()
        assert dump(manifest._connection, without={"sources", "imports"}) == before


def test_ids_of_many_shapes_are_told_apart(path: Path) -> None:
    ids = ["a", "A", "é", "e\u0301", "ß", "\U0001f600", "%_", "a'b", 'a"b']
    rows = [row(n, image_id=image_id) for n, image_id in enumerate(ids, 1)]
    with database(path) as manifest:
        assert import_all(manifest, rows).accepted == len(ids)
        manifest.finish_import()
        assert import_all(manifest, rows, fingerprint="2").accepted == len(ids)
        assert manifest.tally().total == len(ids)


def test_rows_out_of_line_are_a_bug(path: Path) -> None:
    with database(path) as manifest:
        cursor = manifest.begin_source(source(), "1")
        manifest.import_rows(cursor.source_id, [row(5)], 8)
        for rows, through in (([row(7)], 9), ([row(8)], 8), ([row(9)], 9)):
            with pytest.raises(ValueError, match="lines"):
                manifest.import_rows(cursor.source_id, rows, through)
        manifest.import_rows(cursor.source_id, [], 20)
        with pytest.raises(ValueError, match="not being read"):
            manifest.import_rows(99, [row(30)], 31)
        assert manifest.tally().total == 1


def test_a_batch_larger_than_a_statement_is_imported_whole(path: Path) -> None:
    rows = [row(n) for n in range(1, 3001)]
    with database(path) as manifest:
        assert import_all(manifest, rows, batch=3000) == RowTally(3000, 3000)
        assert len(lease_many(manifest)) == 3000
        check_laws(manifest._connection, manifest.tally())


def test_texts_that_repeat_themselves_are_kept_once(path: Path) -> None:
    licence = "https://licences.test/by/2.0/"
    rows = [row(n, extra=(licence, f"title {n}", "")) for n in range(1, 100)]
    with database(path) as manifest:
        import_all(manifest, rows)
        manifest.finish_import()
        before = dump(manifest._connection, without={"sources", "imports"})
        import_all(manifest, rows[:1] + rows[1:], fingerprint="2", batch=5)
        manifest.finish_import()
        assert dump(manifest._connection, without={"sources", "imports"}) == before
        changed = [replace(rows[0], extra=("another", "title", "")), *rows[1:]]
        import_all(manifest, changed, fingerprint="3")
    assert {text["name"] for text in query(path, "SELECT name FROM texts")} == {licence, ""}
    kept = query(path, f"SELECT {DECODED} AS extra FROM details AS d ORDER BY asset_id")  # noqa: S608
    assert [tuple(json.loads(one["extra"])) for one in kept] == [row.extra for row in changed]


def test_a_long_bad_row_is_cut(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [BadRow(2, "too-long", "", "x" * 5000)])
    (kept,) = query(path, "SELECT text FROM rejected_rows")
    assert kept["text"] == "x" * 999 + "…"
