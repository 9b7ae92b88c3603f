"""What audits found: each of them, and what its sample says of the whole list.

The shares and intervals are those of ``fetcher.policy.sampling``, which has the formulas and their
sources, written down once more in SQL. ``sqrt`` is SQLite's own.
"""

# ruff: noqa: S608  put together from constants, numbers and quoted literals

from __future__ import annotations

from typing import Final

from fetcher.manifest.questions.common import PRESENT, Question, quoted, states_within
from fetcher.model import State
from fetcher.policy.sampling import FEW, Z

_KINDS: Final = {
    "present": PRESENT,
    "altered": (State.MISMATCHED,),
    "gone": (State.GONE,),
    "denied": (State.DENIED,),
    "failed": (State.FAILED,),
    "invalid": (State.INVALID,),
}


def _kind(state: str) -> str:
    whens = " ".join(
        f"WHEN {state} IN {states_within(states)} THEN {quoted(kind)}"
        for kind, states in _KINDS.items()
    )
    return f"CASE {whens} END"


def audits() -> Question:
    columns = ",\n    ".join(
        f"sum(iif(state IN {states_within(states)}, n, 0)) AS {kind}"
        for kind, states in _KINDS.items()
    )
    return Question(
        "audits",
        f"""SELECT d.id AS audit, d.first_run AS run,
    strftime('%Y-%m-%d', d.begun_at, 'unixepoch') AS day,
    strftime('%Y-%m-%dT%H:%M:%SZ', d.ended_at, 'unixepoch') AS ended,
    json_extract(d.parameters, '$.method') AS method,
    CAST(json_extract(d.parameters, '$.sample') AS TEXT) AS sample,
    json_extract(d.parameters, '$.seed') AS seed,
    (SELECT sum(listed) FROM strata WHERE audit_id = d.id) AS listed, sum(n) AS asked,
    {columns}
FROM (
    SELECT w.audit_id, s.name AS state, w.n FROM (
        SELECT audit_id, state, count(*) AS n FROM audited GROUP BY audit_id, state
    ) AS w JOIN states AS s ON s.id = w.state
) AS f JOIN audits AS d ON d.id = f.audit_id GROUP BY d.id ORDER BY d.id""",
    )


def audit_rates() -> Question:
    """Of what is settled, by kind."""
    return _rates("audit_rates", "kind", _kind("s.name"))


def audit_codes() -> Question:
    """The same by code; what is present has none."""
    return _rates("audit_codes", "code", "(SELECT name FROM codes WHERE id = w.code)")


def _rates(name: str, key: str, value: str) -> Question:
    z, z2 = repr(Z), repr(Z * Z)
    half = f"{z} * sqrt(max(0.0, p * (1 - p)) / e + {z2} / (4 * e * e))"
    low = f"max(0.0, (p + {z2} / (2 * e) - {half}) / (1 + {z2} / e))"
    high = f"min(1.0, (p + {z2} / (2 * e) + {half}) / (1 + {z2} / e))"
    return Question(
        name,
        f"""WITH told AS (
    SELECT w.audit_id, w.stratum, {value} AS {key}, count(*) AS n
    FROM audited AS w JOIN states AS s ON s.id = w.state
    WHERE s.name <> {quoted(State.PENDING)} GROUP BY 1, 2, 3
), parts AS (
    SELECT t.audit_id, t.stratum, sum(t.n) AS n, max(p.listed) AS listed
    FROM told AS t JOIN strata AS p USING (audit_id, stratum) GROUP BY 1, 2
), wholes AS (
    SELECT audit_id, sum(n) AS n, sum(listed) AS listed FROM parts GROUP BY audit_id
), sizes AS (
    SELECT p.audit_id, 1 / sum(1.0 * p.listed / w.listed * p.listed / w.listed / p.n) AS e
    FROM parts AS p JOIN wholes AS w USING (audit_id) GROUP BY 1
), shares AS (
    SELECT t.audit_id, t.{key}, sum(t.n) AS images, max(w.n) AS settled,
        min(1.0, sum(1.0 * p.listed / w.listed * t.n / p.n)) AS p,
        max(w.n) = (SELECT sum(listed) FROM strata WHERE audit_id = t.audit_id) AS census
    FROM told AS t JOIN parts AS p USING (audit_id, stratum) JOIN wholes AS w USING (audit_id)
    WHERE t.{key} IS NOT NULL GROUP BY 1, 2
), few (images, poisson) AS (
    VALUES {", ".join(f"({images}, {poisson!r})" for images, poisson in FEW.items())}
), ends AS (
    SELECT *,
        {low} AS low,
        coalesce((SELECT p * poisson / f.images FROM few AS f WHERE f.images = s.images), 1) AS few,
        {high} AS high,
        coalesce((SELECT 1 - (1 - p) * poisson / f.images FROM few AS f
            WHERE f.images = settled - s.images), 0) AS many
    FROM shares AS s JOIN sizes USING (audit_id)
)
SELECT audit_id AS audit, {key}, images, settled, round(100 * p, 4) AS share,
    round(100 * iif(census, p, min(low, few)), 4) AS low_share,
    round(100 * iif(census, p, max(high, many)), 4) AS high_share, round(e, 1) AS effective_size
FROM ends ORDER BY audit, images DESC, {key}""",
    )
