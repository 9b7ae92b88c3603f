"""Manifests as weeks of work leave them, made in seconds: for reports, exports and their tests.

Nothing is fetched. Rows are synthetic, with invented names and the quirks that real lists have;
their fates follow from their numbers, so that a test can say what a report must find.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import md5
from pathlib import Path
from typing import Final

from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo
from fetcher.model import (
    BadRow,
    Expectation,
    LeaseRequest,
    Outcome,
    Row,
    SourceInfo,
    State,
)

COLUMNS: Final = ("OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title")
NOON: Final = 1_764_000_000.0
DAY: Final = 86_400.0
PLACEHOLDER: Final = "https://static.example/missing/blank.png"
BLANK: Final = "kMDRPO9pGx0XLUFyQTMVgQ=="
_BATCH: Final = 5_000
_PER_SECOND: Final = 25
_TITLES: Final = (
    "Harbour at dawn",
    "L&#x27;été &quot;au port&quot;",
    "=HYPERLINK(&quot;https://evil.example&quot;,&quot;x&quot;)",
    "<script>alert(1)</script>",
    "港の夜明け, part 2",
    "&lt;b&gt;not bold&lt;/b&gt; &amp;amp;",
    "-2+3 \\ backslash",
    "\u202etxt.exe ميناء 🚢",
)
_LICENCES: Final = (
    "https://creativecommons.org/licenses/by/2.0/",
    "https://creativecommons.org/licenses/by/2.0/",
    "https://creativecommons.org/licenses/by/2.0/",
    "https://creativecommons.org/publicdomain/zero/1.0/",
)


def digest(n: int) -> str:
    return b64encode(md5(str(n).encode(), usedforsecurity=False).digest()).decode()


def row(n: int) -> Row:
    photo = (n * 7_919_003 + 12_345) % 23_000_000_000
    size = 20_000 + (n * n * 131) % 4_000_000 if n % 50 else None
    host = f"farm{n % 8 + 1}.staticflickr.com" if n % 40 else f"img{n % 3}.photos.example"
    return Row(
        n + 2,
        f"{n:016x}",
        ("train", "train", "train", "validation", "test")[n % 5],
        f"https://{host}/{n % 9000}/{photo}_{n:010x}_o.jpg",
        Expectation(size, digest(n) if size else None),
        (
            f"https://www.flickr.com/photos/somebody{n % 997}/{photo}",
            _LICENCES[n % 4],
            f"https://www.flickr.com/people/somebody{n % 997}/",
            f"Somebody No. {n % 997}" if n % 13 else "Some &amp; Body, O&#x27;Neil",
            _TITLES[n % len(_TITLES)],
        ),
    )


def fate(n: int, *, later: bool = False) -> _Fate:
    """What becomes of row ``n``; ``later``: when it is asked again, after some time."""
    state, code, status = next(
        (result for below, result in (_LATER if later else _FATES) if n * 37 % 1000 < below),
        (State.VERIFIED, None, 200),
    )
    if state is State.VERIFIED and row(n).expected.md5 is None:
        state = State.UNVERIFIED
    return state, code, status


_Fate = tuple[State, str | None, int | None]
_FATES: Final[tuple[tuple[int, _Fate], ...]] = (
    (90, (State.GONE, "placeholder", 302)),
    (130, (State.GONE, "http-404", 404)),
    (140, (State.GONE, "http-410", 410)),
    (150, (State.DENIED, "http-403", 403)),
    (165, (State.MISMATCHED, "size-mismatch", 200)),
    (170, (State.MISMATCHED, "md5-mismatch", 200)),
    (175, (State.MISMATCHED, "not-an-image", 200)),
    (180, (State.FAILED, "rate-limited", 429)),
    (183, (State.FAILED, "stalled", None)),
)
_LATER: Final[tuple[tuple[int, _Fate], ...]] = (
    (80, (State.GONE, "placeholder", 302)),
    (140, (State.GONE, "http-404", 404)),
    (145, (State.DENIED, "http-403", 403)),
    (170, (State.MISMATCHED, "size-mismatch", 200)),
    (176, (State.GONE, "http-410", 410)),
    (240, (State.GONE, "http-404", 404)),
)


def make(path: Path, count: int, *, settled: float = 1.0, again: int = 0) -> bytearray:
    """A manifest of ``count`` rows; ``settled`` of them are, and every ``again``-th is asked once
    more in a later run, with all that are left.

    Returns for each row whether the first run settled it (1), the later one (2), or both (3).
    """
    by = bytearray(count)
    clock = [NOON]
    database = Database.open(
        path, command="mirror", group_of=lambda host: host, wall=lambda: clock[0]
    )
    try:
        _run(database, "mirror images.csv --to mirror")
        _import(database, count)
        _settle(database, clock, by, int(count * settled), later=False)
        clock[0] += 60
        database.end_run(1, "complete")
        if again:
            clock[0] += 180 * DAY
            _run(database, "audit images.csv --to mirror")
            connection = database._connection  # noqa: SLF001  as a command that reopens would
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "UPDATE assets SET state = 0, code = 0, attempts = 0 "
                "WHERE state <> 0 AND asset_id % ? = 0",
                (again,),
            )
            connection.execute("COMMIT")
            database.close()
            database = Database.open(
                path, command="audit", group_of=lambda host: host, wall=lambda: clock[0]
            )
            _run(database, "audit images.csv --to mirror")
            _settle(database, clock, by, count, later=True)
            clock[0] += 60
            database.end_run(1, "complete")
    finally:
        database.close()
    return by


def _run(database: Database, command: str) -> None:
    config = {
        "fetch": {"user_agent": "fetcher/0", "concurrency": 4},
        "hosts": {"default": {"rate": 25}, "groups": {"photos": {"match": ["*.photos.example"]}}},
        "retry": {"attempts": 3},
        "placeholders": {"redirects": ["https://*.example/known/*"], "digests": []},
    }
    database.begin_run(RunInfo(command, "0.0", json.dumps(config)))


def _import(database: Database, count: int) -> None:
    info = SourceInfo("/lists/images.csv", None, COLUMNS)
    cursor = database.begin_source(info, "1")
    for start in range(0, count, _BATCH):
        rows: list[Row | BadRow] = [row(n) for n in range(start, min(start + _BATCH, count))]
        database.import_rows(cursor.source_id, rows, start + len(rows) + 1)
    bad = [BadRow(count + 2, "bad-md5", "'zz' is neither base64 nor 32 hex digits", "a,b,zz")]
    database.import_rows(cursor.source_id, bad, count + 2)
    database.finish_source(cursor.source_id)
    database.finish_list("/lists/images.csv", "1")
    database.finish_import()


def _settle(
    database: Database, clock: list[float], by: bytearray, at_most: int, *, later: bool
) -> None:
    done = 0
    while done < at_most:
        part = database.lease_part(LeaseRequest(min(_BATCH, at_most - done), default_room=_BATCH))
        if not part.leased:
            if part.done:
                return
            continue
        for outcomes in _outcomes([leased.asset.asset_id for leased in part.leased], clock, later):
            database.settle(outcomes)
        for leased in part.leased:
            by[leased.asset.asset_id - 1] |= 2 if later else 1
        done += len(part.leased)


def _outcomes(
    asset_ids: Sequence[int],
    clock: list[float],
    later: bool,  # noqa: FBT001  private
) -> Iterator[list[Outcome]]:
    batch: list[Outcome] = []
    for asset_id in asset_ids:
        n = asset_id - 1
        clock[0] += 1 / _PER_SECOND
        batch += _history(n, asset_id, clock[0], later=later)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _history(n: int, asset_id: int, now: float, *, later: bool) -> list[Outcome]:
    state, code, status = fate(n, later=later)
    listed = row(n)
    tries = 3 if state is State.FAILED else 2 if n % 17 == 0 else 1
    passing = ("rate-limited", 429) if n // 300 % 3 == 1 else ("http-5xx", 503)
    history = [
        Outcome(
            asset_id,
            State.PENDING,
            attempt,
            now + attempt,
            0.2,
            *(passing if state is not State.FAILED else (code, status)),
        )
        for attempt in range(1, tries)
    ]
    size = listed.expected.size or 300_000
    arrived = state in {State.VERIFIED, State.UNVERIFIED, State.MISMATCHED}
    if code == "size-mismatch":
        size = 2_051 if n % 3 else size + 77
    path = None
    if arrived:
        folder = "mismatched" if state is State.MISMATCHED else "images"
        path = f"{folder}/{listed.subset}/{listed.image_id[:3]}/{listed.image_id}.jpg"
    md5_now = digest(n) if code is None else BLANK if size == 2_051 else digest(-n)  # noqa: PLR2004
    return [
        *history,
        Outcome(
            asset_id,
            state,
            tries,
            now + tries,
            0.1 + n % 7 / 10,
            code,
            status,
            PLACEHOLDER if code in {"http-403", "not-an-image"} else None,
            size if arrived else None,
            md5_now if arrived else None,
            path,
            size if arrived else 0,
        ),
    ]
