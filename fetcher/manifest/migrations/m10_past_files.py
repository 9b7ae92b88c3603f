"""Which bytes lay where before an asset was opened again, as far as its row told."""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

from typing import Final

from fetcher.manifest.states import PENDING, VERIFIED

STATEMENTS: Final = (
    # The file stays where it is when a list changes what is expected of it, and the row then tells
    # of another one: without this, nobody could say later that those bytes are whole. ``path`` is
    # short, as in ``assets``.
    "ALTER TABLE past_states ADD COLUMN path TEXT",
    "ALTER TABLE past_states ADD COLUMN size INTEGER",
    "ALTER TABLE past_states ADD COLUMN md5 TEXT",
    "CREATE INDEX past_files ON past_states (asset_id) WHERE path IS NOT NULL",
    # As it was, and with the file.
    "DROP TRIGGER keep_past_state",
    f"""CREATE TRIGGER keep_past_state AFTER UPDATE OF state ON assets
    WHEN OLD.state <> {PENDING}
        AND (NEW.state <> OLD.state OR NEW.attempts_ever <> OLD.attempts_ever)
    BEGIN
        INSERT INTO past_states
            (asset_id, in_run, until_run, state, code, http_status, settled_at, path, size, md5)
        VALUES (
            OLD.asset_id,
            coalesce(
                (SELECT t.run_id FROM attempts AS t
                    WHERE t.asset_id = OLD.asset_id AND t.n <= OLD.attempts_ever AND NOT (
                        OLD.path IS NOT NULL AND EXISTS (
                            SELECT 1 FROM runs WHERE id = t.run_id AND audit_id IS NOT NULL
                        )
                    ) ORDER BY t.n DESC LIMIT 1),
                (SELECT max(id) FROM runs WHERE started_at < OLD.updated_at + 1)
            ),
            (SELECT max(id) FROM runs),
            OLD.state, OLD.code, OLD.http_status, OLD.updated_at, OLD.path,
            iif(OLD.path IS NULL, NULL,
                coalesce(OLD.actual_size, iif(OLD.state = {VERIFIED}, OLD.expected_size, NULL))),
            iif(OLD.path IS NULL, NULL,
                coalesce(OLD.actual_md5, iif(OLD.state = {VERIFIED}, OLD.expected_md5, NULL)))
        );
    END""",
)
