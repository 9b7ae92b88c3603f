"""How it stands, and why: all images by state and by code."""

# ruff: noqa: S608  put together from constants, numbers and quoted literals

from __future__ import annotations

from fetcher.manifest.questions.common import (
    EXAMPLES,
    PRESENT,
    Question,
    quoted,
    share,
    states_within,
)
from fetcher.model import State


def summary() -> Question:
    """One row: the numbers of the sentence that a paper would cite."""
    counts = {
        "present": PRESENT,
        "matching": (State.VERIFIED,),
        "unchecked": (State.UNVERIFIED,),
        "alive": (State.ALIVE,),
        "altered": (State.MISMATCHED,),
        "gone": (State.GONE,),
        "denied": (State.DENIED,),
        "failed": (State.FAILED,),
        "invalid": (State.INVALID,),
    }
    sums = ",\n    ".join(
        f"coalesce(sum(iif(state IN {states_within(states)}, n, 0)), 0) AS {name}"
        for name, states in counts.items()
    )
    settled = f"sum(iif(state <> {quoted(State.PENDING)}, n, 0))"
    shares = ",\n    ".join(
        f"{share(f'sum(iif(state IN {states_within(counts[name])}, n, 0))', settled)} "
        f"AS {name}_share"
        for name in ("present", "altered", "gone", "denied", "failed", "invalid")
    )
    return Question(
        "summary",
        f"""SELECT
    coalesce(sum(n), 0) AS listed,
    coalesce({settled}, 0) AS settled,
    {share(settled, "sum(n)")} AS settled_share,
    {sums},
    {shares},
    (SELECT strftime('%Y-%m-%d', min(started_ms) / 1000, 'unixepoch') FROM attempts) AS first_day,
    (SELECT strftime('%Y-%m-%d', max(started_ms) / 1000, 'unixepoch') FROM attempts) AS last_day
FROM (SELECT state, count(*) AS n FROM images GROUP BY state)""",
    )


def states() -> Question:
    return Question(
        "states",
        """SELECT state, count(*) AS images,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share,
    coalesce(sum(expected_size), 0) AS listed_bytes,
    coalesce(sum(iif(path GLOB 'images/*' OR path GLOB 'shards/*', actual_size, 0)), 0)
        AS stored_bytes
FROM images GROUP BY state ORDER BY images DESC, state""",
    )


def codes() -> Question:
    return Question(
        "codes",
        """SELECT code, state, count(*) AS images,
    round(100.0 * count(*) / (SELECT max(1, count(*)) FROM images), 2) AS share
FROM images WHERE code IS NOT NULL
GROUP BY code, state ORDER BY images DESC, code, state""",
    )


def examples() -> Question:
    return Question(
        "examples",
        f"""SELECT i.code, i.state, i.image_id, i.url, i.http_status,
    nullif(i.final_url, i.url) AS led_to, i.updated_at
FROM (
    SELECT image_id, row_number() OVER (PARTITION BY code ORDER BY image_id) AS n
    FROM images WHERE code IS NOT NULL
) AS e JOIN images AS i ON i.image_id = e.image_id
WHERE e.n <= {EXAMPLES} ORDER BY i.code, i.image_id""",
    )
