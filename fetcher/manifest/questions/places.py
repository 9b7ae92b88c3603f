"""Where it stands how: states by subset, host, licence, year of upload and size."""

# ruff: noqa: S608  put together from constants, numbers and quoted literals

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fetcher.manifest.listed import APART, JOINED, LAYOUT
from fetcher.manifest.questions.common import (
    LOST,
    NONE,
    OTHERS,
    SHOWN,
    Question,
    indented,
    quoted,
    share,
    states_within,
    within,
)
from fetcher.model import State
from fetcher.policy import uploads
from fetcher.policy.licences import COLUMNS as LICENCE_COLUMNS

SIZE_CLASSES: Final = (30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)


def _by(name: str, key: str, counted: str, present: Sequence[State], order: str) -> Question:
    """A table of states by ``key``. ``counted`` selects the columns key, state and n.

    ``present`` are the states that occur: a column of nothing but zeros would only take room.
    """
    columns = "".join(
        f",\n    sum(iif(state = {quoted(state)}, n, 0)) AS {state}" for state in present
    )
    lost = f"sum(iif(state IN {states_within(LOST)}, n, 0))"
    settled = f"sum(iif(state <> {quoted(State.PENDING)}, n, 0))"
    return Question(
        name,
        f"""SELECT {key}, sum(n) AS images,
    {share(lost, settled)} AS lost_share{columns}
FROM (
{indented(counted)}
) GROUP BY {key} ORDER BY {order}""",
    )


def subsets(present: Sequence[State]) -> Question:
    counted = (
        f"SELECT iif(b.name = '', {quoted(NONE)}, b.name) AS subset, s.name AS state, a.n\n"
        "FROM (SELECT subset_id, state, count(*) AS n FROM assets GROUP BY subset_id, state) AS a\n"
        "JOIN subsets AS b ON b.id = a.subset_id JOIN states AS s ON s.id = a.state"
    )
    return _by("subsets", "subset", counted, present, "images DESC, subset")


def host_groups(present: Sequence[State], cases: str) -> Question:
    """``cases``: an expression over ``h.name`` that gives the group (``group_cases``)."""
    counted = (
        f"SELECT {cases} AS host_group, s.name AS state, a.n\n"
        "FROM (SELECT host_id, state, count(*) AS n FROM assets GROUP BY host_id, state) AS a\n"
        "JOIN hosts AS h ON h.id = a.host_id JOIN states AS s ON s.id = a.state"
    )
    order = f"host_group = {quoted(OTHERS)}, images DESC, host_group"
    return _by("host_groups", "host_group", counted, present, order)


def hosts(present: Sequence[State], names: Sequence[str]) -> Question:
    """``names``: the hosts that are shown, the others are one row."""
    shown = within(quoted(name) for name in names) if names else "(NULL)"
    name = f"iif(h.name = '', {quoted(NONE)}, h.name)"
    counted = (
        f"SELECT iif(h.name IN {shown}, {name}, {quoted(OTHERS)}) AS host, s.name AS state, a.n\n"
        "FROM (SELECT host_id, state, count(*) AS n FROM assets GROUP BY host_id, state) AS a\n"
        "JOIN hosts AS h ON h.id = a.host_id JOIN states AS s ON s.id = a.state"
    )
    return _by("hosts", "host", counted, present, f"host = {quoted(OTHERS)}, images DESC, host")


def group_cases(groups: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> str:
    """A ``CASE`` that names a host's group: of each its name, hosts, and patterns of hosts."""
    whens = []
    for name, exact, patterns in groups:
        tests = [f"h.name = {quoted(host)}" for host in exact]
        tests += [f"h.name GLOB {quoted(pattern)}" for pattern in patterns]
        whens.append(f"WHEN {' OR '.join(tests)} THEN {quoted(name or NONE)}")
    return f"CASE {' '.join(whens)} ELSE {quoted(OTHERS)} END" if whens else quoted(OTHERS)


def licences(present: Sequence[State]) -> Question:
    names = within(quoted(name) for name in LICENCE_COLUMNS)
    counted = f"""WITH place AS MATERIALIZED (
    SELECT l.id AS layout_id,
        (SELECT key FROM json_each(l.name) WHERE lower(value) IN {names} LIMIT 1) AS at
    FROM layouts AS l
), told AS (
    SELECT a.state, CASE
            WHEN p.at IS NULL THEN NULL
            WHEN d.asset_id IS NULL THEN iif(g.apart = p.at, {APART}, NULL)
            ELSE json_extract(d.extra, '$[' || p.at || ']')
        END AS member
    FROM assets AS a {JOINED} JOIN place AS p ON p.layout_id = {LAYOUT}
), counted AS (
    SELECT iif(typeof(member) = 'integer', (SELECT name FROM texts WHERE id = member), member)
        AS licence, state, count(*) AS n
    FROM told GROUP BY member, state
), totals AS (
    SELECT licence, state, n, sum(n) OVER (PARTITION BY licence) AS total FROM counted
), ranked AS (
    SELECT licence, state, n, dense_rank() OVER (ORDER BY total DESC, licence) AS rank FROM totals
)
SELECT CASE WHEN rank > {SHOWN} THEN {quoted(OTHERS)}
        WHEN coalesce(licence, '') = '' THEN {quoted(NONE)} ELSE licence END AS licence,
    s.name AS state, sum(n) AS n
FROM ranked AS r JOIN states AS s ON s.id = r.state GROUP BY 1, 2"""
    order = f"licence = {quoted(OTHERS)}, images DESC, licence"
    return _by("licences", "licence", counted, present, order)


def upload_years(present: Sequence[State]) -> Question:
    years = "\n".join(
        f"        WHEN photo < {below} THEN {quoted(year)}" for below, year in uploads.boundaries()
    )
    # The number begins the URL's last part: behind the host come two or three. LIMIT keeps SQLite
    # from writing what is taken apart once into each place where it is used.
    counted = f"""SELECT CASE
        WHEN photo IS NULL THEN {quoted(uploads.UNKNOWN)}
{years}
        ELSE {quoted(uploads.LATER)} END AS upload_year,
    s.name AS state, n
FROM (
    SELECT nullif(CAST(part AS INTEGER), 0) / {uploads.STEP} * {uploads.STEP} AS photo,
        state, count(*) AS n
    FROM (
        SELECT substr(part, instr(part, '/') + 1) AS part, state FROM (
            SELECT substr(part, instr(part, '/') + 1) AS part, state FROM (
                SELECT iif(url GLOB 'http*://*.staticflickr.com/*',
                    substr(url, instr(url, '.staticflickr.com/') + 18), NULL) AS part, state
                FROM assets LIMIT -1
            ) LIMIT -1
        ) LIMIT -1
    ) GROUP BY 1, 2
) AS a JOIN states AS s ON s.id = a.state"""
    return _by("upload_years", "upload_year", counted, present, "upload_year")


def size_classes(present: Sequence[State]) -> Question:
    whens = "\n".join(
        f"    WHEN expected_size < {below} THEN {n}" for n, below in enumerate(SIZE_CLASSES)
    )
    bounds = [0, *SIZE_CLASSES]
    starts = " ".join(f"WHEN {n} THEN {start}" for n, start in enumerate(bounds))
    ends = " ".join(f"WHEN {n} THEN {end}" for n, end in enumerate(SIZE_CLASSES))
    counted = f"""SELECT CASE class {starts} END AS from_bytes,
    CASE class {ends} END AS below_bytes, s.name AS state, n
FROM (
    SELECT CASE
        WHEN expected_size IS NULL THEN NULL
    {indented(whens).lstrip()}
        ELSE {len(SIZE_CLASSES)} END AS class, state, count(*) AS n
    FROM assets GROUP BY class, state
) AS a JOIN states AS s ON s.id = a.state"""
    return _by(
        "size_classes",
        "from_bytes, below_bytes",
        counted,
        present,
        "from_bytes IS NULL, from_bytes",
    )
