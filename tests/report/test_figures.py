"""The figures are what the script of the manifest's making says, counted here in another way."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.config import as_dict, load, registrable_domain, render
from fetcher.errors import UsageError
from fetcher.evidence import Cell, Table
from fetcher.manifest import Grouping, ManifestReader, RunInfo, questions
from fetcher.manifest.questions import PRESENT, SIZE_CLASSES, SUSPICIOUS, bin_width
from fetcher.model import HostBudget, SourceInfo, State
from fetcher.policy.hosts import GroupRule, HostGroups
from fetcher.policy.uploads import LATER, UNKNOWN
from scripts.proofs import manifests
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import database, import_all, lease
from tests.policy.test_uploads import year_of
from tests.report.conftest import COUNT, GROUPING, SECOND_RUN, Made

Fate = tuple[State, str | None, int | None]
Figures = dict[str, Table]


@pytest.fixture(scope="module")
def fates(made: Made) -> list[Fate]:
    """What has become of each row in the end."""
    return [manifests.fate(n, later=by >= 2) for n, by in enumerate(made.by)]


def told(table: Table, *columns: str) -> dict[Any, Any]:
    """The last of ``columns`` by the ones before it."""
    *keys, value = columns
    found = {tuple(record[key] for key in keys): record[value] for record in table.records()}
    assert len(found) == len(table.rows)
    return {key[0] if len(keys) == 1 else key: n for key, n in found.items()}


def lost(state: State) -> bool:
    return state not in {*PRESENT, State.PENDING}


def counted(pairs: list[tuple[Cell, State]]) -> dict[Any, tuple[int, float]]:
    """Images and the share of lost ones by key."""
    whole, gone = Counter(key for key, _ in pairs), Counter(key for key, s in pairs if lost(s))
    return {key: (n, round(100 * gone[key] / n, 2)) for key, n in whole.items()}


def by_key(table: Table, key: str) -> dict[Any, tuple[int, float]]:
    return {r[key]: (r["images"], r["lost_share"]) for r in table.records()}  # type: ignore[misc]


def test_the_manifest_has_some_of_everything(made: Made, fates: list[Fate]) -> None:
    assert Counter(made.by).keys() == {1, 2, 3}
    assert {state for state, _, _ in fates} >= {
        State.VERIFIED,
        State.UNVERIFIED,
        State.MISMATCHED,
        State.GONE,
        State.DENIED,
        State.FAILED,
    }


def test_states_codes_and_the_sentence(figures: Figures, fates: list[Fate]) -> None:
    states = Counter(state for state, _, _ in fates)
    assert told(figures["states"], "state", "images") == states
    codes = Counter((code, state) for state, code, _ in fates if code)
    assert told(figures["codes"], "code", "state", "images") == codes
    (numbers,) = figures["summary"].records()
    assert numbers["listed"] == numbers["settled"] == COUNT
    assert numbers["present"] == sum(states[state] for state in PRESENT)
    assert numbers["altered"] == states[State.MISMATCHED]
    assert numbers["gone_share"] == round(100 * states[State.GONE] / COUNT, 2)
    assert (numbers["first_day"], numbers["last_day"]) == ("2025-11-24", "2026-05-23")


def test_bytes_by_state(figures: Figures, fates: list[Fate]) -> None:
    expected: Counter[State] = Counter()
    for n, (state, _, _) in enumerate(fates):
        expected[state] += manifests.row(n).expected.size or 0
    assert told(figures["states"], "state", "listed_bytes") == expected
    stored = told(figures["states"], "state", "stored_bytes")
    assert stored[State.VERIFIED] == expected[State.VERIFIED]
    assert stored[State.MISMATCHED] == stored[State.GONE] == 0


def test_examples_are_the_first_of_each_code(figures: Figures, fates: list[Fate]) -> None:
    expected: dict[str, list[str]] = {}
    for n, (_, code, _) in enumerate(fates):
        if code:
            expected.setdefault(code, []).append(manifests.row(n).image_id)
    shown: dict[Cell, list[Cell]] = {}
    for record in figures["examples"].records():
        shown.setdefault(record["code"], []).append(record["image_id"])
    assert shown == {code: ids[: questions.EXAMPLES] for code, ids in expected.items()}


def test_where(figures: Figures, fates: list[Fate]) -> None:
    rows = [manifests.row(n) for n in range(COUNT)]
    states = [state for state, _, _ in fates]
    hosts = [listed.url.split("/")[2] for listed in rows]

    def classed(size: int | None) -> int | None:
        if size is None:
            return None
        return max((start for start in (0, *SIZE_CLASSES) if start <= size), default=None)

    def year(url: str) -> str:
        number = url.rsplit("/", 1)[1].split("_", maxsplit=1)[0]
        return year_of(int(number)) if ".staticflickr.com/" in url else UNKNOWN

    for name, key, values in (
        ("subsets", "subset", [listed.subset for listed in rows]),
        ("hosts", "host", hosts),
        ("host_groups", "host_group", [GROUPING.group_of(host) for host in hosts]),
        ("licences", "licence", [listed.extra[1] for listed in rows]),
        ("upload_years", "upload_year", [year(listed.url) for listed in rows]),
        ("size_classes", "from_bytes", [classed(listed.expected.size) for listed in rows]),
    ):
        found = by_key(figures[name], key)
        assert found == counted(list(zip(values, states, strict=True))), name
        columns = [str(state) for state in State if str(state) in figures[name].columns]
        for record in figures[name].records():
            assert sum(int(record[state] or 0) for state in columns) == record["images"]


def test_sizes_add_up(figures: Figures, fates: list[Fate]) -> None:
    records = figures["sizes"].records()
    listed = [manifests.row(n).expected.size for n in range(COUNT)]
    assert sum(int(record["listed"] or 0) for record in records) == sum(1 for s in listed if s)
    arrived = {State.VERIFIED, State.UNVERIFIED, State.MISMATCHED}
    received = sum(1 for state, _, _ in fates if state in arrived)
    assert sum(int(record["received"] or 0) for record in records) == received
    for record in records:
        low, high = int(record["from_bytes"] or 0), int(record["below_bytes"] or 2**63)
        assert record["listed"] == sum(1 for size in listed if size and low <= size < high)


def test_suspects_are_what_many_share_and_is_not_expected(
    figures: Figures, fates: list[Fate]
) -> None:
    redirected = sum(1 for _, code, _ in fates if code in {"http-403", "not-an-image"})
    assert redirected >= SUSPICIOUS
    assert figures["suspect_redirects"].rows == ((manifests.PLACEHOLDER, redirected),)
    blank = sum(1 for n, (_, code, _) in enumerate(fates) if code == "size-mismatch" and n % 3)
    assert blank >= SUSPICIOUS
    assert figures["suspect_digests"].rows == ((manifests.BLANK, blank, 2_051),)


def test_link_rot_is_what_each_run_found(figures: Figures, made: Made) -> None:
    for run, bit in ((1, 1), (SECOND_RUN, 2)):
        fates = [manifests.fate(n, later=bit == 2) for n, by in enumerate(made.by) if by & bit]
        states = Counter(state for state, _, _ in fates)
        (record,) = [
            r for r in figures["link_rot"].records() if r["run"] == run and r["audit"] is None
        ]
        assert record["images"] == len(fates)
        assert record["present"] == states[State.VERIFIED] + states[State.UNVERIFIED]
        assert record["gone"] == states[State.GONE]
        assert record["unclear"] == states[State.FAILED]
        clear = len(fates) - states[State.FAILED]
        assert record["gone_share"] == round(100 * states[State.GONE] / clear, 2)


def test_changes_are_between_what_was_and_what_is(figures: Figures, made: Made) -> None:
    expected: Counter[str] = Counter()
    for n, by in enumerate(made.by):
        if by != 3:
            continue
        was, now = manifests.fate(n)[0], manifests.fate(n, later=True)[0]
        kinds = [
            "present" if s in PRESENT else "unclear" if s is State.FAILED else str(s)
            for s in (was, now)
        ]
        if kinds[0] == kinds[1]:
            expected["as before"] += 1
        elif kinds == ["present", "gone"]:
            expected["died"] += 1
        elif kinds[1] == "present":
            expected["came back"] += 1
        else:
            expected["lost in another way"] += 1
    assert expected.keys() >= {"as before", "died"}
    assert told(figures["since_kinds"], "change", "images") == expected
    assert sum(told(figures["since_states"], *figures["since_states"].columns).values()) == (
        expected.total()
    )


def test_attempts_retries_and_time(figures: Figures, plain: sqlite3.Connection) -> None:
    attempts = sum(int(record["attempts"] or 0) for record in figures["attempts"].records())
    assert (attempts,) == plain.execute("SELECT count(*) FROM attempts").fetchone()
    answers = sum(int(record["answers"] or 0) for record in figures["timeline"].records())
    runs = told(figures["runs"], "run", "attempts")
    assert answers == runs[SECOND_RUN]
    assert sum(runs.values()) == attempts
    throttled = sum(int(record["throttled"] or 0) for record in figures["timeline"].records())
    assert 0 < throttled < answers


@given(st.integers(0, 10**11))
def test_a_time_is_cut_into_few_bins(span: int) -> None:
    width = bin_width(span)
    assert span // width < questions.BINS
    assert width == 1_000 or span // width >= 9


# Changes that are told apart, one by one.

CHANGES = (
    (State.VERIFIED, State.GONE, "died"),
    (State.ALIVE, State.GONE, "died"),
    (State.GONE, State.VERIFIED, "came back"),
    (State.MISMATCHED, State.ALIVE, "came back"),
    (State.UNVERIFIED, State.MISMATCHED, "changed"),
    (State.VERIFIED, State.DENIED, "closed"),
    (State.VERIFIED, State.FAILED, "unclear now"),
    (State.DENIED, State.GONE, "lost in another way"),
    (State.VERIFIED, State.ALIVE, "as before"),
    (State.GONE, State.GONE, "as before"),
    (State.VERIFIED, None, "not settled again yet"),
)
_CODES = {State.GONE: "http-404", State.DENIED: "http-403", State.FAILED: "stalled"}


def test_each_kind_of_change(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    with database(path) as manifest:
        import_all(manifest, [row(n) for n in range(1, len(CHANGES) + 2)])
        lease(manifest)
        manifest.settle(
            [
                outcome(n, was, code=_CODES.get(was))
                for n, (was, _, _) in enumerate(CHANGES, start=1)
            ]
        )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE assets SET state = 0, code = 0, attempts = 0 WHERE state <> 0")
        connection.commit()
    with database(path) as manifest:
        lease(manifest)
        manifest.settle(
            [
                outcome(n, now, code=_CODES.get(now))
                for n, (_, now, _) in enumerate(CHANGES, start=1)
                if now is not None
            ]
            # Settled for the first time: no change.
            + [outcome(len(CHANGES) + 1, State.GONE, code="http-404")]
        )
    with ManifestReader(path) as reader:
        since = {table.name: table for table in reader.figures(GROUPING, 2)}
        before = {table.name: table for table in reader.figures(GROUPING, 1)}
    assert told(since["since_kinds"], "change", "images") == Counter(kind for *_, kind in CHANGES)
    assert before["since_kinds"].rows == ()


def test_a_run_that_does_not_exist_is_an_error_that_lists_those_that_do(manifest: Path) -> None:
    with (
        ManifestReader(manifest) as reader,
        pytest.raises(UsageError, match="There is no run 77") as caught,
    ):
        reader.figures(GROUPING, 77)
    assert "3: 2026-05-23" in caught.value.hint
    assert "1: 2025-11-24" in caught.value.hint
    assert "mirror images.csv --to mirror" in caught.value.hint


def test_an_empty_manifest_has_figures_too(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    with database(path):
        pass
    with ManifestReader(path) as reader:
        found = {table.name: table for table in reader.figures(GROUPING, 1)}
    assert found["summary"].records()[0]["listed"] == 0
    assert None not in found["summary"].rows[0][:-2]
    assert found["states"].rows == ()
    assert "timeline" not in found


def test_kinds_of_mismatches_are_told_if_the_bytes_were_looked_at(tmp_path: Path) -> None:
    """A finding of bytes that are no longer the ones that are here says nothing."""
    path = tmp_path / "manifest.sqlite"
    manifests.make(path, 600)
    with closing(sqlite3.connect(path)) as connection, connection:
        mismatched = connection.execute(
            "SELECT asset_id, actual_md5, code FROM assets WHERE state = 4 ORDER BY asset_id"
        ).fetchall()
        (first, md5, _), (second, _, code) = mismatched[:2]
        insert = "INSERT INTO triage VALUES (?, ?, 'rotated', '', 1, 1, 0)"
        connection.executemany(insert, [(first, md5), (second, "of other bytes")])
        codes = dict(connection.execute("SELECT id, name FROM codes"))
    with ManifestReader(path) as reader:
        found = {table.name: table for table in reader.figures(GROUPING)}
    expected = Counter(codes[code] for _, _, code in mismatched[1:])
    assert expected[codes[code]]
    assert told(found["mismatches"], "kind", "images") == {"rotated": 1} | expected


ODD_HOSTS = (
    "a.example.org",
    "b.a.example.org",
    "example.org",
    "notexample.org",
    "one.github.io",
    "two.github.io",
    "github.io",
    "192.0.2.7",
    "2001:db8::7",
    "localhost",
    "x.co.uk",
    "y.x.co.uk",
    "it's.example.net",
    "bucket1.cdn.example.net",
    "bucketz.cdn.example.net",
)


def test_hosts_are_grouped_as_the_engine_groups_them(tmp_path: Path) -> None:
    patterns = {"cdn": ("bucket[!a-z].*.example.net", "*.a.example.org"), "loc": ("local*",)}
    budget = HostBudget(None, 1, 1)
    known = HostGroups(
        budget,
        [GroupRule(name, match, budget) for name, match in patterns.items()],
        registrable_domain=registrable_domain,
    )
    path = tmp_path / "manifest.sqlite"
    with database(path) as manifest:
        import_all(
            manifest,
            [
                replace(row(n), url=f"https://{f'[{host}]' if ':' in host else host}/{n}.jpg")
                for n, host in enumerate(ODD_HOSTS, start=1)
            ],
        )
    with ManifestReader(path) as reader:
        grouping = Grouping(known.group_of, patterns, registrable_domain)
        found = {table.name: table for table in reader.figures(grouping)}
    with closing(sqlite3.connect(path)) as connection:
        hosts = [name for (name,) in connection.execute("SELECT name FROM hosts")]
        expected = Counter(
            known.group_of(name) or questions.NONE
            for (name,) in connection.execute(
                "SELECT h.name FROM assets JOIN hosts AS h ON h.id = host_id"
            )
        )
    assert len(hosts) >= len(ODD_HOSTS) - 1
    assert told(found["host_groups"], "host_group", "images") == expected


def test_long_tables_end_with_the_rest(tmp_path: Path) -> None:
    """40 hosts of as many owners, each with its own licence; one has two images."""
    path = tmp_path / "manifest.sqlite"
    info = SourceInfo("/list.csv", None, ("License",))
    rows = [
        replace(row(n), url=f"https://h{n % 40:02}.test/{n}", extra=(f"L{n % 40:02}",))
        for n in range(1, 42)
    ]
    with database(path) as manifest:
        import_all(manifest, rows, info=info)
    with ManifestReader(path) as reader:
        found = {table.name: table for table in reader.figures(GROUPING)}
    for name, first in (("hosts", "h01.test"), ("host_groups", "h01.test"), ("licences", "L01")):
        shown = [(record[0], record[1]) for record in found[name].rows]
        assert len(shown) == questions.SHOWN + 1, name
        assert shown[0] == (first, 2)
        assert shown[-1] == (questions.OTHERS, 41 - 2 - (questions.SHOWN - 1))


def test_of_many_runs_the_last_are_told(tmp_path: Path) -> None:
    """So that a page does not grow with the years that a mirror is looked after."""
    path = tmp_path / "manifest.sqlite"
    with database(path):
        pass
    count = questions.RUNS + 40
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO runs (started_at, command, version, pid, config) "
            "VALUES (?, '', '', 0, '{}')",
            ((float(n),) for n in range(count)),
        )
        connection.execute(
            "INSERT INTO attempts SELECT 1, id, id, 1, 0, 0, 0, 200, 0, NULL FROM runs"
        )
        (last,) = connection.execute("SELECT max(id) FROM runs").fetchone()
    with ManifestReader(path) as reader:
        found = {table.name: table for table in reader.figures(GROUPING)}
    for name in ("runs", "link_rot"):
        runs = [record["run"] for record in found[name].records()]
        assert runs == list(range(last - questions.RUNS + 1, last + 1)), name


def test_settings_are_those_of_the_last_run_that_had_any(tmp_path: Path) -> None:
    """``retry`` is a run, too, and asks for nothing: what it leaves out has not been unset. A
    suspect's option adds to the placeholders that are configured, and host groups are as they were.
    """
    path = tmp_path / "manifest.sqlite"
    photos = 'hosts.groups.photos={match: "*.photos.example", rate: unlimited}'
    loaded = load(None, [photos], {})
    shown = json.dumps(as_dict(loaded)["config"])
    with database(path) as manifest:
        manifest.begin_run(RunInfo("mirror", "0", shown))
        manifest.begin_run(RunInfo("retry", "0"))
    with ManifestReader(path) as reader:
        assert reader.last_settings() == json.loads(shown)
        table = next(t for t in reader.figures(GROUPING) if t.name == "settings")
    assert {record["run"] for record in table.records()} == {2}
    found = told(table, "key", "value")
    assert found["hosts.groups.photos.rate"] == "unlimited"
    assert found["hosts.groups.photos.match[0]"] == "*.photos.example"
    rendered = yaml.safe_load(render(loaded))
    for key in ("hosts.default.bandwidth", "fetch.processes", "retry.patience", "consent.robots"):
        value: Any = rendered
        for part in key.split("."):
            value = value[part]
        assert found[key] == (str(value).lower() if isinstance(value, bool) else value), key
    assert found["fetch.contact"] is None


PHOTOS = {
    "https://farm1.staticflickr.com/1/90000001_ab_o.jpg": "2006",
    "https://c1.staticflickr.com/9/8023/90000001_ab_o.jpg": "2006",
    "http://live.staticflickr.com/90000001_ab_o.jpg": "2006",
    "https://farm1.staticflickr.com/1/7100000001_ab_o.jpg": LATER,
    "https://c1.staticflickr.com/9/8023/90000001_ab_o.jpg?zz=/1": "2006",
    "https://c1.staticflickr.com/9/8023/": UNKNOWN,
    "https://c1.staticflickr.com/9/8023/buddyicon.jpg": UNKNOWN,
    "https://farm1.staticflickr.com.example.org/1/90000001_ab_o.jpg": UNKNOWN,
    "https://example.org/90000001_ab_o.jpg": UNKNOWN,
}


def test_years_of_upload_are_of_photos_alone(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    with database(path) as manifest:
        import_all(manifest, [replace(row(n), url=url) for n, url in enumerate(PHOTOS, start=1)])
    with ManifestReader(path) as reader:
        found = {table.name: table for table in reader.figures(GROUPING)}
    assert told(found["upload_years"], "upload_year", "images") == Counter(PHOTOS.values())
