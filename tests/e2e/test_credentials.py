"""Credentials in URLs go to the host that they are for, and nowhere else: not into a word that is
shown or written down, nor to where a redirect leads. (The listed URL itself is the list's word.)
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from fetcher.demo.steps import Answer, Close, Picture, Raw, redirect, status
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench

HOST = "c1.staticflickr.com"
SHOWN = Picture(3_000, "shown")
SECRETS = ("s3cret", "hunter2")


def written(directory: Path) -> str:
    """All that a manifest says, but for what it repeats of the lists."""
    texts: list[str] = []
    with closing(sqlite3.connect(directory / "manifest.sqlite")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f"SELECT * FROM {table}")  # noqa: S608  its own names
            columns = [column[0] for column in rows.description]
            for row in rows:
                texts += [
                    f"{table}.{column}: {value}"
                    for column, value in zip(columns, row, strict=True)
                    if (table, column) not in {("assets", "url"), ("rejected_rows", "text")}
                ]
        texts += map(repr, connection.execute("SELECT final_url FROM images"))
    return "\n".join(texts)


def test_where_credentials_go(bench: Bench) -> None:
    web = bench.web
    web.serve("/whole", Answer(SHOWN))
    web.serve("/gone", status(404))
    web.serve("/broken", Raw(b"HTTP/1.1 200 OK\r\nX", Close()))
    web.serve("/moved", redirect("/there"))
    web.serve("/away", redirect("http://c2.staticflickr.com/there"))
    web.serve("/there", Answer(SHOWN))
    web.serve("/loop", redirect("/loop"))
    web.serve("/ftp", redirect("ftp://srv:hunter2@h.example/x"))
    web.serve("/with", redirect("http://srv:hunter2@c2.staticflickr.com/none"))
    web.serve("/none", status(404))
    paths = ("whole", "gone", "broken", "moved", "away", "loop", "ftp", "with")
    listed = [f"http://me:s3cret@{HOST}/{path}" for path in paths]
    listed += [
        "http://me:s3cret@10.0.0.1/a.jpg",
        "http://me:s3cret@[::1/a.jpg",
        "http://me:s3cret@127.1/a.jpg",
        "ftp://me:s3cret@h.example/a.jpg",
        "http://me:s3cret@photos.invalid/a.jpg",
    ]
    rows = [Row.of(f"{n:016x}", url, SHOWN.data()) for n, url in enumerate(listed)]
    done = bench.mirror(bench.rows(rows), options="--json")
    assert done.json["states"]["verified"] == 3
    told = done.out + done.err + written(bench.directory)
    assert not [secret for secret in SECRETS if secret in told]
    assert not any("authorization" in request.headers for request in web.requests_to("/there"))
    # Of six requests that go round, the first is the listed one.
    went = [("authorization" in request.headers) for request in web.requests_to("/loop")]
    assert went == [True, *[False] * 5] * (len(went) // 6)


def test_a_password_on_the_command_line_is_not_written_down(bench: Bench) -> None:
    rows = [Row("0" * 16, "http:///no.jpg")]
    options = "--set network.proxy=http://me:s3cret@127.0.0.1:9"
    assert bench.mirror(bench.rows(rows), options=options).code == 1
    said = written(bench.directory)
    assert "s3cret" not in said
    assert "network.proxy=http://***@127.0.0.1:9" in said
