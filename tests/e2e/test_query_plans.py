"""No statement that runs more than once per run goes over a whole table that grows with the list.

Commands run in this process with connections that note each statement and ask SQLite for its plan,
on the spot, as temporary tables live and die with their connection. A plan's ``SCAN`` of a growing
table is only allowed by name, with the reason; ``ONCE`` of them are counted.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from fetcher.demo.images import md5_of
from fetcher.demo.steps import Picture
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, fetcher

SMALL: Final = frozenset(
    {
        *("states", "codes", "subsets", "layouts", "lists", "sources", "imports", "runs"),
        *("tallies", "checks", "audits", "strata"),
        *("sqlite_schema", "sqlite_temp_schema", "sqlite_master"),
    }
)
"""Tables that do not grow with a list's length; every other one does."""


@dataclass(frozen=True, slots=True)
class Scan:
    begins: str
    """What the statement begins with."""
    times: int
    """In one run, at most."""
    reason: str


ALLOWED: Final = (
    Scan("SELECT name, size FROM shards", 2, "a row for each GiB, when a run begins and ends"),
    Scan(
        "SELECT a.subset_id, a.state, a.code, count(*), total(",
        1,
        "only what an audit found, by an index of nothing else, and a mirror is to fetch",
    ),
    Scan(
        "SELECT json_group_array(json_array(host_group, at, rate,",
        1,
        "what was learned of host groups is read when a run begins",
    ),
    Scan("SELECT id, name FROM hosts", 2, "retry compares their names with --host, twice"),
    Scan("SELECT count(*) FROM assets WHERE path IS NOT NULL", 1, "how much verify has to read"),
    Scan("SELECT subset_id, grp, count(*) FROM drawn", 1, "an audit's sample is drawn once"),
    Scan("INSERT INTO audited (audit_id, asset_id, stratum,", 1, "likewise"),
)
_ROWS: Final = re.compile(r"\((\?,)*\?\)(,\((\?,)*\?\))+")
_NAMED: Final = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+AS)?\s+(\w+)", re.IGNORECASE)
_SCANNED: Final = re.compile(
    r"(?:SCAN (?!CONSTANT|\d|\()(\w+)\b(?! VIRTUAL)|SEARCH (\w+) USING AUTOMATIC)"
)
"""An automatic index is made of a whole table for the statement alone."""
_VERBS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"})
FAST: Final = {
    "hosts": {"default": {"rate": "unlimited", "concurrency": 64, "adapt": False}},
    "retry": {"first_delay": 0.001, "max_delay": 0.01, "attempts": 2},
    "fetch": {"processes": 1, "concurrency": 64},
}
SIZE: Final = 300
IMAGES: Final = 520
"""More than the importer's first batch."""


@dataclass(slots=True)
class Notes:
    """What was run: plans by statement, and how often each ran, by command."""

    plans: dict[str, list[str]] = field(default_factory=dict)
    ran: dict[str, Counter[str]] = field(default_factory=dict)
    schema: dict[str, str] = field(default_factory=dict)
    """All tables and views that there were, with what made them."""
    command: str = ""

    def note(self, connection: sqlite3.Connection, sql: str, values: Any) -> None:
        text = _ROWS.sub("(rows)", " ".join(sql.split()))
        if text.partition(" ")[0].upper() not in _VERBS:
            return
        self.ran.setdefault(self.command, Counter())[text] += 1
        if text in self.plans:
            return
        plain = sqlite3.Connection.execute
        for schema in ("sqlite_schema", "sqlite_temp_schema"):
            found = plain(connection, f"SELECT name, sql FROM {schema} WHERE type <> 'index'")  # noqa: S608
            self.schema.update({name: made or "" for name, made in found})
        plan = plain(connection, f"EXPLAIN QUERY PLAN {sql}", values)
        self.plans[text] = [row[3] for row in plan]

    def offences(self) -> Iterator[str]:
        """Each scan that is not allowed, or too often, with its plan."""
        for text, plan in self.plans.items():
            tables = scanned(text, plan, self.schema)
            if not tables:
                continue
            most = max((one.times for one in ALLOWED if text.startswith(one.begins)), default=0)
            for command, ran in self.ran.items():
                if ran[text] > most:
                    lines = "\n    ".join(plan)
                    yield (
                        f"{command} goes {ran[text]} times over {', '.join(sorted(tables))}:\n"
                        f"  {text}\n    {lines}"
                    )


def recording(notes: Notes) -> type[sqlite3.Connection]:
    class Recording(sqlite3.Connection):
        def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
            notes.note(self, sql, values)
            return super().execute(sql, values)

        def executemany(self, sql: str, rows: Any, /) -> sqlite3.Cursor:
            rows = list(rows)
            for values in rows:
                notes.note(self, sql, values)
            return super().executemany(sql, rows)

    return Recording


@contextmanager
def noted(notes: Notes) -> Iterator[None]:
    connect, factory = sqlite3.connect, recording(notes)
    with patch.object(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=factory)):
        yield


def scanned(text: str, plan: list[str], schema: Mapping[str, str]) -> set[str]:
    """The growing tables that the plan goes over from one end to the other."""
    views = {name: made for name, made in schema.items() if made.startswith("CREATE VIEW")}
    whole = " ".join([text, *(made for name, made in views.items() if _names(name, text))])
    aliases: dict[str, set[str]] = {}
    for name, alias in _NAMED.findall(whole):
        if name in schema:
            aliases.setdefault(alias, set()).add(name)
    found: set[str] = set()
    for match in filter(None, map(_SCANNED.match, plan)):
        name = match[1] or match[2]
        meant = {name} & (schema.keys() | SMALL) or aliases.get(name, set())
        # What is no table is the result of a part of the statement, and has its own line.
        if not meant and not re.search(
            rf"\)( AS)? {name}\b|\b{name}\b[^)]*\)? AS (MAT\w+ )?\(", whole
        ):
            raise AssertionError(f"what is {name} in {match[0]!r} of {text}?")
        found |= meant - SMALL
    return found


def _names(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def bodies(schema: Mapping[str, str]) -> Iterator[str]:
    """The statements of all triggers, with parameters for the rows that they are about."""
    for made in schema.values():
        if made.startswith("CREATE TRIGGER"):
            body = made[made.index("BEGIN") + len("BEGIN") : made.rindex("END")]
            for statement in filter(None, map(str.strip, body.split(";"))):
                yield re.sub(r"\b(OLD|NEW)\.\w+", "1", statement)


# The finder itself.

TABLES: Final = """
    CREATE TABLE assets (asset_id INTEGER PRIMARY KEY, url TEXT, state INTEGER);
    CREATE TABLE states (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE log (asset_id INTEGER);
    CREATE INDEX pending ON assets (asset_id) WHERE state = 0;
    CREATE VIEW images AS SELECT a.url, s.name FROM assets AS a JOIN states AS s ON s.id = a.state;
    CREATE TRIGGER note AFTER UPDATE ON assets BEGIN
        INSERT INTO log SELECT asset_id FROM assets WHERE url = OLD.url;
    END;
"""


def noted_of(*statements: str) -> Notes:
    notes = Notes(command="a run")
    with noted(notes), closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        for statement in statements:
            connection.execute(statement)
    return notes


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM assets WHERE url = 'x'",
        "SELECT count(*) FROM assets AS a",
        "SELECT asset_id FROM assets WHERE state = 0",
        "SELECT * FROM images",
        "UPDATE assets SET state = 1 WHERE url = 'x'",
        "WITH w AS (SELECT url FROM assets) SELECT count(*) FROM w",
        "SELECT 1 WHERE 'x' IN (SELECT url FROM assets AS b)",
        "SELECT s.name FROM states AS s LEFT JOIN assets AS t ON t.state = s.id + 1",
    ],
)
def test_a_scan_is_found_however_it_is_written(statement: str) -> None:
    (offence,) = noted_of(statement).offences()
    assert offence.startswith("a run goes 1 times over assets:")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM assets WHERE asset_id = 3",
        "SELECT max(asset_id) FROM assets",
        "SELECT * FROM states",
        "SELECT a.url FROM (VALUES (1),(2)) AS v CROSS JOIN assets AS a ON a.asset_id = column1",
        "WITH v (n) AS (VALUES (1)) SELECT a.url FROM v CROSS JOIN assets AS a ON a.asset_id = n",
        "SELECT value FROM json_each('[1]')",
        "PRAGMA user_version",
    ],
)
def test_what_looks_up_is_no_scan(statement: str) -> None:
    assert list(noted_of(statement).offences()) == []


def test_how_often_a_scan_may_be_run_is_counted() -> None:
    shards = "CREATE TABLE shards (name TEXT, size INTEGER)"
    scan = "SELECT name, size FROM shards"
    assert list(noted_of(shards, scan, scan).offences()) == []
    assert len(list(noted_of(shards, scan, scan, scan).offences())) == 1


def test_a_trigger_is_looked_into() -> None:
    (body,) = bodies(noted_of("SELECT * FROM states").schema)
    (offence,) = noted_of(body).offences()
    assert "over assets" in offence


# The commands.


@pytest.fixture
def rows() -> list[Row]:
    """Most are there; some are lost, some are altered, one comes twice, one is unusable."""
    found = []
    for n in range(IMAGES):
        path = f"/pic/{n}/{SIZE}.jpg" if n % 50 else f"/lost/{n}.jpg"
        md5 = md5_of(Picture(SIZE, f"{n}").data() if n % 60 else b"another")
        url = f"https://farm{1 + n % 8}.staticflickr.com{path}"
        found.append(Row(f"{n:016x}", url, f"{SIZE}", md5, title=f"Title {n}"))
    return [*found, found[5], Row("../up", "https://farm1.staticflickr.com/a.jpg")]


def test_no_command_goes_over_a_growing_table_again_and_again(
    bench: Bench, rows: list[Row]
) -> None:
    notes = Notes()
    directory, config = bench.directory, bench.config(FAST)
    images = bench.rows(rows)
    moved = [
        replace(row, url=f"{row.url}?new") if n % 10 == 1 else row for n, row in enumerate(rows)
    ]
    altered = [replace(row, size="299") if n % 35 == 2 else row for n, row in enumerate(moved)]
    later = bench.rows(altered, "later.csv")

    def run(command: str, *arguments: str | Path, to: Path = directory, ends: int = 1) -> None:
        notes.command = f"{len(notes.ran) + 1}. {command} {arguments[0]}"
        place = ("--to", to, "--config", config) if command in {"mirror", "audit"} else ()
        done = fetcher(command, *arguments, *place)
        assert done.code == ends, done

    with noted(notes):
        run("mirror", images)
        run("mirror", later)
        run("retry", directory, "--state", "gone", "--host", "farm1.*", ends=0)
        run("mirror", later)
        run("status", directory, "--json", ends=0)
        next((directory / "images").rglob("*.jpg")).write_bytes(b"harm")
        run("verify", directory, "--repair")
        run("audit", images, later, "--sample", "50%")
        run("audit", later, "--method", "get", to=bench.place / "audit")
        run("mirror", images, "--set", "store.layout=tar", to=bench.place / "tar")
        run("verify", bench.place / "tar", ends=0)
        notes.command = "triggers"
        with closing(sqlite3.connect(directory / "manifest.sqlite")) as connection:
            for body in bodies(notes.schema):
                connection.execute(body)
            connection.rollback()
    assert list(notes.offences()) == []
    assert len(notes.plans) > 80, "statements are not seen"
    unused = [
        one.begins
        for one in ALLOWED
        if not any(text.startswith(one.begins) for text in notes.plans)
    ]
    assert unused == [], "exceptions that nothing needs any more"
