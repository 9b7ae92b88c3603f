"""The manifest's book of runs: who worked on it, with what configuration, and how it ended."""

from __future__ import annotations

import os
import sqlite3

from msgspec import Struct


class RunInfo(Struct, frozen=True):
    """``config`` is JSON text: what this run's outcomes were made with."""

    command: str
    version: str
    config: str = "{}"


def begin(connection: sqlite3.Connection, info: RunInfo, now: float) -> int:
    cursor = connection.execute(
        "INSERT INTO runs (started_at, command, version, pid, config) VALUES (?, ?, ?, ?, ?)",
        (now, info.command, info.version, os.getpid(), info.config),
    )
    assert cursor.lastrowid is not None  # noqa: S101  an INSERT has one
    return cursor.lastrowid


def end(
    connection: sqlite3.Connection, run_id: int, exit_code: int, reason: str | None, now: float
) -> None:
    connection.execute(
        "UPDATE runs SET ended_at = ?, exit_code = ?, reason = ? WHERE id = ?",
        (now, exit_code, reason, run_id),
    )


def last_ended_cleanly(connection: sqlite3.Connection, before: int | None) -> bool:
    """Whether the last run (before the run ``before``) came to its end; true if there is none."""
    row = connection.execute(
        "SELECT ended_at FROM runs WHERE id < coalesce(?, id + 1) ORDER BY id DESC LIMIT 1",
        (before,),
    ).fetchone()
    return row is None or row[0] is not None


def without_end(connection: sqlite3.Connection, before: int) -> int:
    """How many of the last runs before that one did not come to their end, one after another."""
    count: int = connection.execute(
        "SELECT count(*) FROM runs WHERE id < ?1 AND id > "
        "(SELECT coalesce(max(id), 0) FROM runs WHERE id < ?1 AND ended_at IS NOT NULL)",
        (before,),
    ).fetchone()[0]
    return count
