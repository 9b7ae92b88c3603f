"""The figures of a report: the questions, asked one after the other of one moment's manifest.

Some questions depend on what others find (which states occur, which hosts are the largest): that is
looked up first, and then written into the SQL, so that what is printed is what was asked.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from fetcher.errors import UsageError
from fetcher.evidence import Table
from fetcher.manifest import questions
from fetcher.manifest.questions import SHOWN, Question
from fetcher.manifest.states import STATES
from fetcher.model import State

_RUNS_NAMED: Final = 12


class Grouping(Struct, frozen=True):
    """How hosts are grouped: ``fetcher.policy.hosts``, in parts that SQL can say, too."""

    group_of: Callable[[str], str]
    patterns: Mapping[str, Sequence[str]]
    """Of the configured groups, in the order in which they are to be matched."""
    registrable_domain: Callable[[str], str | None]


def ask(
    connection: sqlite3.Connection,
    grouping: Grouping,
    since: int | None,
    observer: Callable[[str], object],
) -> Iterator[Table]:
    """All of a report's tables. Call it within a transaction. ``observer`` is told the name of each
    before it is asked for.

    Raises ``UsageError`` if there is no run ``since``.
    """
    if since is not None:
        _require_run(connection, since)
    _add_square_root(connection)
    for question in _questions(connection, grouping, since):
        observer(question.name)
        yield answer(connection, question)


def _add_square_root(connection: sqlite3.Connection) -> None:
    """SQLite's own is in most builds since 3.35, and in its shell."""
    try:
        connection.execute("SELECT sqrt(4)")
    except sqlite3.OperationalError:
        connection.create_function("sqrt", 1, math.sqrt, deterministic=True)


def answer(connection: sqlite3.Connection, question: Question) -> Table:
    cursor = connection.execute(question.sql)
    columns = tuple(column[0] for column in cursor.description)
    return Table(question.name, question.sql, columns, tuple(cursor))


def last_settings(connection: sqlite3.Connection) -> dict[str, Any]:
    """The configuration that the last run worked with, of those that have one; else empty."""
    row = connection.execute(
        f"SELECT config FROM runs WHERE id = {questions.LAST_WITH_SETTINGS}"  # noqa: S608  ours
    ).fetchone()
    found = json.loads(row[0]) if row is not None else {}
    return found if isinstance(found, dict) else {}


def _questions(
    connection: sqlite3.Connection, grouping: Grouping, since: int | None
) -> Iterator[Question]:
    present = _occurring(connection)
    yield questions.summary()
    yield questions.states()
    if since is not None:
        yield questions.since_kinds(since)
        yield questions.since_states(since)
        yield questions.since_examples(since)
    yield questions.codes()
    yield questions.examples()
    yield questions.subsets(present)
    yield questions.host_groups(present, _group_cases(connection, grouping))
    yield questions.hosts(present, _largest_hosts(connection))
    yield questions.licences(present)
    yield questions.upload_years(present)
    yield questions.size_classes(present)
    yield questions.sizes()
    yield questions.mismatches()
    yield questions.suspect_redirects()
    yield questions.suspect_digests()
    yield questions.audits()
    yield questions.audit_rates()
    yield questions.audit_codes()
    yield questions.link_rot()
    span = _last_span(connection)
    if span is not None:
        yield questions.timeline(*span)
    yield questions.attempts()
    yield questions.retries()
    yield questions.lists()
    yield questions.rejected()
    yield questions.runs()
    yield questions.settings()


def _occurring(connection: sqlite3.Connection) -> tuple[State, ...]:
    """The states that there are, in the order in which tables have them."""
    found = {
        STATES[number]
        for (number,) in connection.execute("SELECT DISTINCT state FROM tallies WHERE n > 0")
    }
    return tuple(state for state in State if state in found)


def _group_cases(connection: sqlite3.Connection, grouping: Grouping) -> str:
    connection.create_function("host_group", 1, grouping.group_of, deterministic=True)
    found = connection.execute(
        "SELECT host_group(h.name) AS name FROM "
        "(SELECT host_id, count(*) AS n FROM assets GROUP BY host_id) AS a "
        "JOIN hosts AS h ON h.id = a.host_id GROUP BY name ORDER BY sum(n) DESC, name LIMIT ?",
        (SHOWN,),
    )
    rules = [
        (name, (), [pattern.replace("[!", "[^") for pattern in patterns])
        for name, patterns in grouping.patterns.items()
    ]
    domains = [name for (name,) in found if name not in grouping.patterns]
    # What is itself no registrable domain (an address, a public suffix) is a group of one host.
    return questions.group_cases(
        [
            *rules,
            *(
                (
                    name,
                    (name,),
                    (f"*.{_literal(name)}",) if grouping.registrable_domain(name) == name else (),
                )
                for name in domains
            ),
        ]
    )


def _literal(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _largest_hosts(connection: sqlite3.Connection) -> list[str]:
    return [
        name
        for (name,) in connection.execute(
            "SELECT h.name FROM (SELECT host_id, count(*) AS n FROM assets GROUP BY host_id) AS a "
            "JOIN hosts AS h ON h.id = a.host_id ORDER BY a.n DESC, h.name LIMIT ?",
            (SHOWN,),
        )
    ]


def _last_span(connection: sqlite3.Connection) -> tuple[int, int, int] | None:
    """The last run that attempted anything, with its first and last moment in milliseconds."""
    found: tuple[int, int, int] | None = connection.execute(
        "SELECT run_id, min(started_ms), max(started_ms + elapsed_ms) FROM attempts "
        "GROUP BY run_id ORDER BY run_id DESC LIMIT 1"
    ).fetchone()
    return found


def _require_run(connection: sqlite3.Connection, run_id: int) -> None:
    found = connection.execute(
        "SELECT id, strftime('%Y-%m-%d %H:%M', started_at, 'unixepoch'), command "
        "FROM runs ORDER BY id DESC"
    ).fetchall()
    if any(row[0] == run_id for row in found):
        return
    shown = [f"{number}: {day} UTC, {command}" for number, day, command in found[:_RUNS_NAMED]]
    if len(found) > _RUNS_NAMED:
        shown.append(f"and {len(found) - _RUNS_NAMED:,} before these")
    raise UsageError(
        f"There is no run {run_id} in this manifest.",
        hint="Its runs are:\n" + "\n".join(shown) if shown else "It has no runs yet.",
    )
