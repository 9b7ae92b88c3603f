"""The questions that a report asks of a manifest, as SQL that anyone can ask again.

Each statement stands by itself: it has no parameters and calls no function of ours, so that it can
be pasted behind ``sqlite3 -readonly manifest.sqlite`` and gives the very rows that were shown. What
can be asked of the view ``images`` is asked of it; runs, attempts and the lists' other columns are
in the tables. Text from outside (host names, patterns) enters as a quoted literal only.

Every total, share and rate is computed in SQL, and each statement orders its rows wholly, so there
is no arithmetic left that a reader would have to take on trust. All of them work in bounded memory:
what SQLite cannot sort there it sorts in a temporary file.
"""

from __future__ import annotations

from fetcher.manifest.questions.arrivals import (
    SIZE_STEPS,
    SUSPICIOUS,
    mismatches,
    sizes,
    suspect_digests,
    suspect_redirects,
)
from fetcher.manifest.questions.audits import audit_codes, audit_rates, audits
from fetcher.manifest.questions.changes import (
    since_examples,
    since_kinds,
    since_states,
)
from fetcher.manifest.questions.common import (
    EXAMPLES,
    NONE,
    OTHERS,
    PRESENT,
    SHOWN,
    Question,
)
from fetcher.manifest.questions.places import (
    SIZE_CLASSES,
    group_cases,
    host_groups,
    hosts,
    licences,
    size_classes,
    subsets,
    upload_years,
)
from fetcher.manifest.questions.standing import (
    codes,
    examples,
    states,
    summary,
)
from fetcher.manifest.questions.work import (
    BINS,
    LAST_WITH_SETTINGS,
    RUNS,
    attempts,
    bin_width,
    link_rot,
    lists,
    rejected,
    retries,
    runs,
    settings,
    timeline,
)

__all__ = [
    "BINS",
    "EXAMPLES",
    "LAST_WITH_SETTINGS",
    "NONE",
    "OTHERS",
    "PRESENT",
    "RUNS",
    "SHOWN",
    "SIZE_CLASSES",
    "SIZE_STEPS",
    "SUSPICIOUS",
    "Question",
    "attempts",
    "audit_codes",
    "audit_rates",
    "audits",
    "bin_width",
    "codes",
    "examples",
    "group_cases",
    "host_groups",
    "hosts",
    "licences",
    "link_rot",
    "lists",
    "mismatches",
    "rejected",
    "retries",
    "runs",
    "settings",
    "since_examples",
    "since_kinds",
    "since_states",
    "size_classes",
    "sizes",
    "states",
    "subsets",
    "summary",
    "suspect_digests",
    "suspect_redirects",
    "timeline",
    "upload_years",
]
