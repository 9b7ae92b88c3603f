"""What has changed since a run: what an asset was before it, against what it is now.

Before: the last entry of ``past_states`` that an earlier run had settled. Now: the asset's row, if
the run or a later one settled it, or if it is still pending. What was not asked again has not
changed, as far as anyone knows, and is not counted.

What an audit finds of an image that is stored does not change its row: there, the audit's finding
is what is now, and the row, or an earlier audit's finding, what was.
"""

# ruff: noqa: S608  put together from constants, numbers and quoted literals

from __future__ import annotations

from typing import Final

from fetcher.manifest.questions.common import (
    EXAMPLES,
    PRESENT,
    Question,
    quoted,
    within,
)
from fetcher.manifest.states import PENDING, STATE_IDS
from fetcher.model import State

_CLASSES: Final = {
    "present": PRESENT,
    "altered": (State.MISMATCHED,),
    "gone": (State.GONE,),
    "denied": (State.DENIED,),
    "unclear": (State.FAILED, State.INVALID),
}


def _settled_in(asset: str) -> str:
    """The run that settled the row: of an image that is stored, no audit."""
    return (
        f"coalesce((SELECT t.run_id FROM attempts AS t WHERE t.asset_id = {asset}.asset_id "
        f"AND t.n <= {asset}.attempts_ever AND NOT ({asset}.path IS NOT NULL AND EXISTS ("
        "SELECT 1 FROM runs WHERE id = t.run_id AND audit_id IS NOT NULL)) "
        "ORDER BY t.n DESC LIMIT 1), "
        f"(SELECT max(id) FROM runs WHERE started_at < {asset}.updated_at + 1))"
    )


def _since(run_id: int) -> str:
    """``changes``: each asset that was settled before the run, and was asked in it or later."""

    def class_of(column: str) -> str:
        whens = " ".join(
            f"WHEN {column} IN {within(STATE_IDS[state] for state in states)} THEN {quoted(name)}"
            for name, states in _CLASSES.items()
        )
        return f"CASE {whens} ELSE 'not settled yet' END"

    return f"""WITH beside AS (
    SELECT w.asset_id, w.state, w.code, w.http_status, max(w.run_id) AS run
    FROM audited AS w CROSS JOIN assets AS a ON a.asset_id = w.asset_id
    WHERE w.run_id >= {run_id} AND w.state <> {PENDING} AND a.path IS NOT NULL
        AND w.run_id > {_settled_in("a")} GROUP BY w.asset_id
), earlier AS (
    SELECT asset_id, state, code, in_run AS run, id AS entry FROM past_states
    WHERE in_run < {run_id}
    UNION ALL SELECT asset_id, state, code, run_id, 0 FROM audited
    WHERE run_id < {run_id} AND state <> {PENDING}
    UNION ALL SELECT a.asset_id, a.state, a.code, {_settled_in("a")}, 0
    FROM beside AS s CROSS JOIN assets AS a ON a.asset_id = s.asset_id
    WHERE {_settled_in("a")} < {run_id}
), before AS (
    SELECT asset_id, state, code, max(run * 4294967296 + entry) FROM earlier GROUP BY asset_id
), changes AS (
    SELECT a.asset_id, a.image_id, a.url, coalesce(s.http_status, a.http_status) AS http_status,
        b.state AS state_then, b.code AS code_then,
        coalesce(s.state, a.state) AS state_now, coalesce(s.code, a.code) AS code_now,
        {class_of("b.state")} AS was, {class_of("coalesce(s.state, a.state)")} AS now
    FROM before AS b CROSS JOIN assets AS a ON a.asset_id = b.asset_id
    LEFT JOIN beside AS s ON s.asset_id = b.asset_id
    WHERE s.asset_id IS NOT NULL OR a.state = {PENDING} OR {_settled_in("a")} >= {run_id}
)"""


_KIND: Final = """CASE
        WHEN now = 'not settled yet' THEN 'not settled again yet'
        WHEN was = now THEN 'as before'
        WHEN was = 'present' AND now = 'gone' THEN 'died'
        WHEN now = 'present' THEN 'came back'
        WHEN was = 'present' AND now = 'altered' THEN 'changed'
        WHEN was = 'present' AND now = 'denied' THEN 'closed'
        WHEN now = 'unclear' THEN 'unclear now'
        ELSE 'lost in another way'
    END"""


def since_kinds(run_id: int) -> Question:
    return Question(
        "since_kinds",
        f"""{_since(run_id)}
SELECT {_KIND} AS change, count(*) AS images,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share
FROM changes GROUP BY change ORDER BY images DESC, change""",
    )


def since_states(run_id: int) -> Question:
    return Question(
        "since_states",
        f"""{_since(run_id)}
SELECT {_KIND} AS change,
    s.name AS state_then, (SELECT name FROM codes WHERE id = c.code_then) AS code_then,
    n.name AS state_now, (SELECT name FROM codes WHERE id = c.code_now) AS code_now,
    count(*) AS images
FROM changes AS c JOIN states AS s ON s.id = c.state_then JOIN states AS n ON n.id = c.state_now
GROUP BY c.state_then, c.code_then, c.state_now, c.code_now
ORDER BY images DESC, state_then, code_then, state_now, code_now""",
    )


def since_examples(run_id: int) -> Question:
    return Question(
        "since_examples",
        f"""{_since(run_id)}
SELECT change, image_id, url, state_then, code_then, state_now, code_now, http_status
FROM (
    SELECT {_KIND} AS change, image_id, url, s.name AS state_then,
        (SELECT name FROM codes WHERE id = c.code_then) AS code_then, n.name AS state_now,
        (SELECT name FROM codes WHERE id = c.code_now) AS code_now, http_status,
        row_number() OVER (PARTITION BY {_KIND} ORDER BY image_id) AS row
    FROM changes AS c JOIN states AS s ON s.id = c.state_then
    JOIN states AS n ON n.id = c.state_now WHERE was <> now
) WHERE row <= {EXAMPLES} ORDER BY change, image_id""",
    )
