"""Audits of the little web: how they are run, and what was asked, found and told."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from fetcher.demo.images import md5_of
from fetcher.demo.steps import (
    Answer,
    Picture,
)
from scripts.proofs import laws
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, Done, fetcher

FAST: Final = {
    "hosts": {"default": {"rate": "unlimited", "concurrency": 64, "adapt": False}},
    "retry": {"first_delay": 0.001, "max_delay": 0.01, "max_retry_after": 0.01},
}
HOST: Final = "farm1.staticflickr.com"
SIZE: Final = 3_000


def audit(bench: Bench, *lists: Path, options: str = "", config: Path | None = None) -> Done:
    chosen = config if config is not None else bench.config(FAST)
    done = fetcher("audit", *lists, "--to", bench.directory, "--config", chosen, *options.split())
    assert laws.breaches(bench.directory, finished=True) == [], done
    assert done.code != 4, done
    return done


def row(image_id: str, *, size: str = str(SIZE), md5: str | None = None) -> Row:
    data = Picture(SIZE, image_id).data()
    url = f"https://{HOST}/{image_id}.jpg"
    return Row(image_id, url, size, md5_of(data) if md5 is None else md5, "train", "")


def shown(image_id: str, **more: Any) -> Answer:
    return Answer(Picture(SIZE, image_id), **more)


def asked(bench: Bench, image_id: str) -> list[str]:
    """The methods by which an image was asked for; probes by their range."""
    return [
        request.headers.get("range", request.method)
        for request in bench.web.requests_to(f"/{image_id}.jpg")
    ]


def select(bench: Bench, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(bench.directory / "manifest.sqlite")) as connection:
        return connection.execute(sql).fetchall()


def figures(bench: Bench, options: str = "") -> dict[str, list[dict[str, Any]]]:
    """A report's figures; each row by its columns."""
    done = fetcher("report", bench.directory, "--as", "json", *options.split())
    assert done.code == 0, done
    return {
        figure["name"]: [dict(zip(figure["columns"], row, strict=True)) for row in figure["rows"]]
        for figure in done.json["figures"]
    }


def changes(bench: Bench, since: int) -> dict[str, str]:
    """What a report says has become of each image, by the SQL that it prints."""
    done = fetcher("report", bench.directory, "--as", "json", "--since", str(since))
    (figure,) = (f for f in done.json["figures"] if f["name"] == "since_kinds")
    told = {kind: n for kind, n, _ in figure["rows"]}
    head, tail = figure["sql"].split("SELECT CASE", 1)
    case = tail.split("AS change", 1)[0]
    sql = f"{head} SELECT image_id, CASE {case} FROM changes"  # noqa: S608  the report's own
    found = dict(select(bench, sql))
    assert Counter(found.values()) == told
    return found
