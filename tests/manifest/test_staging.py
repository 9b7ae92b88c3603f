"""Rows that were staged become what the same rows become one by one."""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fetcher.lines import Part
from fetcher.lines import cut as lines_cut
from fetcher.manifest import beside, listed
from fetcher.manifest.database import Database
from fetcher.model import Expectation, Row, RowTally, SourceInfo, State
from fetcher.ports import StagedRows
from tests.conformance.manifest_suite import outcome
from tests.manifest.opened import check_laws, database, dump, lease

staging = pytest.importorskip(
    "fetcher.manifest.staging", reason="extensions not built", exc_type=ImportError
)

INFO = SourceInfo("/list.csv", None, ("License", "Title"))
LICENCE = "https://licences.test/100%/"
STAGED = ("SCAN staged.rows", "SCAN staged.subsets", "SCAN staged.passages")
MD5S = ("", "mR0ynQmMtzRZwuGDcuPnZA==", "1B2M2Y8AsgTpgAmY7PhCfg==")


class Places(NamedTuple):
    """As ``fetcher.source.ordinary`` has them; of ``KINDS``."""

    id: int = 0
    subset: int | None = 1
    url: int = 2
    origin: int = 3
    size: int | None = 4
    md5: int | None = 5
    extra: tuple[int, ...] = (7,)
    columns: int = 1
    apart: tuple[int, int] | None = (6, 0)
    delimiter: str = ","
    width: int = 8


KINDS = b"isundlx"


def part_of(lines: Sequence[tuple[str, ...]], kinds: bytes = KINDS) -> Part:
    """What ``line`` has made, as it would be in a list; the origin is in none."""
    written = "".join(",".join((*cells[:3], *cells[4:])) + "\n" for cells in lines).encode()
    assert lines_cut is not None
    cuts = lines_cut(written, kinds, ",")
    assert cuts is not None
    return written, cuts


def line(
    number: int,
    *,
    host: str = "https://a.one.test",
    subset: str = "train",
    size: str = "7",
    md5: str = MD5S[1],
    licence: str = LICENCE,
    title: str = "Kites",
) -> tuple[str, ...]:
    url = f"{host}/{number}.jpg"
    return (f"{number:016x}", subset, url, host, size, md5, licence, f'"{title}"' if title else "")


LINES = st.builds(
    line,
    st.integers(0, 12),
    host=st.sampled_from(["https://a.one.test", "http://a.one.test:80", "https://b.two.test"])
    | st.sampled_from(["https://a.one.test", "https://a..test", "http://0.0.0.0:0"]),
    subset=st.sampled_from(["train", "test", ""]),
    size=st.sampled_from(["7", "999999999999999", ""]),
    md5=st.sampled_from(MD5S),
    licence=st.sampled_from([LICENCE, LICENCE, "\\", "", '"other"']),
    title=st.sampled_from(["a\\b", "%s", "雨 🚢 \x7f\u2028\x01", "1", "", "Kites, far", "\t"]),
)


def rows_of(first: int, lines: Sequence[tuple[str, ...]]) -> list[Row]:
    return [
        Row(
            number,
            cells[0],
            cells[1],
            cells[2],
            Expectation(int(cells[4] or 0) or None, cells[5] or None),
            (cells[6].strip('"'), cells[7].strip('"')),
        )
        for number, cells in enumerate(lines, first)
    ]


def staged_by(
    manifest: Database, first: int, lines: Sequence[tuple[str, ...]]
) -> StagedRows | None:
    middle = len(lines) // 2
    parts = [part_of(some) for some in (lines[:middle], lines[middle:]) if some]
    with closing(staging.Stager(Places(), "", manifest.number_names)) as stager:
        ready: StagedRows | None = stager.stage(first, parts)
        return ready


def second_of_two(manifest: Database) -> StagedRows:
    """A batch of a row, behind another one that has come in."""
    manifest.begin_source(INFO, "1")
    first, second = staged_by(manifest, 2, [line(1)]), staged_by(manifest, 3, [line(2)])
    assert first is not None
    assert second is not None
    manifest.import_staged(1, first)
    return second


@contextmanager
def opened() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder, database(Path(folder, "m.sqlite")) as manifest:
        yield manifest


def known(manifest: Database) -> dict[str, list[Any]]:
    """All that there is, with names in the place of their numbers."""
    named = {"details", "passages", "texts", "ring", "assets", "hosts", "subsets", "tallies"}
    tables = dump(manifest._connection, without=named)
    tables["assets"] = manifest._connection.execute(
        "SELECT a.asset_id, h.name, i.* FROM assets AS a JOIN images AS i USING (image_id) "
        "JOIN hosts AS h ON h.id = a.host_id ORDER BY 1"
    ).fetchall()
    tables["tallies"] = manifest._connection.execute(
        "SELECT s.name, t.state, t.code, t.n, t.expected_bytes, t.stored_bytes FROM tallies AS t "
        "JOIN subsets AS s ON s.id = t.subset_id ORDER BY 1, 2, 3"
    ).fetchall()
    tables["listed"] = [
        (*row[:-1], json.loads(row[-1]))
        for row in manifest._connection.execute(
            f"SELECT a.asset_id, {listed.SOURCE}, {listed.LINE}, {listed.LAYOUT}, {listed.CELLS} "  # noqa: S608
            f"FROM assets AS a {listed.JOINED} ORDER BY 1"
        )
    ]
    return tables


@settings(max_examples=150)
@given(batches=st.lists(st.lists(LINES, min_size=1, max_size=8), max_size=4))
@example([[line(1), line(2, subset="test", title="a\\b")], [line(3, licence="\\"), line(1)]])
@example([[line(1), line(2, host="http://a.one.test:80")]])  # one host, of two origins
def test_the_same_as_one_by_one(batches: list[list[tuple[str, ...]]]) -> None:
    with opened() as one_by_one, opened() as at_once:
        first = 2
        for manifest in (one_by_one, at_once):
            manifest.begin_source(INFO, "1")
        for lines in batches:
            rows = rows_of(first, lines)
            tally = one_by_one.import_rows(1, rows, rows[-1].line)
            ready = staged_by(at_once, first, lines)
            if ready is None:
                at_once.import_rows(1, rows, rows[-1].line)
            else:
                assert at_once.import_staged(1, ready) == tally
            first += len(lines)
        for manifest in (one_by_one, at_once):
            check_laws(manifest._connection, manifest.tally())
        assert known(at_once) == known(one_by_one)
        for manifest in (one_by_one, at_once):
            manifest.fill_shards()  # so that leases have the further cells with them
        assert lease(at_once) == lease(one_by_one)


def test_rows_without_subset_size_and_digest() -> None:
    assert lines_cut is not None
    text = b"a1,https://a.one.test/1\n"
    cuts = lines_cut(text, b"iu", ",")
    assert cuts is not None
    places = Places(0, None, 1, 2, None, None, (), 0, None, width=3)
    with opened() as manifest:
        manifest.begin_source(INFO, "1")
        with closing(staging.Stager(places, "validation", manifest.number_names)) as stager:
            ready = stager.stage(2, [(text, cuts)])
        assert ready is not None
        manifest.import_staged(1, ready)
        (asset,) = lease(manifest)
        assert (asset.subset, asset.expected) == ("validation", Expectation())
        check_laws(manifest._connection, manifest.tally())


@pytest.mark.parametrize("host", ["https://a..test", "http://a.test:0", "https://-:x"])
def test_what_cannot_be_asked_for_is_not_staged(host: str) -> None:
    with opened() as manifest:
        assert staged_by(manifest, 2, [line(1), line(2, host=host)]) is None


def test_a_column_that_is_none_of_licences_is_not_staged() -> None:
    with opened() as manifest:
        assert staged_by(manifest, 2, [line(n, licence=f"{n}%") for n in range(3000)]) is None


def test_as_many_rows_as_there_are_pages() -> None:
    """Some of them longer than a page, and of licences that take turns."""
    lines = [
        line(n, licence=f"{n % 7}%", title=f"{n} " + "Küste, " * (n * n % 900)) for n in range(3000)
    ]
    with opened() as manifest:
        manifest.begin_source(INFO, "1")
        ready = staged_by(manifest, 2, lines)
        assert ready is not None
        manifest.import_staged(1, ready)
        told = [(row[2], *row[-1]) for row in known(manifest)["listed"]]
        assert told == [(row.line, *row.extra) for row in rows_of(2, lines)]
        assert [asset.image_id for asset in lease(manifest, limit=10)] == [
            cells[0] for cells in lines[:10]
        ]


def test_only_one_batch_of_a_known_id_is_looked_at() -> None:
    """A list that names an image twice costs no more than the batch that does."""
    with opened() as manifest:
        manifest.begin_source(INFO, "1")
        looked_at = manifest._importer.write
        batches: list[int] = []

        def write(source_id: int, rows: Sequence[Any], *more: int) -> Any:
            batches.append(len(rows))
            return looked_at(source_id, rows, *more)

        manifest._importer.write = write  # type: ignore[method-assign, assignment]
        tally = RowTally()
        for first in range(0, 40, 10):
            lines = [line(n) for n in range(first, first + 10)]
            lines[9] = line(0) if first == 20 else lines[9]
            ready = staged_by(manifest, first + 2, lines)
            assert ready is not None
            tally += manifest.import_staged(1, ready)
        assert batches == [10]
        assert tally == RowTally(40, 39, 1, 0)


def test_what_breaks_another_rule_is_not_taken_for_a_known_id() -> None:
    """It would be looked at row by row, and none would be missed."""
    with opened() as manifest:
        ready = second_of_two(manifest)
        manifest._connection.execute(
            "INSERT INTO passages VALUES (2, 1, 1, 9, 1, NULL, NULL, ',')"  # which is taken then
        )
        manifest._importer.write = None  # type: ignore[method-assign, assignment]
        with pytest.raises(sqlite3.IntegrityError):
            manifest.import_staged(1, ready)
        assert len(known(manifest)["assets"]) == 1


@pytest.mark.parametrize("wrong", [1, 5])
def test_assets_that_get_other_numbers_than_they_should(wrong: int) -> None:
    with opened() as manifest:
        ready = second_of_two(manifest)
        manifest._importer._next_id = wrong
        with pytest.raises(RuntimeError, match="last asset is 2"):
            manifest.import_staged(1, ready)
        assert len(known(manifest)["assets"]) == 1


def test_a_large_batch_leaves_no_room_in_those_after_it() -> None:
    long = [line(n, title="x" * 20_000) for n in range(1_000)]
    with (
        opened() as manifest,
        closing(staging.Stager(Places(), "", manifest.number_names)) as stager,
    ):
        assert len(stager.stage(2, [part_of(long)]).image) > 20_000_000
        for first in (1002, 1003):
            (again,) = rows = [line(first)]
            ready = stager.stage(first, [part_of(rows)])
            assert len(ready.image) < 100_000
            assert again == rows[0]
        manifest.begin_source(INFO, "1")
        manifest.import_staged(1, ready)
        assert [asset.image_id for asset in lease(manifest)] == [line(1003)[0]]


def test_pages_of_which_sqlite_keeps_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the one of some systems does: what would be laid out is damaged to it."""
    with closing(sqlite3.connect(":memory:")) as seed:
        seed.execute(f"PRAGMA page_size = {staging._PAGE}")
        seed.execute("CREATE TABLE seed (x)")
        image = bytearray(seed.serialize())
    image[20] = 12

    def reserving(*_: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(":memory:", **options)
        connection.deserialize(image)
        return connection

    with opened() as manifest:
        assert staged_by(manifest, 2, [line(1)]) is not None
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", reserving)
        assert staged_by(manifest, 2, [line(1)]) is None
        monkeypatch.undo()


@settings(max_examples=100)
@given(
    before=st.lists(LINES, min_size=1, max_size=6),
    after=st.lists(LINES, max_size=3),
    same=st.integers(0, 6),
    shifted=st.booleans(),
)
@example(before=[line(1), line(2)], after=[], same=6, shifted=False)
@example(before=[line(1), line(2)], after=[], same=6, shifted=True)
@example(before=[line(1), line(2)], after=[line(1)], same=1, shifted=False)
@example(before=[line(1), line(2)], after=[line(2, title="another")], same=1, shifted=False)
def test_a_list_read_again(
    before: list[tuple[str, ...]], after: list[tuple[str, ...]], same: int, *, shifted: bool
) -> None:
    """What is as it was is told so at once; what is not, row by row."""
    again = [*before[:same], *after] or [line(3)]
    with opened() as one_by_one, opened() as at_once:
        tallies = []
        for manifest in (one_by_one, at_once):
            for fingerprint, lines in (("1", before), ("2", again), ("3", again)):
                first = 2 + (shifted and fingerprint == "2")
                manifest.begin_source(INFO, fingerprint)
                ready = staged_by(at_once, first, lines) if manifest is at_once else None
                if ready is None:
                    rows = rows_of(first, lines)
                    tallies.append(manifest.import_rows(1, rows, rows[-1].line))
                else:
                    tallies.append(manifest.import_staged(1, ready))
                manifest.finish_source(1)
                if fingerprint == "2":
                    seen = known(manifest)["seen"]
                    tallies.append(RowTally(len(seen)))
                manifest.finish_import()
            check_laws(manifest._connection, manifest.tally())
        assert tallies[:4] == tallies[4:]
        assert known(at_once) == known(one_by_one)


def test_no_statement_walks_over_a_table() -> None:
    """But over the rows that are staged."""
    with opened() as manifest:
        ready = staged_by(manifest, 2, [line(1)])
        assert ready is not None
        beside.lay(manifest._connection, ready)
        for sql in (beside.ASSETS, beside.PASSAGES, beside.CONFIRMED, beside.SEEN):
            given = [None] * max(map(int, re.findall(r"\?(\d)", sql)))
            steps = manifest._connection.execute("EXPLAIN QUERY PLAN " + sql, given)
            scans = [step[-1] for step in steps if step[-1].startswith("SCAN")]
            assert scans
            assert set(scans) <= {"SCAN r", "SCAN rows", *STAGED}, sql


def test_no_row_costs_a_table_of_its_own() -> None:
    """As one did for which an index asked ``state IN (1, 2, 3)``."""
    with opened() as manifest:
        ready = staged_by(manifest, 2, [line(1)])
        assert ready is not None
        beside.lay(manifest._connection, ready)
        steps = manifest._connection.execute("EXPLAIN " + beside.ASSETS, (0,)).fetchall()
        assert "OpenEphemeral" not in {step[1] for step in steps}


def test_a_list_that_is_as_it_was_is_not_looked_at_row_by_row() -> None:
    with opened() as manifest:
        manifest.begin_source(INFO, "1")
        ready = staged_by(manifest, 2, [line(n) for n in range(9)])
        assert ready is not None
        manifest.import_staged(1, ready)
        manifest.finish_source(1)
        manifest.finish_import()
        manifest._importer.write = None  # type: ignore[method-assign, assignment]
        manifest.begin_source(INFO, "2")
        assert manifest.import_staged(1, ready) == RowTally(9, 9, 0, 0)


def test_a_batch_before_the_place_of_reading_is_refused() -> None:
    with opened() as manifest:
        manifest.begin_source(INFO, "1")
        ready = staged_by(manifest, 2, [line(1)])
        assert ready is not None
        manifest.import_staged(1, ready)
        before = known(manifest)
        with pytest.raises(ValueError, match="line 2"):
            manifest.import_staged(1, ready)
        assert known(manifest) == before


def test_settled_images_are_met_again_and_stay() -> None:
    lines = [line(n) for n in range(5)]
    with opened() as manifest:
        manifest.begin_source(INFO, "1")
        ready = staged_by(manifest, 2, lines)
        assert ready is not None
        manifest.import_staged(1, ready)
        manifest.finish_source(1)
        manifest.finish_import()
        manifest.settle([outcome(asset.asset_id, State.GONE) for asset in lease(manifest)])
        manifest.begin_source(INFO, "2")
        assert manifest.import_staged(1, ready) == RowTally(5, 5, 0, 0)
        assert manifest.tally().states[State.GONE] == 5
