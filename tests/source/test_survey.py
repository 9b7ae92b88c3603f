"""A survey says of lists what an import of them says, to the row, and in bounded memory."""

from __future__ import annotations

import csv
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fetcher.errors import StoreError
from fetcher.manifest.origins import standing
from fetcher.model import Selection
from fetcher.policy import planning
from fetcher.policy.planning import Survey
from fetcher.source import ColumnNames, open_list, repeats, survey
from fetcher.source.survey import Manner, Surveyor
from tests.manifest.opened import database, query

HEADER = ("ImageID", "Subset", "OriginalURL", "Title", "OriginalSize", "OriginalMD5")
MD5 = "mR0ynQmMtzRZwuGDcuPnZA=="
MANNER = Manner(standing=standing, block=4096, max_bytes=1_000_000)

IDS = st.sampled_from(
    ["a", "b", "c", "0123456789abcdef", "0123456789abcdef0", "x" * 40, "../e", ""]
)
URLS = st.sampled_from(
    ["https://a.test/1.jpg", "http://b.test/2.jpg", "https://b.a.test/3", "ftp://c.test/", "no", ""]
)
ROWS = st.tuples(
    IDS,
    st.sampled_from(["train", "test", "", "a/b"]),
    URLS,
    st.sampled_from(["", "a title"]),
    st.sampled_from(["", "0", "100", "4097", "1000001", "-1", "many"]),
    st.sampled_from(["", MD5, "1B2M2Y8AsgTpgAmY7PhCfg==", "nonsense"]),
)
LISTS = st.lists(st.lists(ROWS, max_size=30), min_size=1, max_size=3)


def write(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def surveyed(lists: Sequence[Path], selection: Selection = Selection()) -> Survey:  # noqa: B008
    opened = [open_list(path, ColumnNames(), selection) for path in lists]
    return Surveyor(MANNER).survey(opened)


def imported(path: Path, lists: Sequence[Path]) -> None:
    with database(path) as manifest:
        for listed in lists:
            for table in open_list(listed, ColumnNames(), Selection()).tables():
                cursor = manifest.begin_source(table.info, "1")
                rows = [] if cursor.complete else list(table.rows())
                for start in range(0, len(rows), 7):
                    part = rows[start : start + 7]
                    manifest.import_rows(cursor.source_id, part, part[-1].line)
                if not cursor.complete:
                    manifest.finish_source(cursor.source_id)
        manifest.finish_import()


def counted(path: Path, sql: str) -> dict[Any, int]:
    return {tuple(row.values())[:-1]: list(row.values())[-1] for row in query(path, sql)}


def one(size: str = "100", md5: str = MD5, url: str = "https://a.test/1.jpg") -> tuple[str, ...]:
    return ("a", "train", url, "", size, md5)


@settings(max_examples=50)
@example([[one(), one("4097"), one(md5=""), one(url="http://b.test/2.jpg"), one()]], False, 1)
@example([[one()], [one("4097")], [one()]], True, 500)
@given(LISTS, st.booleans(), st.sampled_from([1, 500, 1 << 20]))
def test_it_agrees_with_an_import(
    lists: list[list[tuple[str, ...]]],
    twice: bool,  # noqa: FBT001
    buffer: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "BUFFER", buffer)
        place = Path(folder)
        paths = [write(place / f"{n}.csv", rows) for n, rows in enumerate(lists)]
        paths += paths[:1] * twice
        manifest = place / "manifest.sqlite"
        imported(manifest, paths)
        found = surveyed(paths)

        (sums,) = query(
            manifest,
            "SELECT coalesce(sum(accepted), 0) AS accepted, "
            "coalesce(sum(duplicate), 0) AS duplicate, coalesce(sum(rejected), 0) AS rejected "
            "FROM sources",
        )
        rows = found.rows
        assert {
            "accepted": rows.accepted,
            "duplicate": rows.duplicate,
            "rejected": rows.rejected,
        } == sums
        assert rows.read == sum(map(len, lists)) == sum(sums.values())
        reasons = counted(manifest, "SELECT reason, count(*) FROM rejected_rows GROUP BY 1")
        assert {(reason,): n for reason, n in found.reasons.items()} == reasons
        amounts = {
            (kind.subset, kind.host, kind.code, amount.bytes, amount.unsized): amount.images
            for kind, amount in found.amounts.items()
        }
        assert amounts == counted(
            manifest,
            "SELECT s.name AS s, h.name AS h, c.name AS c, coalesce(sum(expected_size), 0), "
            "sum(expected_size IS NULL), count(*) FROM assets AS a "
            "JOIN subsets AS s ON s.id = subset_id JOIN hosts AS h ON h.id = host_id "
            "LEFT JOIN codes AS c ON c.id = a.code GROUP BY 1, 2, 3",
        )
        told = {(example.line, example.reason, example.detail) for example in found.examples}
        kept = query(manifest, "SELECT line, reason, detail FROM rejected_rows")
        assert told <= {tuple(row.values()) for row in kept}
        (sizes,) = query(
            manifest,
            "SELECT coalesce(sum(state = 0 AND expected_size > 1000000), 0) AS large, "
            "coalesce(sum(state = 0 AND expected_md5 IS NULL), 0) AS without, "
            "coalesce(sum(state = 0 AND coalesce(expected_md5, expected_size) IS NULL), 0) "
            "AS neither, "
            "min(expected_size) AS least, max(expected_size) AS most FROM assets",
        )
        assert list(sizes.values()) == [
            found.too_large,
            found.without_md5,
            found.uncheckable,
            found.smallest,
            found.largest,
        ]
        assert list(place.glob("fetcher-plan-*")) == []


def test_real_rows(sample_list: Path, tmp_path: Path) -> None:
    found = surveyed([sample_list])
    assert found.rows.accepted == found.rows.read == 3_000
    manifest = tmp_path / "manifest.sqlite"
    imported(manifest, [sample_list])
    sizes = sorted(
        row["expected_size"] for row in query(manifest, "SELECT expected_size FROM assets")
    )
    for share, size in planning.quantiles(found).items():
        exact = sizes[max(0, -int(-share * len(sizes) // 1) - 1)]
        assert abs(size - exact) <= 0.002 * exact
    exact_classes = Counter(sum(size >= bound for bound in planning.SIZE_CLASSES) for size in sizes)
    classes = [n for _, _, n in planning.size_classes(found.sizes)]
    assert classes == [exact_classes[n] for n in range(len(classes))]
    assert found.rounded == sum(-(-size // 4096) * 4096 for size in sizes)


def test_the_first_examples_of_each_reason_are_kept(tmp_path: Path) -> None:
    rows = [("a", "train", "https://a.test/1.jpg", "", "5", MD5)]
    rows += [("a", "train", f"https://a.test/{n}.jpg", "", "5", MD5) for n in range(2, 300)]
    rows += [(f"b{n}", "train", "https://a.test/1.jpg", "", "many", "") for n in range(300)]
    found = surveyed([write(tmp_path / "list.csv", rows)])
    assert found.reasons == {"conflicting-id": 298, "bad-size": 300}
    assert [example.line for example in found.examples] == [301, 302, 303, 3, 4, 5]
    first = found.examples[3]
    assert (first.text, first.detail.partition(" than")[0]) == ("a", "another URL")


def test_too_many_hosts_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "KINDS", 10)
    rows = [(f"{n}", "train", f"https://h{n}.test/", "", "5", "") for n in range(50)]
    found = surveyed([write(tmp_path / "list.csv", rows)])
    assert found.folded
    hosts = planning.by_host(found)
    assert len(hosts) == 11
    assert hosts[survey.OTHER_HOSTS].images == 40
    assert found.rows.accepted == 50


def test_memory_does_not_grow_with_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "BUFFER", 300_000)
    monkeypatch.setattr(repeats, "PARTS", 64)

    def peak(count: int) -> int:
        rows = ((f"{n}", "", "http://a.test/", "", "", "") for n in range(count))
        path = write(tmp_path / f"{count}.csv", rows)
        tracemalloc.start()
        try:
            assert surveyed([path]).rows.accepted == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Held in memory, each row's record alone would take 69 bytes: 1.1 MB more.
    assert peak(24_000) < peak(8_000) + 300_000


def test_no_room_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "BUFFER", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    path = write(tmp_path / "list.csv", [("a", "train", "https://a.test/1.jpg", "", "", "")])
    with pytest.raises(StoreError, match="Temporary files") as caught:
        surveyed([path])
    assert "TMPDIR" in caught.value.hint
