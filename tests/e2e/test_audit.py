"""``fetcher audit``: what it says, what it asks for, what it leaves, and what comes after it."""

from __future__ import annotations

import csv
import io
import random
import signal
import sqlite3
import tarfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from fetcher.demo.images import md5_of
from fetcher.demo.steps import (
    PLACEHOLDER,
    Answer,
    Body,
    Bytes,
    Chunked,
    Gzipped,
    Picture,
    Ranges,
    Step,
    html,
    redirect,
    status,
    throttled,
)
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, Done, fetcher, finish

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


PART: Final = "bytes=0-511"


@dataclass(frozen=True, slots=True)
class Case:
    """What the web answers, in turn, and what an audit by HEAD makes of it with which requests."""

    steps: tuple[Step, ...]
    state: str
    code: str | None
    requests: tuple[str, ...]


def cases(name: str) -> dict[str, Case]:
    there = shown(name)
    other = Answer(Picture(SIZE + 1, name))
    return {
        "there": Case((there,), "alive", None, ("HEAD",)),
        "gone": Case((status(404),), "gone", "http-404", ("HEAD",)),
        "gone-for-good": Case((status(410),), "gone", "http-410", ("HEAD",)),
        "placeholder": Case((redirect(PLACEHOLDER),), "gone", "placeholder", ("HEAD",)),
        "denied": Case((status(403),), "denied", "http-403", ("HEAD", PART)),
        "unknown-method": Case((status(405), there), "alive", None, ("HEAD", PART)),
        "not-implemented": Case((status(501), there), "alive", None, ("HEAD", PART)),
        "only-gets": Case((status(403), there), "alive", None, ("HEAD", PART)),
        "other-size": Case((other,), "mismatched", "size-mismatch", ("HEAD", PART)),
        "head-lies": Case((html("text/html"), there), "alive", None, ("HEAD", PART)),
        "page": Case((html("text/html"),), "mismatched", "not-an-image", ("HEAD", PART)),
        "no-length": Case((shown(name, framing=Chunked()),), "alive", None, ("HEAD", PART)),
        "never-a-length": Case(
            (shown(name, framing=Chunked(), ranges=Ranges.IGNORED),),
            "verified",
            None,
            ("HEAD", PART, "GET"),
        ),
        "no-ranges": Case(
            (status(405), shown(name, ranges=Ranges.IGNORED)), "alive", None, ("HEAD", PART)
        ),
        "refuses-ranges": Case(
            (status(405), shown(name, ranges=Ranges.REFUSED)),
            "verified",
            None,
            ("HEAD", PART, "GET"),
        ),
        "unlabelled": Case(
            (status(405), shown(name, ranges=Ranges.UNLABELLED)),
            "verified",
            None,
            ("HEAD", PART, "GET"),
        ),
        "coded": Case(
            (Answer(Gzipped(Picture(SIZE, name))),), "verified", None, ("HEAD", PART, "GET")
        ),
        "typeless": Case(
            (shown(name, type="application/octet-stream"),), "alive", None, ("HEAD", PART)
        ),
        "empty": Case(
            (Answer(Bytes(b"", "image/jpeg")),),
            "mismatched",
            "not-an-image",
            ("HEAD", PART, "GET"),
        ),
        "throttled": Case((throttled(1), there), "alive", None, ("HEAD", "HEAD")),
        "broken": Case((status(503), status(503), there), "alive", None, ("HEAD",) * 3),
        "opted-out": Case(
            (shown(name, headers=(("X-Robots-Tag", "noai"),)),), "denied", "opted-out", ("HEAD",)
        ),
    }


NAMES: Final = tuple(cases(""))


def test_what_a_head_audit_makes_of_answers(bench: Bench) -> None:
    """One list with all cases; no image is kept."""
    table = {name: cases(name)[name] for name in NAMES}
    for name, case in table.items():
        bench.web.serve(f"/{name}.jpg", *case.steps, host=HOST)
    done = audit(bench, bench.rows(row(name) for name in NAMES))
    assert done.code == 1
    images = bench.images()
    found = {name: (images[name].state, images[name].code) for name in NAMES}
    assert found == {name: (case.state, case.code) for name, case in table.items()}
    requests = {name: tuple(asked(bench, name)) for name in NAMES}
    assert requests == {name: case.requests for name, case in table.items()}
    assert {path.name for path in bench.directory.iterdir()} == {"manifest.sqlite"}
    assert all(image.path is None for image in images.values())


def test_a_get_audit_compares_digests_and_keeps_nothing(bench: Bench) -> None:
    bench.web.serve("/good.jpg", shown("good"), host=HOST)
    bench.web.serve("/other.jpg", shown("another"), host=HOST)
    bench.web.serve("/unlisted.jpg", shown("unlisted"), host=HOST)
    big = Picture(6_000_000, "big")
    bench.web.serve("/big.jpg", Answer(big), host=HOST)
    rows = [row("good"), row("other"), row("unlisted", size="", md5="")]
    rows.append(Row("big", f"https://{HOST}/big.jpg", "6000000", md5_of(big.data()), "train", ""))
    done = audit(bench, bench.rows(rows), options="--method get --json")
    assert done.code == 1
    assert {image.image_id: (image.state, image.path) for image in bench.images().values()} == {
        "good": ("verified", None),
        "other": ("mismatched", None),
        "unlisted": ("unverified", None),
        "big": ("verified", None),
    }
    assert done.json["rates"]["present"]["share"] == 0.75
    assert {path.name for path in bench.directory.iterdir()} == {"manifest.sqlite"}
    assert bench.status()["bytes"]["stored"] == 0


def test_a_mirror_fetches_what_an_audit_found_and_nothing_else(bench: Bench) -> None:
    names = ["a", "b", "c"]
    for name in names[:2]:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows(row(name) for name in names)
    config = bench.config(FAST)
    assert audit(bench, rows, config=config).code == 1
    assert bench.mirror(rows, config=config).code == 1
    assert {i.image_id: i.state for i in bench.images().values()} == {
        "a": "verified", "b": "verified", "c": "gone",
    }  # fmt: skip
    assert [asked(bench, name) for name in names] == [["HEAD", "GET"], ["HEAD", "GET"], ["HEAD"]]
    assert bench.mirror(rows, config=config).code == 1
    assert bench.web.count() == 5


def test_an_audit_of_a_mirror_leaves_its_files_and_states(bench: Bench) -> None:
    """What is stored stays stored; the finding stands beside it, and the report tells it."""
    bench.web.serve("/stays.jpg", shown("stays"), host=HOST)
    bench.web.serve("/dies.jpg", shown("dies"), status(404), host=HOST)
    bench.web.serve("/turns.jpg", shown("turns"), html(), host=HOST)
    bench.web.serve("/returns.jpg", status(404), shown("returns"), host=HOST)
    rows = bench.rows(row(name) for name in ("stays", "dies", "turns", "returns"))
    config = bench.config(FAST)
    assert bench.mirror(rows, config=config).code == 1
    before = bench.images()
    done = audit(bench, rows, config=config)
    assert done.code == 1
    after = bench.images()
    for name in ("stays", "dies", "turns"):
        assert after[name].state == "verified"
        assert after[name].path == before[name].path
    assert after["returns"].state == "alive"
    found = dict(select(bench, "SELECT image_id, state FROM audit_findings"))
    assert found == {
        "stays": "alive", "dies": "gone", "turns": "mismatched", "returns": "alive",
    }  # fmt: skip
    assert changes(bench, 2) == {"stays": "as before"} | {
        "dies": "died", "turns": "changed", "returns": "came back",
    }  # fmt: skip
    assert bench.mirror(rows, config=config).code == 0
    assert bench.images()["returns"].state == "verified"
    bench.web.serve("/dies.jpg", shown("dies"), host=HOST)
    audit(bench, rows, config=config)
    assert changes(bench, 4) == {"dies": "came back", "turns": "as before"} | dict.fromkeys(
        ("stays", "returns"), "as before"
    )


def test_an_audit_that_was_stopped_goes_on_and_one_that_ended_begins_anew(bench: Bench) -> None:
    names = [f"{n:03}" for n in range(40)]
    for name in names:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows(row(name) for name in names)
    config = bench.config(FAST)
    assert audit(bench, rows, config=config, options="--limit 15").code == 3
    assert bench.web.count() == 15
    assert bench.status()["states"]["pending"] == 25
    assert audit(bench, rows, config=config).code == 0
    assert bench.web.count() == 40
    assert select(bench, "SELECT count(*), count(ended_at) FROM audits") == [(1, 1)]
    assert select(bench, "SELECT audit_id FROM runs") == [(1,), (1,)]
    assert audit(bench, rows, config=config).code == 0
    assert bench.web.count() == 80
    assert select(bench, "SELECT count(*), count(ended_at) FROM audits") == [(2, 2)]
    other = audit(bench, rows, config=config, options="--method get --limit 1")
    assert other.code == 3
    assert select(bench, "SELECT count(*), count(ended_at) FROM audits") == [(3, 2)]


def test_a_sample_is_the_same_for_a_list_in_any_order_and_the_rest_stays_pending(
    bench: Bench,
) -> None:
    names = [f"{n:03}" for n in range(200)]
    for name in names:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    whole = [row(name) for name in names]
    shuffled = random.Random(5).sample(whole, len(whole))
    parts = [bench.rows(shuffled[:70], name="one.csv"), bench.rows(shuffled[70:], name="two.csv")]
    samples = []
    for place, lists in (("first", [bench.rows(whole)]), ("second", parts)):
        bench.directory = bench.place / place
        done = audit(bench, *lists, options="--sample 10% --seed 7 --json")
        assert done.code == 0
        assert (done.json["asked"], done.json["listed"]) == (20, 200)
        assert done.json["rates"]["present"]["low"] < 1.0 == done.json["rates"]["present"]["high"]
        states = Counter(image.state for image in bench.images().values())
        assert states == {"alive": 20, "pending": 180}
        samples.append({i for (i,) in select(bench, "SELECT image_id FROM audit_findings")})
    assert samples[0] == samples[1]
    bench.directory = bench.place / "third"
    audit(bench, bench.rows(whole), options="--sample 20 --seed 8")
    assert {i for (i,) in select(bench, "SELECT image_id FROM audit_findings")} != samples[0]


@pytest.mark.parametrize("sample", ["0", "-3", "0%", "101%", "1/10", "many", "nan%"])
def test_a_sample_that_is_none_is_refused(bench: Bench, sample: str) -> None:
    done = fetcher("audit", bench.rows([row("a")]), "--to", bench.directory, f"--sample={sample}")
    assert done.code == 2
    assert "--sample" in done.err
    assert not bench.directory.exists()


def test_nothing_selected_is_no_audit(bench: Bench) -> None:
    done = audit(bench, bench.rows([row("a")]), options="--subset nowhere")
    assert done.code == 2
    assert "nothing to audit" in done.err


def test_urls_that_cannot_be_asked_are_counted_and_not_asked(bench: Bench) -> None:
    bad = Row("bad", "ftp://example.org/x.jpg", "1", "", "train", "")
    bench.web.serve("/good.jpg", shown("good"), host=HOST)
    done = audit(bench, bench.rows([bad, row("good")]), options="--json")
    assert done.code == 1
    assert done.json["states"]["invalid"] == 1
    assert done.json["codes"] == {"bad-scheme": 1}
    assert bench.web.count() == 1


def test_workers_audit_as_one_process_does(bench: Bench) -> None:
    for name in NAMES:
        bench.web.serve(f"/{name}.jpg", *cases(name)[name].steps, host=HOST)
    config = bench.config(FAST, {"fetch": {"processes": 2}})
    assert audit(bench, bench.rows(row(name) for name in NAMES), config=config).code == 1
    images = bench.images()
    assert {name: (images[name].state, images[name].code) for name in NAMES} == {
        name: (cases(name)[name].state, cases(name)[name].code) for name in NAMES
    }


def test_the_report_says_what_the_command_said(bench: Bench) -> None:
    """Shares and intervals, computed in Python and in SQL, of strata of unequal size."""
    chance = random.Random(3)
    rows = []
    for n in range(300):
        name = f"{n:03}"
        host = f"farm{chance.choice([1, 1, 1, 1, 2])}.{chance.choice(['a', 'b'])}.test"
        there = chance.random() < 0.7
        bench.web.serve(f"/{name}.jpg", shown(name) if there else status(404), host=host)
        data = Picture(SIZE, name).data()
        url = f"http://{host}/{name}.jpg"
        subset = chance.choice(["train", "train", "train", "test"])
        rows.append(Row(name, url, str(SIZE), md5_of(data), subset, ""))
    done = audit(bench, bench.rows(rows), options="--sample 40 --json")
    assert done.json["strata"] == 4
    (told,) = figures(bench)["audits"]
    assert (told["method"], told["sample"], told["listed"], told["asked"]) == (
        "head",
        "40",
        300,
        40,
    )
    found = {rate["kind"]: rate for rate in figures(bench)["audit_rates"]}
    assert set(found) == {"present", "gone"}
    for kind, rate in found.items():
        said = done.json["rates"][kind]
        assert [rate["share"], rate["low_share"], rate["high_share"]] == pytest.approx(
            [100 * said["share"], 100 * said["low"], 100 * said["high"]], abs=1e-4
        )
        assert rate["settled"] == said["n"] == 40


@dataclass(frozen=True, slots=True)
class Sized(Body):
    """What begins as a JPEG and has so many bytes: enough for who compares no digest."""

    size: int

    def data(self) -> bytes:
        return b"\xff\xd8\xff\xe0" + bytes(self.size - 4)

    def tag(self) -> str:
        return str(self.size)

    def type(self) -> str:
        return "image/jpeg"


ROT: Final[dict[tuple[str, str | None], tuple[float, Callable[[int], Step]]]] = {
    ("gone", "placeholder"): (0.09, lambda _: redirect(PLACEHOLDER)),
    ("gone", "http-404"): (0.04, lambda _: status(404)),
    ("gone", "http-410"): (0.01, lambda _: status(410)),
    ("denied", "http-403"): (0.01, lambda _: status(403)),
    ("mismatched", "size-mismatch"): (0.02, lambda size: Answer(Sized(size - 1))),
    ("mismatched", "not-an-image"): (0.005, lambda _: html("text/html")),
}


def rotten(bench: Bench, sample_list: Path) -> dict[str, tuple[str, str | None]]:
    """Serve the real rows with scripted rot, throttled throughout; what each image should be."""
    rows = []
    with tarfile.open(sample_list) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                text = io.TextIOWrapper(file, "utf-8", newline="")
                rows += [
                    (r["ImageID"], urlsplit(r["OriginalURL"]), int(r["OriginalSize"]))
                    for r in csv.DictReader(text)
                ]
    chance = random.Random(17)
    chance.shuffle(rows)
    script: dict[str, tuple[str, str | None]] = {}
    for fate, (share, answer) in ROT.items():
        for _ in range(round(share * 3_000)):
            image_id, url, size = rows[len(script)]
            throttle = [throttled(1)] * (chance.random() < 0.1)
            bench.web.serve(url.path, *throttle, answer(size), host=url.hostname)
            script[image_id] = fate
    for image_id, url, size in rows[len(script) :]:
        throttle = [throttled(1, chance.choice([429, 503]))] * (chance.random() < 0.1)
        bench.web.serve(url.path, *throttle, Answer(Sized(size)), host=url.hostname)
        script[image_id] = ("alive", None)
    return script


def test_the_rot_of_real_rows_is_told_exactly(bench: Bench, sample_list: Path) -> None:
    script = rotten(bench, sample_list)
    done = audit(bench, sample_list, options="--json")
    assert done.code == 1
    images = bench.images()
    assert {i: (image.state, image.code) for i, image in images.items()} == script
    counts = Counter(script.values())
    assert sorted(counts.values()) == [15, 30, 30, 60, 120, 270, 2_475]
    told = figures(bench)
    states = Counter(state for state, _ in script.values())
    (found,) = told["audits"]
    assert {k: found[k] for k in ("present", "altered", "gone", "denied", "failed")} == {
        "present": states["alive"],
        "altered": states["mismatched"],
        "gone": states["gone"],
        "denied": states["denied"],
        "failed": 0,
    }
    codes = {(row["state"], row["code"]): row["images"] for row in told["codes"]}
    assert codes == {fate: n for fate, n in counts.items() if fate[1] is not None}
    for rate in told["audit_rates"]:  # of all of them there is nothing to estimate
        assert rate["low_share"] == rate["share"] == rate["high_share"]
    attempts = {row["outcome"]: row["attempts"] for row in told["attempts"]}
    assert attempts["rate-limited"] > 100
    # A HEAD each, one more where it was throttled, and a probe where bytes have the word.
    again = attempts["rate-limited"] + attempts.get("http-5xx", 0)
    probes = sum(n for fate, n in counts.items() if fate[0] in {"denied", "mismatched"})
    assert bench.web.count() == 3_000 + again + probes


def test_a_sample_of_real_rows_tells_of_all(bench: Bench, sample_list: Path) -> None:
    script = rotten(bench, sample_list)
    done = audit(bench, sample_list, options="--json --sample 10% --seed 1")
    assert (done.json["asked"], done.json["listed"]) == (300, 3_000)
    images = bench.images()
    asked = {i for i, image in images.items() if image.state != "pending"}
    assert len(asked) == 300
    assert {i: (images[i].state, images[i].code) for i in asked} == {i: script[i] for i in asked}
    found = done.json["rates"]["gone"]
    truth = sum(state == "gone" for state, _ in script.values()) / 3_000
    assert found["low"] <= truth <= found["high"]
    assert found["high"] - found["low"] < 0.1


def test_an_audit_has_not_settled_what_a_mirror_stored(bench: Bench) -> None:
    """When the image is opened again, its past is of the run that stored it."""
    bench.web.serve("/a.jpg", shown("a"), status(404), host=HOST)
    rows = bench.rows([row("a")])
    config = bench.config(FAST)
    assert bench.mirror(rows, config=config).code == 0
    assert audit(bench, rows, config=config).code == 1
    again = fetcher("retry", bench.directory, "--state", "verified", "--include-kept")
    assert again.code == 0, again
    assert select(bench, "SELECT in_run, until_run FROM past_states") == [(1, 3)]


def test_stopped_while_lists_are_read_it_has_asked_nothing_and_goes_on(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows([row("a"), row("b")])
    done = audit(bench, rows, options="--max-runtime 0.000001 --json")
    assert done.code == 3
    assert done.json["audit"] is None
    assert bench.web.count() == 0
    assert audit(bench, rows).code == 0
    assert bench.web.count() == 2


def test_a_signal_ends_it_in_good_order_and_the_same_command_goes_on(bench: Bench) -> None:
    names = [f"{n:03}" for n in range(60)]
    for name in names:
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    rows = bench.rows(row(name) for name in names)
    config = bench.config(FAST, {"hosts": {"default": {"rate": 20, "burst": 1}}})
    command = ("audit", rows, "--to", bench.directory, "--config", config)
    process = mirrors.start(*command)
    bench.web.arrived(5)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 3
    so_far = bench.web.count()
    assert 5 <= so_far < 60
    assert laws.breaches(bench.directory, finished=True) == []
    assert audit(bench, rows).code == 0
    assert bench.web.count() == 60
