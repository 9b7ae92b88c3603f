"""What has changed since a run: what an asset was before it, against what it is now.

Before: the last entry of ``past_states`` that an earlier run had settled. Now: the asset's row, if
the run or a later one settled it, or if it is still pending. What was not asked again has not
changed, as far as anyone knows, and is not counted.
"""

# ruff: noqa: S608 - put together from constants, numbers and quoted literals

from __future__ import annotations

from typing import Final

from fetcher.manifest.questions.common import (
    EXAMPLES,
    PRESENT,
    Question,
    quoted,
    within,
)
from fetcher.manifest.schema import PENDING, STATE_IDS
from fetcher.model import State

_CLASSES: Final = {
    "present": PRESENT,
    "altered": (State.MISMATCHED,),
    "gone": (State.GONE,),
    "denied": (State.DENIED,),
    "unclear": (State.FAILED, State.INVALID),
}


def _settled_in(asset: str) -> str:
    return (
        f"coalesce((SELECT run_id FROM attempts WHERE asset_id = {asset}.asset_id "
        f"AND n = {asset}.attempts_ever), "
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

    return f"""WITH before AS (
    SELECT asset_id, state, code, max(id) FROM past_states
    WHERE in_run < {run_id} GROUP BY asset_id
), changes AS (
    SELECT a.asset_id, a.image_id, a.url, a.http_status, b.state AS state_then, b.code AS code_then,
        a.state AS state_now, a.code AS code_now,
        {class_of("b.state")} AS was, {class_of("a.state")} AS now
    FROM before AS b CROSS JOIN assets AS a ON a.asset_id = b.asset_id
    WHERE a.state = {PENDING} OR {_settled_in("a")} >= {run_id}
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
