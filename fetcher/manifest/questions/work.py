"""What was done: runs, attempts and retries, over time; and on which lists, with what settings."""

# ruff: noqa: S608  put together from constants, numbers and quoted literals

from __future__ import annotations

from typing import Final

from fetcher.manifest.questions.common import (
    Question,
    of_state,
    share,
)
from fetcher.model import State

BINS: Final = 60
"""Of a run's time, at most."""
RUNS: Final = 100
"""The last ones are told of by themselves; a mirror that is looked after daily has thousands."""
_LAST_RUNS: Final = f"(SELECT id FROM runs ORDER BY id DESC LIMIT {RUNS})"


def attempts() -> Question:
    return Question(
        "attempts",
        """SELECT coalesce(c.name, '(arrived)') AS outcome, a.n AS attempts,
    round(100.0 * a.n / sum(a.n) OVER (), 2) AS share,
    a.received AS received_bytes, round(a.elapsed / a.n) AS mean_ms
FROM (
    SELECT code, count(*) AS n, sum(received) AS received, total(elapsed_ms) AS elapsed
    FROM attempts GROUP BY code
) AS a LEFT JOIN codes AS c ON c.id = a.code ORDER BY attempts DESC, outcome""",
    )


def retries() -> Question:
    return Question(
        "retries",
        """SELECT attempts AS tries, count(*) AS images,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share,
    max(0, attempts - 1) * count(*) AS retries
FROM images GROUP BY attempts ORDER BY tries""",
    )


def link_rot() -> Question:
    """What each run found, by the last attempt at each image in it; an audit is one, in however
    many runs it was done, and its book says what it came to.
    """
    kinds = {
        "present": "c.name IS NULL",
        "altered": of_state(State.MISMATCHED),
        "gone": of_state(State.GONE),
        "denied": of_state(State.DENIED),
        "unusable": of_state(State.INVALID),
        "unclear": of_state(State.FAILED),
    }
    columns = ",\n    ".join(f"sum(iif({test}, n, 0)) AS {name}" for name, test in kinds.items())
    clear = f"sum(iif({kinds['unclear']}, 0, n))"
    return Question(
        "link_rot",
        f"""SELECT t.run_id AS run, t.audit_id AS audit,
    strftime('%Y-%m-%d', r.started_at, 'unixepoch') AS day,
    sum(n) AS images,
    {columns},
    {share(f"sum(iif({kinds['gone']}, n, 0))", clear)} AS gone_share
FROM (
    SELECT run_id, NULL AS audit_id, code, count(*) AS n
    FROM (
        SELECT run_id, code, lead(run_id) OVER (PARTITION BY asset_id ORDER BY n) AS next_run
        FROM attempts
    ) WHERE next_run IS NOT run_id
        AND run_id NOT IN (SELECT id FROM runs WHERE audit_id IS NOT NULL)
    GROUP BY run_id, code
    UNION ALL SELECT d.first_run, d.id, w.code, count(*)
    FROM audited AS w JOIN audits AS d ON d.id = w.audit_id
    WHERE w.run_id IS NOT NULL GROUP BY d.id, w.code
) AS t JOIN runs AS r ON r.id = t.run_id LEFT JOIN codes AS c ON c.id = t.code
WHERE t.run_id IN {_LAST_RUNS}
GROUP BY t.run_id, t.audit_id ORDER BY t.run_id""",
    )


def timeline(run_id: int, start_ms: int, end_ms: int) -> Question:
    width = bin_width(end_ms - start_ms)
    return Question(
        "timeline",
        f"""SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ({start_ms} + bin * {width}) / 1000, 'unixepoch')
        AS from_time,
    bin * {width} / 1000.0 AS from_seconds, {width} / 1000.0 AS seconds,
    sum(n) AS answers, sum(received) AS received_bytes,
    sum(iif(c.name = 'rate-limited', n, 0)) AS throttled,
    sum(iif({of_state(State.FAILED)} AND c.name <> 'rate-limited', n, 0)) AS troubles
FROM (
    SELECT (started_ms + elapsed_ms - {start_ms}) / {width} AS bin, code,
        count(*) AS n, sum(received) AS received
    FROM attempts WHERE run_id = {run_id} GROUP BY bin, code
) AS t LEFT JOIN codes AS c ON c.id = t.code GROUP BY bin ORDER BY bin""",
    )


def bin_width(span_ms: int) -> int:
    """Milliseconds: the first of the round widths that makes ``BINS`` or fewer."""
    return next((w for w in _WIDTHS if span_ms < w * BINS), span_ms // BINS + 1)


_S: Final = 1_000

_WIDTHS: Final = tuple(
    _S * seconds
    for seconds in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)
) + tuple(86_400 * _S * days for days in (2, 7, 14, 28))


def runs() -> Question:
    return Question(
        "runs",
        f"""SELECT r.id AS run,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.started_at, 'unixepoch') AS started,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ended_at, 'unixepoch') AS ended,
    r.exit_code, r.reason, r.version, coalesce(a.n, 0) AS attempts,
    coalesce(a.received, 0) AS received_bytes, r.command
FROM runs AS r LEFT JOIN (
    SELECT run_id, count(*) AS n, sum(received) AS received FROM attempts GROUP BY run_id
) AS a ON a.run_id = r.id WHERE r.id IN {_LAST_RUNS} ORDER BY r.id""",
    )


def lists() -> Question:
    return Question(
        "lists",
        """SELECT list_path AS list, member, complete,
    accepted + duplicate + rejected AS rows_read, accepted, duplicate, rejected
FROM sources ORDER BY list_path, member""",
    )


def rejected() -> Question:
    return Question(
        "rejected",
        """SELECT reason, count(*) AS rows, min(detail) AS example
FROM rejected_rows GROUP BY reason ORDER BY rows DESC, reason""",
    )


_SETTINGS: Final = ("fetch", "hosts", "retry", "network", "consent", "placeholders", "store")

LAST_WITH_SETTINGS: Final = "(SELECT max(id) FROM runs WHERE config <> '{}')"
"""The last run that asked for images: ``retry`` is a run as well, and has no settings."""


def settings() -> Question:
    """NULL is a key that was not given; where it means something else, that is said as the
    configuration says it.
    """
    sections = " OR ".join(f"t.fullkey GLOB '$.{section}.*'" for section in _SETTINGS)
    return Question(
        "settings",
        f"""SELECT r.id AS run, replace(substr(t.fullkey, 3), '"', '') AS key,
    CASE WHEN t.type IN ('true', 'false') THEN t.type
        WHEN t.type <> 'null' THEN CAST(t.value AS TEXT)
        WHEN t.key IN ('rate', 'bandwidth') THEN 'unlimited'
        WHEN t.key IN ('processes', 'patience') THEN 'auto' END AS value
FROM runs AS r, json_tree(r.config) AS t
WHERE r.id = {LAST_WITH_SETTINGS} AND t.type NOT IN ('object', 'array') AND ({sections})
ORDER BY t.id""",
    )
