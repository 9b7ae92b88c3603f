"""``fetcher audit --sample``: which images it has, and what is told of all of them."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fetcher.demo.images import md5_of
from fetcher.demo.steps import Picture, status
from scripts.proofs.mirrors import Row
from tests.e2e.audits import HOST, SIZE, audit, figures, row, select, shown
from tests.e2e.conftest import Bench, fetcher


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


def test_other_lists_than_the_manifest_has_are_no_audit_of_these(bench: Bench) -> None:
    """Their images would be asked for, too. A list that was moved, or has grown, is the same."""
    for name in ("a", "b", "c"):
        bench.web.serve(f"/{name}.jpg", shown(name), host=HOST)
    one, two = bench.rows([row("a")], name="one.csv"), bench.rows([row("b")], name="two.csv")
    assert audit(bench, one).code == 0
    before = (bench.directory / "manifest.sqlite").read_bytes()
    done = audit(bench, two)
    assert done.code == 2
    assert "one.csv" in done.err
    assert "DIR of its own" in done.err
    assert (bench.directory / "manifest.sqlite").read_bytes() == before
    assert bench.web.count() == 1
    moved = one.rename(one.with_name("moved.csv"))
    assert audit(bench, moved).code == 0
    assert audit(bench, moved, two).code == 0
    assert bench.web.count() == 4
    bench.rows([row("a"), row("c")], name="moved.csv")
    assert audit(bench, moved, two).code == 0
    assert bench.web.count() == 7


def test_nothing_selected_is_no_audit(bench: Bench) -> None:
    done = audit(bench, bench.rows([row("a")]), options="--subset nowhere")
    assert done.code == 2
    assert "No row of the lists was selected" in done.err


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
    (by_code,) = figures(bench)["audit_codes"]
    assert by_code == {"code": "http-404"} | {k: v for k, v in found["gone"].items() if k != "kind"}
    assert done.json["code_rates"] == {"http-404": done.json["rates"]["gone"]}


@pytest.mark.parametrize("lost", [0, 1, 2, 3, 4, 17, 18, 19, 20])
def test_few_images_are_told_alike_in_python_and_in_sql(bench: Bench, lost: int) -> None:
    for n in range(20):
        there = n >= lost
        bench.web.serve(f"/{n:03}.jpg", shown(f"{n:03}") if there else status(404), host=HOST)
    rows = [row(f"{n:03}") for n in range(20)]
    rows += [Row(f"no{n}", f"https://{HOST}/no{n}.jpg", "1", "", "test", "") for n in range(40)]
    ids = bench.place / "ids"
    ids.write_text("".join(f"{n:03}\n" for n in range(20)) + "no0\nno1\n")
    done = audit(bench, bench.rows(rows), options=f"--ids {ids} --sample 21 --json")
    told = {rate["kind"]: rate for rate in figures(bench)["audit_rates"]}
    for kind, rate in told.items():
        said = done.json["rates"][kind]
        assert [rate["share"], rate["low_share"], rate["high_share"]] == pytest.approx(
            [100 * said["share"], 100 * said["low"], 100 * said["high"]], abs=1e-4
        )
