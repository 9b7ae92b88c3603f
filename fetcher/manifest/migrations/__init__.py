"""How the schema came to be: the statements that lead from each version to the next.

One file a version, never edited once it is released; what one of them made, a later one may replace
(a view is written out again in whole). Where to look for a table: in the last file that names it.
"""

from __future__ import annotations

from typing import Final

from fetcher.manifest.migrations import (
    m1_assets,
    m2_robots,
    m3_checks,
    m4_past_states,
    m5_host_memories,
    m6_audits,
    m7_triage,
    m8_shards,
    m9_checks_and_runs,
    m10_past_files,
    m11_passages,
    m12_found_index,
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = tuple(
    step.STATEMENTS
    for step in (
        m1_assets,
        m2_robots,
        m3_checks,
        m4_past_states,
        m5_host_memories,
        m6_audits,
        m7_triage,
        m8_shards,
        m9_checks_and_runs,
        m10_past_files,
        m11_passages,
        m12_found_index,
    )
)
"""By version: those at ``index`` lead from that version to the next."""
