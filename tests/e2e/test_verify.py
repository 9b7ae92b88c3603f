"""`fetcher verify`: names all harm that was done, touches nothing unasked, and mends when asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fetcher.demo.images import md5_of
from fetcher.demo.steps import Answer
from fetcher.manifest.lock import RunLock
from fetcher.model import State
from scripts.proofs import damage, laws, mirrors, stored
from scripts.proofs.damage import Site
from scripts.proofs.stored import Stored
from tests.e2e.conftest import Bench, Done, fetcher

IMAGES = 420


def named(done: Done) -> dict[str, str]:
    return {found["path"]: found["kind"] for found in done.json["findings"]}


def census(directory: Path) -> Counter[str]:
    """What lies there, wherever it lies: files by digest, other things by kind."""
    found: Counter[str] = Counter()
    for path in directory.rglob("*"):
        if path.name.startswith("manifest.sqlite") or (path.is_dir() and not path.is_symlink()):
            continue
        regular = path.is_file() and not path.is_symlink()
        found[hashlib.md5(path.read_bytes()).hexdigest() if regular else "no file"] += 1  # noqa: S324
    return found


def was_moved_along(path: str, done: Done) -> bool:
    """With a link that led to it, or with a folder in place of an image."""
    moved = [found["moved_to"] or "" for found in done.json["findings"]]
    return any(f"mismatched/.damaged/1/{path}/".startswith(f"{to}/") for to in moved if to)


def contents(directory: Path) -> dict[str, Any]:
    """All but the manifest, with times."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_size, path.lstat().st_mode)
        for path in directory.rglob("*")
        if not path.name.startswith("manifest.sqlite")
    }


@pytest.fixture
def site(tmp_path: Path) -> Site:
    directory, _, images = stored.build(tmp_path, IMAGES)
    return Site(directory, images)


def test_a_mirror_that_is_well(site: Site) -> None:
    before = contents(site.directory)
    done = fetcher("verify", site.directory, "--json")
    assert (done.code, named(done)) == (0, {})
    assert done.json["files"] == IMAGES
    assert contents(site.directory) == before
    assert {path.name for path in site.directory.iterdir()} == laws.LASTING - {"shards"}


def test_every_harm_is_named_and_nothing_else_and_nothing_is_touched(site: Site) -> None:
    harm = damage.plant(site)
    before, images = contents(site.directory), laws.snapshot(site.directory)
    done = fetcher("verify", site.directory, "--json")
    assert named(done) == harm
    assert done.code == 1
    assert done.json["damaged"] == len(list(damage.kinds(harm)))
    assert {kind: n for kind, n in done.json["kinds"].items() if n} == Counter(harm.values())
    assert contents(site.directory) == before
    assert laws.snapshot(site.directory) == images


def test_people_see_each_path_with_its_kind_and_what_to_do(site: Site) -> None:
    harm = damage.plant(site)
    done = fetcher("verify", site.directory)
    lines = done.out.replace("\\n", "\n").splitlines()
    for path, kind in harm.items():
        assert any(
            line.startswith(f"{kind} ") and path.partition("\n")[0] in line for line in lines
        )
    assert "--repair" in done.out
    assert "\x1b" not in done.out


def test_a_repair_deletes_nothing_and_a_resumed_mirror_heals_what_the_web_has(bench: Bench) -> None:
    directory, listed, images = stored.build(bench.place, IMAGES)
    assert directory == bench.directory
    before = laws.snapshot(directory).images
    harm = damage.plant(Site(directory, images))
    there = census(directory)
    done = fetcher("verify", directory, "--repair", "--json")
    assert done.code == 1
    assert named(done).items() <= harm.items()
    assert all(was_moved_along(path, done) for path in harm.keys() - named(done).keys())
    assert census(directory) == there
    images_now = laws.snapshot(directory).images
    pending = {image.path for image in images if images_now[image.row.image_id].state == "pending"}
    assert pending == harm.keys() & {image.path for image in images}
    again = fetcher("verify", directory, "--json")
    assert set(named(again).values()) <= damage.NOTES
    assert again.code == 0

    done = bench.mirror(listed)
    healed = laws.snapshot(directory).images
    _check_healed(directory, images, harm, healed, before)
    assert fetcher("verify", directory, "--json").code == 0


def _check_healed(
    directory: Path, images: list[Stored], harm: damage.Found, now: Any, before: Any
) -> None:
    found_elsewhere = 0
    for image in images:
        is_now, was = now[image.row.image_id], before[image.row.image_id]
        if image.path in harm and image.lost:
            # What only lay in a wrong place was put back, and taken up without a request.
            found_elsewhere += is_now.state == "verified"
            assert is_now.state in {"gone", "verified"}
        else:
            assert (is_now.state, is_now.path, is_now.actual_md5) == (
                was.state,
                was.path,
                was.actual_md5,
            )
        if is_now.path is not None:
            assert laws.md5(directory / is_now.path) == is_now.actual_md5
    assert found_elsewhere


def test_what_lay_in_a_wrong_place_is_put_back_and_not_asked_for(bench: Bench) -> None:
    directory, listed, images = stored.build(bench.place, 60)
    site = Site(directory, images)
    plants = ("in another folder", "another extension", "one folder down")
    for name in plants:
        damage.DAMAGE[name](site)
    assert fetcher("verify", directory, "--repair").code == 1
    assert bench.status()["states"]["pending"] == len(plants)
    bench.mirror(listed)
    assert bench.status()["states"]["pending"] == 0
    assert bench.web.count() == 0
    assert {image.path for image in images} <= laws.files(directory)


@pytest.mark.parametrize("options", [(), ("--repair",)])
def test_what_lies_where_runs_write_is_named_and_left_there(
    options: tuple[str, ...], site: Site
) -> None:
    """Whatever it is: a link there is removed by the next run, and by no check."""
    partial = site.directory / ".partial"
    partial.mkdir()
    (partial / "17.spool").write_bytes(b"half an image")
    (partial / "link").symlink_to(site.at(site.next()))
    os.mkfifo(partial / "pipe")
    done = fetcher("verify", site.directory, "--json", *options)
    assert done.code == 0
    assert named(done) == dict.fromkeys(
        (".partial/17.spool", ".partial/link", ".partial/pipe"), "leftover"
    )
    assert {path.name for path in partial.iterdir()} == {"17.spool", "link", "pipe"}


@pytest.mark.parametrize("options", ["", "--repair", "--sample 1/1"])
def test_what_else_lies_in_dir_itself_is_named_and_left_there(options: str, site: Site) -> None:
    """It may be anybody's: a list, notes, what a file system has at its root."""
    for name in ("images.csv", "manifest.sqlite-old", "caf\udce9"):
        (site.directory / name).write_bytes(b"somebody's")
    (site.directory / "lost+found").mkdir()
    (site.directory / "images.bak").mkdir()
    (site.directory / "images.bak" / "a.jpg").write_bytes(b"not looked at")
    (site.directory / "link").symlink_to("images")
    (site.directory / "manifest.sqlite").rename(site.directory / "other.sqlite")
    before = contents(site.directory)
    manifest = ("--manifest", site.directory / "other.sqlite")
    done = fetcher("verify", site.directory, "--json", *manifest, *options.split())
    names = ("images.csv", "manifest.sqlite-old", "caf\\udce9", "lost+found", "images.bak", "link")
    assert named(done) == dict.fromkeys(names, "foreign")
    assert (done.code, done.json["damaged"]) == (0, 0)
    before.pop(str(site.directory / "other.sqlite"))
    after = contents(site.directory)
    after.pop(str(site.directory / "other.sqlite"))
    assert after == before


@pytest.mark.parametrize(
    ("options", "order"), [((), ["ahead", "compare"]), (("--repair",), ["compare", "ahead"])]
)
def test_folders_are_gone_through_beside_the_comparing_unless_that_moves_what_is_there(
    options: tuple[str, ...], order: list[str], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fetcher.ahead import Ahead  # noqa: PLC0415
    from fetcher.checking.check import Check  # noqa: PLC0415

    harm = damage.plant(site)
    began: list[str] = []
    for owner, name, word in ((Ahead, "start", "ahead"), (Check, "_compare", "compare")):
        real = getattr(owner, name)

        def noted(*given: Any, real: Any = real, word: str = word) -> None:
            began.append(word)
            real(*given)

        monkeypatch.setattr(owner, name, noted)
    done = fetcher("verify", site.directory, "--json", *options)
    assert began[:2] == order
    assert named(done).items() <= harm.items()


# What a list has changed.


@pytest.mark.parametrize("what", ["moved on", "gone"])
def test_what_a_changed_list_left_behind_is_no_damage(what: str, bench: Bench) -> None:
    rows = mirrors.gallery(4, size=600)
    assert bench.mirror(bench.rows(rows)).code == 0
    old = {image.path for image in bench.images().values()}
    if what == "gone":
        for row in rows:
            bench.web.serve(row.url.removeprefix(f"http://{mirrors.HOST}"), Answer(status=404))
    changed = [replace(row, size="599", md5=md5_of(b"other")) for row in rows]
    # Not by bench.mirror: laws.breaches knows whole files by what is listed now.
    assert fetcher(*bench.command(bench.rows(changed))).code == 1
    before = contents(bench.directory)

    done = fetcher("verify", bench.directory, "--json")
    assert (done.code, done.json["damaged"]) == (0, 0)
    assert named(done) == dict.fromkeys(old, "superseded")
    done = fetcher("verify", bench.directory, "--repair")
    assert (done.code, "pending" in done.err) == (0, False)
    assert contents(bench.directory) == before

    # One whose bytes are not those any more is nobody's file.
    first, second, *rest = sorted(path for path in old if path is not None)
    file = bench.directory / first
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (bench.directory / second).unlink()
    found = named(fetcher("verify", bench.directory, "--json"))
    assert found.keys() == {first, *rest}
    assert {found[path] for path in rest} == {"superseded"}
    assert found[first] == ("unclaimed" if what == "gone" else "misplaced")


def test_a_repair_says_how_many_are_pending_again(bench: Bench) -> None:
    listed = bench.rows(mirrors.gallery(3, size=600))
    bench.mirror(listed)
    one, two, _ = sorted(str(image.path) for image in bench.images().values())
    (bench.directory / "images" / "extra.txt").write_bytes(b"of no image")
    done = fetcher("verify", bench.directory, "--repair")
    assert (done.code, "No image is pending again." in done.err) == (1, True)
    (bench.directory / one).unlink()
    done = fetcher("verify", bench.directory, "--repair")
    assert "1 image is pending again" in done.err
    bench.mirror(listed)
    (bench.directory / two).unlink()
    assert bench.status()["states"]["pending"] == 0
    done = fetcher("verify", bench.directory, "--repair", "--json")
    assert done.json["pending_again"] == bench.status()["states"]["pending"] == 1


# Stopping and going on.


def stop_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """A signal comes when so many batches were taken from the manifest."""
    from fetcher.manifest.checks import CheckBook  # noqa: PLC0415

    real, taken = CheckBook.batch, [0]

    def batch(self: CheckBook, *arguments: Any) -> Any:
        taken[0] += 1
        if taken[0] == batches:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *arguments)

    monkeypatch.setattr(CheckBook, "batch", batch)


def test_a_check_that_was_stopped_goes_on_and_tells_all(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fetcher.manifest.checks.BATCH", 20)
    harm = damage.plant(site)
    read = 0
    for _ in range(40):
        with monkeypatch.context() as patch:
            stop_after(patch, 10)
            done = fetcher("verify", site.directory, "--json", "--workers", "1")
        assert done.json["files"] >= read
        assert done.json["check"] == 1
        read = done.json["files"]
        if done.code != 3:
            break
        assert not done.json["complete"]
        assert "The same command goes on" in done.err
    assert read == IMAGES
    assert named(done) == harm
    assert done.code == 1
    assert fetcher("verify", site.directory, "--json").json["check"] == 2


def test_a_check_whose_worker_is_killed_says_so_and_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fetcher.checking.workers import Workers  # noqa: PLC0415
    from fetcher.manifest.checks import CheckBook  # noqa: PLC0415

    monkeypatch.setattr("fetcher.manifest.checks.BATCH", 20)
    harm = damage.plant(site)
    started: list[Workers] = []
    enter, batch = Workers.__enter__, CheckBook.batch

    def entered(self: Workers) -> Workers:
        started.append(self)
        return enter(self)

    def killed(self: CheckBook, part: Any, after: int) -> Any:
        if after > IMAGES // 2:
            for process in started[0]._started:
                process.kill()
                process.wait()
        return batch(self, part, after)

    with monkeypatch.context() as patch:
        patch.setattr(Workers, "__enter__", entered)
        patch.setattr(CheckBook, "batch", killed)
        done = fetcher("verify", site.directory, "--json", "--workers", "1")
    assert (done.code, done.out) == (4, "")
    assert "killed by signal 9" in done.err
    assert "--workers" in done.err
    assert "Traceback" not in done.err
    done = fetcher("verify", site.directory, "--json")
    assert "Going on behind" in done.err
    assert (done.json["check"], named(done)) == (1, harm)


@pytest.mark.parametrize("set_back", [0, 3_600])
def test_a_run_in_between_begins_the_check_anew(
    set_back: int, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the clock was set back before the run."""
    monkeypatch.setattr("fetcher.manifest.checks.BATCH", 20)
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        assert fetcher("verify", site.directory).code == 3
    assert fetcher("retry", site.directory, "--state", "mismatched").code == 0
    with closing(sqlite3.connect(site.directory / "manifest.sqlite")) as connection, connection:
        connection.execute("UPDATE runs SET started_at = started_at - ? WHERE id = 2", (set_back,))
    assert fetcher("verify", site.directory, "--json").json["check"] == 2


def test_a_killed_check_leaves_no_process_and_goes_on(site: Site) -> None:
    damaged = damage.plant(site)
    with mirrors.start("verify", site.directory, "--json") as process:
        process.kill()
        process.communicate()
    done = fetcher("verify", site.directory, "--json")
    assert named(done) == damaged


# Samples.


def test_samples_cover_everything_in_turn(site: Site) -> None:
    harm = damage.plant(site)
    found: dict[str, str] = {}
    files = 0
    for n in range(1, 6):
        done = fetcher("verify", site.directory, "--json", "--sample", "1/5")
        assert done.json["sample"] == f"{n}/5"
        files += done.json["files"]
        found |= named(done)
    assert files == IMAGES
    assert found.keys() == harm.keys()
    # What two findings have to do with each other, a sample that has only one cannot say.
    differing = {found[path] for path in harm if found[path] != harm[path]}
    assert differing <= {"altered", "truncated", "overlong", "extra", "misplaced"}
    done = fetcher("verify", site.directory, "--json", "--sample", "1/5")
    assert done.json["sample"] == "1/5"


def test_the_manifest_says_when_an_image_was_last_checked(site: Site) -> None:
    fetcher("verify", site.directory, "--sample", "1/2")
    fetcher("verify", site.directory, "--sample", "1/3")
    with closing(sqlite3.connect(site.directory / "manifest.sqlite")) as connection:
        counted = dict(connection.execute("SELECT check_id, count(*) FROM last_checks GROUP BY 1"))
    # Numbers from 1 on: even ones by the first check, every third by the second.
    assert counted == {1: IMAGES // 2 - IMAGES // 6, 2: IMAGES // 3, None: IMAGES // 3}


# What cannot be.


@pytest.mark.parametrize("share", ["", "1/0", "2/3", "10%", "1/1000000", "1/-1"])
def test_a_sample_that_is_none(share: str, site: Site) -> None:
    done = fetcher("verify", site.directory, "--sample", share)
    assert done.code == 2
    assert "--sample" in done.err


def test_no_manifest(tmp_path: Path) -> None:
    done = fetcher("verify", tmp_path)
    assert done.code == 2
    assert "There is no manifest" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_on_is_named(site: Site) -> None:
    before = contents(site.directory)
    lock = RunLock.acquire(site.directory / "manifest.sqlite", command="mirror x", now=0)
    try:
        for command in ("verify", "retry"):
            done = fetcher(command, site.directory)
            assert done.code == 2
            assert f"Process {os.getpid()}" in done.err
    finally:
        lock.release()
    assert contents(site.directory) == before


def test_a_manifest_of_a_newer_schema(site: Site) -> None:
    with closing(sqlite3.connect(site.directory / "manifest.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 999")
    for command in ("verify", "retry"):
        done = fetcher(command, site.directory)
        assert done.code == 2
        assert "newer fetcher" in done.err


@pytest.mark.parametrize("command", ["verify", "verify --repair", "retry", "triage"])
@pytest.mark.parametrize("emptied", [True, False])
def test_an_empty_manifest_is_refused_and_not_filled(
    command: str, *, emptied: bool, site: Site
) -> None:
    """All images would be strangers to it, and a repair would move them aside."""
    manifest = site.directory / "manifest.sqlite"
    if emptied:
        manifest.write_bytes(b"")
    else:
        with closing(sqlite3.connect(manifest)) as connection:
            connection.execute("PRAGMA user_version = 0")
    before, was = contents(site.directory), manifest.read_bytes()
    name, *options = command.split()
    done = fetcher(name, site.directory, *options)
    assert done.code == 2, done
    assert ("is empty" if emptied else "not a manifest") in done.err
    assert "Traceback" not in done.err
    assert (contents(site.directory), manifest.read_bytes()) == (before, was)


def test_images_on_a_disk_that_is_not_there_are_not_given_up(site: Site) -> None:
    images = site.directory / "images"
    images.rename(site.directory.parent / "unmounted")
    done = fetcher("verify", site.directory, "--repair")
    assert done.code == 2
    assert "mounted" in done.err
    assert laws.snapshot(site.directory).tallied.get("pending", 0) == 0
    assert fetcher("verify", site.directory).code == 1
    images.symlink_to(site.directory.parent / "unmounted")
    assert "links are not followed" in fetcher("verify", site.directory, "--repair").err


def test_bytes_that_cannot_be_moved_stop_the_repair_and_stay_recorded(site: Site) -> None:
    path = site.rewrite(lambda data: data[1:])
    (site.directory / "mismatched" / ".damaged").write_bytes(b"in the way")
    before = laws.snapshot(site.directory)
    done = fetcher("verify", site.directory, "--repair")
    assert done.code == 4
    assert ".damaged" in done.err or path in done.err
    assert laws.snapshot(site.directory) == before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_workers_end_with_the_one_who_started_them(site: Site) -> None:
    done = fetcher("verify", site.directory, "--workers", "4")
    assert done.code == 0
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert not any(b"checking.worker" in command for command in commands)


def test_states_are_as_built(site: Site) -> None:
    states = Counter(image.state for image in site.stored)
    assert states.keys() == {State.VERIFIED, State.UNVERIFIED, State.MISMATCHED}


@pytest.mark.skipif(
    os.getuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything"
)
def test_what_permissions_hide_is_named_and_a_repair_does_what_can_be_done(site: Site) -> None:
    harm = damage.plant(site, damage.PERMISSIONS)

    def verify(*options: str) -> Done:
        with mirrors.start("verify", site.directory, "--json", *options, powerless=True) as process:
            out, err = process.communicate()
        return Done(process.returncode, out, err)

    assert named(verify()) == harm
    assert named(verify("--repair")) == harm
    left = verify()
    assert left.code == 1
    # The file was put aside; the folder stays, and its images are what they were.
    assert named(left).items() < harm.items()
    for path in named(left):
        if site.at(path).is_dir():
            site.at(path).chmod(0o755)
    assert verify().code == 0
