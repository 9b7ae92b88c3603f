"""Reports and exports of a real mirror: they read, and change nothing, whatever they are asked."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import status
from fetcher.manifest import schema
from scripts.proofs import mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, fetcher, refused
from tests.manifest.test_reader import contents

ROWS: Final = mirrors.gallery(8, size=600)


def everything(directory: Path) -> dict[str, str]:
    """Names, bytes and times of all that lies in it."""
    folders = [directory, *(path for path in sorted(directory.rglob("*")) if path.is_dir())]
    return {str(folder): whole(folder) for folder in folders}


def whole(folder: Path) -> str:
    if any(path.is_dir() for path in folder.iterdir()):
        return "\n".join(
            f"{path.name} {path.stat().st_mtime_ns} "
            f"{path.read_bytes().hex() if path.is_file() else ''}"
            for path in sorted(folder.iterdir())
        )
    return contents(folder)


@pytest.fixture
def mirrored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    gone = Row("dead", "http://farm1.staticflickr.com/dead.jpg", "5", "", title="=1+1")
    later = Row("late", "http://farm1.staticflickr.com/late.jpg", "5", "", title="<b>&amp;</b>")
    bench.web.serve("/dead.jpg", status(404))
    bench.web.serve("/late.jpg", status(503))
    bench.mirror(bench.rows([*ROWS, gone, later]))
    place = bench.place / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    return bench


COMMANDS: Final = (
    ("report", "report.html"),
    ("report --since 1 -o since.html", "since.html"),
    ("report --as csv", None),
    ("report --as json -o r.json", "r.json"),
    ("report --as parquet", "report.parquet"),
    ("report --attribution credits.csv", "credits.csv"),
    ("report --attribution credits.html", "credits.html"),
    ("export --as csv", None),
    ("export --as tsv --to e.tsv", "e.tsv"),
    ("export --as aria2 --state gone", None),
    ("export --as img2dataset --to e.parquet", "e.parquet"),
    ("export --as md5sums", None),
)


def test_they_change_nothing_in_dir(mirrored: Bench) -> None:
    before = everything(mirrored.directory)
    for command, file in COMMANDS:
        name, *options = command.split()
        done = fetcher(name, mirrored.directory, *options)
        assert done.code == 0, done
        assert file is None or Path(file).stat().st_size > 0
        assert everything(mirrored.directory) == before, command


def test_credits_on_standard_output_are_counted_beside_it(mirrored: Bench) -> None:
    done = fetcher("report", mirrored.directory, "--attribution", "-")
    assert (done.code, done.err) == (0, "The credits of 8 images\n")
    assert len(list(csv.DictReader(io.StringIO(done.out)))) == 8


def test_an_archive_is_checked_with_a_copy_of_its_manifest(mirrored: Bench) -> None:
    """So it may be on a disk that nobody can write to: no byte of it changes."""
    copy = Path("check.sqlite")
    copy.write_bytes((mirrored.directory / "manifest.sqlite").read_bytes())
    before = everything(mirrored.directory)
    done = fetcher("verify", mirrored.directory, "--manifest", copy)
    assert (done.code, "8 files" in done.out, "0 damaged" in done.out) == (0, True, True), done
    assert everything(mirrored.directory) == before


def test_what_they_say_is_what_status_says(mirrored: Bench) -> None:
    done = fetcher("report", mirrored.directory, "--as", "json")
    figures = {figure["name"]: figure for figure in json.loads(done.out)["figures"]}
    states = {row[0]: row[1] for row in figures["states"]["rows"]}
    assert states == {"verified": 8, "gone": 1, "failed": 1}
    assert {s: n for s, n in mirrored.status()["states"].items() if n} == states
    rot = figures["link_rot"]
    assert rot["rows"][0][rot["columns"].index("images")] == 10
    assert figures["runs"]["rows"][0][-1].startswith("mirror ")


def test_what_remains_can_be_mirrored_from_the_export(mirrored: Bench) -> None:
    done = fetcher("export", mirrored.directory, "--as", "csv", "--to", "rest.csv")
    assert (done.code, done.out, done.err) == (0, "", "1 image\n")
    with Path("rest.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["ImageID"], row["Subset"], row["Title"]) == ("late", "train", "<b>&amp;</b>")
    asked = mirrored.web.count()
    # The same row again is nothing new: the DIR and the list agree.
    mirrored.mirror(Path("rest.csv"))
    assert mirrored.status()["total"] == 10
    assert mirrored.web.count() == asked


@pytest.mark.parametrize("target", [".", "nowhere/report.html"])
@pytest.mark.parametrize("command", [("report", "-o"), ("export", "--as", "csv", "--to")])
def test_where_no_file_can_be_is_said_before_the_manifest_is_read(
    mirrored: Bench, command: tuple[str, ...], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("fetcher.manifest.reader.ManifestReader.__init__", read)
    name, *options = command
    done = fetcher(name, mirrored.directory, *options, target)
    assert done.code == 2
    assert "folder" in done.err


def test_a_missing_format_is_told_with_all_there_are(mirrored: Bench) -> None:
    done = fetcher("export", mirrored.directory)
    refused(done, "Missing option '--as'", "\n    csv,\n", "\n    md5sums\n")
    assert "\\t" not in done.err


def test_states_are_chosen(mirrored: Bench) -> None:
    for options, ids in (
        (("--state", "gone"), ["dead"]),
        (("--state", "gone", "--state", "failed"), ["dead", "late"]),
        (("--state", "denied"), []),
    ):
        done = fetcher("export", mirrored.directory, "--as", "csv", *options)
        assert [row["ImageID"] for row in csv.DictReader(io.StringIO(done.out))] == ids


@pytest.fixture
def odd(mirrored: Bench) -> Iterator[Path]:
    """A manifest of a newer schema."""
    path = mirrored.place / "newer.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 99")
    yield path
    assert path.with_name("newer.sqlite-wal").exists() is False


@pytest.mark.parametrize("command", ["report", "export --as csv", "report --attribution c.csv"])
def test_manifests_that_cannot_be_read(command: str, odd: Path, mirrored: Bench) -> None:
    name, *options = command.split()
    here = sorted(Path.cwd().iterdir())
    refused(fetcher(name, mirrored.place / "nowhere", *options), "There is no manifest")
    refused(
        fetcher(name, mirrored.directory, *options, "--manifest", odd), "newer fetcher", "Upgrade"
    )
    assert sorted(Path.cwd().iterdir()) == here


@pytest.mark.parametrize(
    "command", ["export --as csv --to", "report --as csv -o", "report --attribution"]
)
@pytest.mark.parametrize("by", ["its name", "a link", "another name"])
def test_no_list_is_written_over(by: str, command: str, mirrored: Bench) -> None:
    listed = mirrored.place / "images.csv"
    data = listed.read_bytes()
    target = listed
    if by == "a link":
        target = Path("link.csv")
        target.symlink_to(listed)
    elif by == "another name":
        target = Path("hard.csv")
        target.hardlink_to(listed)
    name, *options = command.split()
    done = fetcher(name, mirrored.directory, *options, target)
    refused(done, f"{target} is an image list of this mirror")
    assert (listed.read_bytes(), target.read_bytes()) == (data, data)
    listed.rename("moved.csv")  # so nothing is lost
    if by == "its name":
        assert fetcher(name, mirrored.directory, *options, target).code == 0


@pytest.mark.parametrize(
    ("given", "name", "form"),
    [
        ((), "a.csv", "csv"),
        ((), "a.JSON", "json"),
        ((), "a.parquet", "parquet"),
        ((), "a.htm", "html"),
        ((), "a", "html"),
        (("--as", "csv"), "a.txt", "csv"),
        (("--as", "csv"), "a.html", None),
        (("--as", "html"), "a.csv", None),
        (("--as", "json"), "a.parquet", None),
    ],
)
def test_a_report_is_what_its_name_says(
    given: tuple[str, ...], name: str, form: str | None, mirrored: Bench
) -> None:
    done = fetcher("report", mirrored.directory, *given, "-o", name)
    if form is None:
        refused(done, f"{name} has the name of another form than --as {given[1]}")
        assert not Path(name).exists()
        return
    assert done.code == 0
    begins = {"csv": b"figure,", "json": b"{", "parquet": b"PAR1", "html": b"<!"}
    assert Path(name).read_bytes().lower().startswith(begins[form].lower())


def test_commands_that_make_no_sense(mirrored: Bench) -> None:
    before = everything(mirrored.directory)
    here = sorted(Path.cwd().iterdir())
    directory = mirrored.directory
    refused(fetcher("report", directory, "--since", "9"), "no run 9", "1: ", "mirror ")
    refused(fetcher("report", directory, "-o", directory / "r.html"), "lies inside")
    refused(fetcher("report", directory, "--attribution", directory / "c.html"), "lies inside")
    refused(fetcher("report", directory, "--attribution", "c.txt"), "neither CSV nor HTML")
    refused(fetcher("report", directory, "--attribution", "c.csv", "--as", "csv"), "stands alone")
    refused(fetcher("export", directory, "--as", "csv", "--to", directory / "e"), "lies inside")
    refused(fetcher("export", directory, "--as", "xlsx"), "xlsx")
    refused(fetcher("export", directory, "--as", "csv", "--state", "lost"), "lost")
    assert everything(directory) == before
    assert sorted(Path.cwd().iterdir()) == here
