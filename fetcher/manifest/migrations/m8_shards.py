"""Images in tar shards."""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

from typing import Final

from fetcher.manifest.states import VERIFIED

STATEMENTS: Final = (
    # Shards with images in them. ``size`` is where the last of these ends, with all that belongs to
    # it: what lies behind is of nobody. An image in a shard has the path ``#{shard}:{offset}.jpg``,
    # so that its place in the index comes and goes with its state.
    """CREATE TABLE shards (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "DROP VIEW images",
    f"""CREATE VIEW images AS
    SELECT
        a.image_id,
        s.name AS subset,
        a.url,
        a.expected_size,
        a.expected_md5,
        (SELECT name FROM states WHERE id = a.state) AS state,
        (SELECT name FROM codes WHERE id = a.code) AS code,
        a.http_status,
        CASE
            WHEN a.final_url IS NOT NULL THEN a.final_url
            WHEN a.http_status IS NOT NULL THEN a.url
        END AS final_url,
        CASE
            WHEN a.actual_size IS NULL AND a.state = {VERIFIED} THEN a.expected_size
            ELSE a.actual_size
        END AS actual_size,
        CASE
            WHEN a.actual_md5 IS NULL AND a.state = {VERIFIED} THEN a.expected_md5
            ELSE a.actual_md5
        END AS actual_md5,
        a.attempts,
        CASE substr(a.path, 1, 1)
            WHEN '.' THEN 'images/' || iif(s.name = '', '', s.name || '/')
                || substr(a.image_id, 1, 3) || '/' || a.image_id || a.path
            WHEN '!' THEN 'mismatched/' || iif(s.name = '', '', s.name || '/')
                || substr(a.image_id, 1, 3) || '/' || a.image_id || substr(a.path, 2)
            WHEN '#' THEN (SELECT name FROM shards WHERE id = CAST(substr(a.path, 2) AS INTEGER))
                || '/' || replace(replace(a.image_id, '%', '%25'), '.', '%2E')
                || substr(a.path, instr(a.path, '.'))
            ELSE a.path
        END AS path,
        strftime('%Y-%m-%dT%H:%M:%SZ', a.updated_at, 'unixepoch') AS updated_at
    FROM assets AS a CROSS JOIN subsets AS s ON s.id = a.subset_id""",
    # The index: an image is ``size`` bytes of ``shard`` from ``offset`` on.
    f"""CREATE VIEW shard_members AS
    SELECT
        a.image_id,
        (SELECT name FROM shards WHERE id = CAST(substr(a.path, 2) AS INTEGER)) AS shard,
        CAST(substr(a.path, instr(a.path, ':') + 1) AS INTEGER) AS offset,
        coalesce(a.actual_size, iif(a.state = {VERIFIED}, a.expected_size, NULL)) AS size
    FROM assets AS a
    WHERE substr(a.path, 1, 1) = '#'""",
)
