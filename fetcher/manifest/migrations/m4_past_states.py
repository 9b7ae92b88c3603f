"""What assets were before they were opened again."""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

from typing import Final

from fetcher.manifest.states import PENDING

STATEMENTS: Final = (
    # What an asset was before it was opened again, by whatever command: the only thing that its
    # row and its attempts cannot tell. First settlements, which are nearly all, write nothing.
    # ``in_run`` is the run that had settled it, ``until_run`` the last one begun when it was left.
    """CREATE TABLE past_states (
        id INTEGER PRIMARY KEY,
        asset_id INTEGER NOT NULL REFERENCES assets (asset_id),
        in_run INTEGER,
        until_run INTEGER,
        state INTEGER NOT NULL REFERENCES states (id),
        code INTEGER NOT NULL,
        http_status INTEGER,
        settled_at INTEGER NOT NULL
    ) STRICT""",
    f"""CREATE TRIGGER keep_past_state AFTER UPDATE OF state ON assets
    WHEN OLD.state <> {PENDING}
        AND (NEW.state <> OLD.state OR NEW.attempts_ever <> OLD.attempts_ever)
    BEGIN
        INSERT INTO past_states
            (asset_id, in_run, until_run, state, code, http_status, settled_at)
        VALUES (
            OLD.asset_id,
            coalesce(
                (SELECT run_id FROM attempts
                    WHERE asset_id = OLD.asset_id AND n = OLD.attempts_ever),
                (SELECT max(id) FROM runs WHERE started_at < OLD.updated_at + 1)
            ),
            (SELECT max(id) FROM runs),
            OLD.state, OLD.code, OLD.http_status, OLD.updated_at
        );
    END""",
)
