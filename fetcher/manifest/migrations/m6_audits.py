"""Audits.

An audit asks for its assets, all or a sample, in one run or in several. What it found stands
beside what is known of the assets: a stored image stays what it is, however its URL has fared.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

from typing import Final

from fetcher.manifest.states import FOUND, PENDING

STATEMENTS: Final = (
    # ``parameters`` is JSON: an audit with the same ones goes on where the last has not ended.
    """CREATE TABLE audits (
        id INTEGER PRIMARY KEY,
        parameters TEXT NOT NULL,
        first_run INTEGER NOT NULL REFERENCES runs (id),
        begun_at REAL NOT NULL,
        ended_at REAL
    ) STRICT""",
    # What a sample is drawn from. ``listed`` assets, of which ``asked`` are in the sample. One
    # stratum of all (no subset, no group) where there are more strata than may be asked.
    """CREATE TABLE strata (
        audit_id INTEGER NOT NULL REFERENCES audits (id),
        stratum INTEGER NOT NULL,
        subset_id INTEGER REFERENCES subsets (id),
        host_group TEXT,
        listed INTEGER NOT NULL,
        asked INTEGER NOT NULL,
        PRIMARY KEY (audit_id, stratum)
    ) STRICT, WITHOUT ROWID""",
    # ``actual_md5`` is NULL where it is as listed; ``run_id`` is of the last attempt.
    """CREATE TABLE audited (
        audit_id INTEGER NOT NULL REFERENCES audits (id),
        asset_id INTEGER NOT NULL REFERENCES assets (asset_id),
        stratum INTEGER NOT NULL,
        host_id INTEGER NOT NULL REFERENCES hosts (id),
        state INTEGER NOT NULL REFERENCES states (id),
        code INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        run_id INTEGER REFERENCES runs (id),
        updated_at INTEGER,
        http_status INTEGER,
        actual_size INTEGER,
        actual_md5 TEXT,
        final_url TEXT,
        PRIMARY KEY (audit_id, asset_id)
    ) STRICT, WITHOUT ROWID""",
    f"CREATE INDEX to_be_audited ON audited (audit_id, host_id, asset_id) WHERE state = {PENDING}",
    """CREATE VIEW audit_findings AS
    SELECT
        f.audit_id,
        f.run_id,
        a.image_id,
        s.name AS subset,
        a.url,
        (SELECT name FROM states WHERE id = f.state) AS state,
        (SELECT name FROM codes WHERE id = f.code) AS code,
        f.http_status,
        f.final_url,
        a.expected_size,
        f.actual_size,
        f.attempts,
        strftime('%Y-%m-%dT%H:%M:%SZ', f.updated_at, 'unixepoch') AS updated_at
    FROM audited AS f CROSS JOIN assets AS a ON a.asset_id = f.asset_id
    CROSS JOIN subsets AS s ON s.id = a.subset_id""",
    "ALTER TABLE runs ADD COLUMN audit_id INTEGER REFERENCES audits (id)",
    # What an audit found there and did not keep: a mirror fetches it.
    f"""CREATE INDEX found_not_stored ON assets (asset_id)
        WHERE path IS NULL AND state IN ({", ".join(map(str, FOUND))})""",
    # As it was, but an audit has not settled the row of an image that is stored.
    "DROP TRIGGER keep_past_state",
    f"""CREATE TRIGGER keep_past_state AFTER UPDATE OF state ON assets
    WHEN OLD.state <> {PENDING}
        AND (NEW.state <> OLD.state OR NEW.attempts_ever <> OLD.attempts_ever)
    BEGIN
        INSERT INTO past_states
            (asset_id, in_run, until_run, state, code, http_status, settled_at)
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
            OLD.state, OLD.code, OLD.http_status, OLD.updated_at
        );
    END""",
)
