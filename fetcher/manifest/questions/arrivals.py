"""What arrived: sizes, mismatches, and what many images suspiciously share."""

# ruff: noqa: S608  put together from constants, numbers and quoted literals

from __future__ import annotations

from typing import Final

from fetcher.manifest.questions.common import (
    SHOWN,
    Question,
    quoted,
)
from fetcher.model import State

SUSPICIOUS: Final = 5
"""Images that must share a redirect's target or a digest to be reported."""

SIZE_STEPS: Final = tuple(
    step * 10**power for power in range(3, 9) for step in (1, 2, 5) if step * 10**power <= 10**8
)


def sizes() -> Question:
    def bin_of(column: str) -> str:
        whens = "\n".join(f"    WHEN {column} < {step} THEN {step}" for step in SIZE_STEPS)
        return f"CASE\n{whens}\n    ELSE 0 END"

    starts = " ".join(
        f"WHEN {end} THEN {start}"
        for start, end in zip((0, *SIZE_STEPS), (*SIZE_STEPS, 0), strict=True)
    )
    return Question(
        "sizes",
        f"""WITH counted AS MATERIALIZED (
    SELECT iif(expected_size IS NULL, NULL, {bin_of("expected_size")}) AS listed,
    iif(actual_size IS NULL, NULL, {bin_of("actual_size")}) AS received, count(*) AS n
    FROM images GROUP BY 1, 2
)
SELECT CASE below {starts} END AS from_bytes, nullif(below, 0) AS below_bytes,
    sum(listed) AS listed, sum(received) AS received
FROM (
    SELECT listed AS below, n AS listed, 0 AS received FROM counted WHERE listed IS NOT NULL
    UNION ALL SELECT received, 0, n FROM counted WHERE received IS NOT NULL
) GROUP BY below ORDER BY from_bytes""",
    )


def mismatches() -> Question:
    """By kind where the bytes were looked at as they are now, else by code."""
    state = quoted(State.MISMATCHED)
    return Question(
        "mismatches",
        f"""SELECT coalesce(t.kind, i.code) AS kind, count(*) AS images,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share,
    sum(iif(i.actual_size < i.expected_size, 1, 0)) AS smaller,
    sum(iif(i.actual_size = i.expected_size, 1, 0)) AS as_large,
    sum(iif(i.actual_size > i.expected_size, 1, 0)) AS larger
FROM images AS i LEFT JOIN assets AS a ON a.image_id = i.image_id
LEFT JOIN triage AS t ON t.asset_id = a.asset_id AND t.md5 IS a.actual_md5
WHERE i.state = {state} GROUP BY 1 ORDER BY images DESC, kind""",
    )


def suspect_redirects() -> Question:
    return Question(
        "suspect_redirects",
        f"""SELECT final_url AS led_to, count(*) AS images
FROM images WHERE final_url IS NOT NULL AND final_url <> url AND code IS NOT 'placeholder'
GROUP BY final_url HAVING count(*) >= {SUSPICIOUS}
ORDER BY images DESC, led_to LIMIT {SHOWN}""",
    )


def suspect_digests() -> Question:
    return Question(
        "suspect_digests",
        f"""SELECT actual_md5 AS md5, count(*) AS images, max(actual_size) AS size_bytes
FROM images WHERE actual_md5 IS NOT NULL AND actual_md5 IS NOT expected_md5
    AND code IS NOT 'placeholder'
GROUP BY actual_md5 HAVING count(*) >= {SUSPICIOUS}
ORDER BY images DESC, md5 LIMIT {SHOWN}""",
    )
