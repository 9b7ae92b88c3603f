"""The local directory: its contract, and laws 2 and 3 call by call."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fetcher.errors import Exit, StoreError, UsageError
from fetcher.model import Body
from fetcher.ports import Staged
from fetcher.store import LocalStore, Mode
from fetcher.store.durability import FEW
from tests.conformance.store_suite import KEY, Bench, FileStoreSuite, StoreSuite, data
from tests.fakes.system import Killed, Recorder

CONTENTS = {f"images/train/{n:03x}/{n:03x}{'0' * 13}.jpg": b"%d" % n * 50 for n in range(5)}
NINE = {f"images/{n % 4:03x}/{n}.jpg": b"%d" % n * 50 for n in range(FEW + 1)}
MANY = {f"images/train/{n:03x}/{n:03x}.jpg": b"%d" % n * 9 for n in range(3 * FEW)}


def opened(root: Path, recorder: Recorder, mode: Mode = "batch", **more: Any) -> LocalStore:
    store = LocalStore(root, durability=mode, system=recorder.system(**more))
    store.prepare()
    return store


def mirror(store: LocalStore, contents: dict[str, bytes]) -> None:
    """One batch, every other image by way of a spool file."""
    staged = []
    for number, (key, content) in enumerate(contents.items()):
        body = Body(len(content), data=content)
        if number % 2:
            path = store.spool_path(f"{number}.part")
            path.write_bytes(content)
            body = Body(len(content), path=path)
        staged.append(store.stage(key, body, name=str(number)))
    store.publish(staged)


def files(root: Path) -> dict[str, bytes]:
    """Every final name, with what it shows."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".partial" not in path.parts
    }


def temporaries(root: Path) -> list[str]:
    return [path.name for path in (root / ".partial").iterdir()]


@pytest.mark.parametrize("mode", ["batch", "file", "none"])
class TestLocalStore(FileStoreSuite):
    @pytest.fixture
    def bench(self, tmp_path: Path, mode: Mode) -> Iterator[Bench]:
        root = tmp_path / "mirror"
        recorder = Recorder(number=errno.ENOSPC)
        armed: set[str] = set()

        def failing(kind: str, call: Any) -> Any:
            def wrapped(*arguments: Any) -> Any:
                if kind in armed:
                    armed.remove(kind)
                    raise OSError(errno.ENOSPC, "No space left on device")
                return call(*arguments)

            return wrapped

        store = opened(
            root,
            recorder,
            mode,
            write=failing("stage", os.write),
            rename=failing("publish", os.rename),
        )

        def read(staged: Staged) -> bytes | None:
            path = root / staged.key
            return path.read_bytes() if path.is_file() else None

        yield Bench(store, read, armed.add)
        store.close()
        assert recorder.open_descriptors == 0


class TestOrder:
    """Law 2: bytes reach the disk, then the names, then the directories; then it returns."""

    @pytest.mark.parametrize("mode", ["batch", "file"])
    @pytest.mark.parametrize("contents", [CONTENTS, MANY], ids=["few", "many"])
    def test_bytes_then_names_then_directories(
        self, tmp_path: Path, mode: Mode, contents: dict[str, bytes]
    ) -> None:
        recorder = Recorder()
        store = opened(tmp_path, recorder, mode)
        recorder.calls.clear()
        mirror(store, contents)
        store.close()

        names = recorder.names()
        last_write = max(n for n, name in enumerate(names) if name == "write")
        renames = [n for n, name in enumerate(names) if name == "rename"]
        before = synced(recorder, last_write, renames[0])
        after = synced(recorder, renames[-1], len(names))
        assert len(renames) == len(contents)
        assert before >= {path for name, path in recorder.calls if name == "rename"}
        assert after >= {str(tmp_path / key.rpartition("/")[0]) for key in contents}
        assert after >= {str(tmp_path), str(tmp_path / "images"), str(tmp_path / "images/train")}

    def test_a_batch_of_many_costs_two_syncs(self, tmp_path: Path) -> None:
        recorder = Recorder()
        store = opened(tmp_path, recorder)
        mirror(store, MANY)
        store.close()
        assert recorder.names().count("syncfs") == 2
        assert recorder.names().count("fsync") == 0

    def test_one_image_at_a_time_flushes_nothing_else(self, tmp_path: Path) -> None:
        recorder = Recorder()
        store = opened(tmp_path, recorder)
        mirror(store, {KEY: b"image"})
        store.close()
        assert "syncfs" not in recorder.names()

    def test_an_image_costs_four_calls_once_its_directory_is_known(self, tmp_path: Path) -> None:
        recorder = Recorder()
        store = opened(tmp_path, recorder, "none")
        mirror(store, {KEY: b"image"})
        recorder.calls.clear()
        store.publish([store.stage(KEY, data(b"image"), name="1")])
        store.close()
        assert recorder.names() == ["open", "write", "close", "rename"]

    def test_parents_are_synced_once_even_if_they_were_there(self, tmp_path: Path) -> None:
        (tmp_path / KEY).parent.mkdir(parents=True)
        recorder = Recorder()
        store = opened(tmp_path, recorder, "file")
        for _ in range(2):
            mirror(store, {KEY: b"image"})
        store.close()
        folder = str((tmp_path / KEY).parent)
        assert recorder.paths("fsync").count(folder) == 2
        assert recorder.paths("fsync").count(str(tmp_path / "images")) == 1

    def test_confirming_syncs_the_file_and_its_directories(self, tmp_path: Path) -> None:
        (tmp_path / KEY).parent.mkdir(parents=True)
        (tmp_path / KEY).write_bytes(b"image")
        recorder = Recorder()
        store = opened(tmp_path, recorder, "batch")
        store.confirm([KEY])
        store.close()
        wanted = {tmp_path / KEY, *(tmp_path / KEY).parents} - set(tmp_path.parents)
        assert {Path(path) for path in recorder.paths("fsync")} == wanted

    def test_what_is_not_there_cannot_be_confirmed(self, tmp_path: Path) -> None:
        store = opened(tmp_path, Recorder())
        with pytest.raises(StoreError) as caught:
            store.confirm([KEY])
        assert caught.value.fault_code == "disk-error"
        store.close()


def synced(recorder: Recorder, start: int, end: int) -> set[str]:
    """The paths that reach the disk between two calls; syncfs takes all that there are."""
    calls = recorder.calls[start:end]
    if any(name == "syncfs" for name, _ in calls):
        written = {path for name, path in recorder.calls[:start] if name in {"write", "rename"}}
        spooled = set(recorder.paths("rename"))
        made = {str(Path(path).parent) for path in recorder.paths("mkdir")}
        return written | spooled | made | set(recorder.paths("mkdir"))
    return {path for name, path in calls if name == "fsync"}


def calls_of(tmp_path: Path, mode: Mode, contents: dict[str, bytes]) -> int:
    recorder = Recorder()
    store = opened(tmp_path / "count", recorder, mode)
    recorder.calls.clear()
    mirror(store, contents)
    count = len(recorder.calls)
    store.close()
    return count


def refusal(store: LocalStore) -> StoreError | None:
    try:
        mirror(store, NINE)
    except StoreError as error:
        return error
    return None


@pytest.mark.parametrize("mode", ["batch", "file", "none"])
class TestEveryCall:
    """Law 3, by exhaustion: each system call of a batch in turn."""

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
    def test_an_error_leaves_nothing_of_the_batch(
        self, tmp_path: Path, mode: Mode, number: int
    ) -> None:
        failed = 0
        for at in range(calls_of(tmp_path, mode, NINE)):
            root = tmp_path / str(at)
            recorder = Recorder(number=number)
            store = opened(root, recorder, mode)
            recorder.fail_at = len(recorder.calls) + at
            error = refusal(store)
            if error is None:
                assert files(root) == NINE
            else:
                failed += 1
                assert error.fault_code == {errno.ENOSPC: "disk-full"}.get(number, "disk-error")
                assert str(root) in error.sentence
                assert files(root) == {}
                # What was staged before the failing call is the caller's; itself left nothing.
                assert recorder.names()[recorder.fail_at] not in {"rename", "syncfs", "fsync"} or (
                    temporaries(root) == []
                )
                for path in store.leftovers():
                    store.discard(path)
            store.close()
            assert not (root / ".partial").exists()
            assert recorder.open_descriptors == 0
        assert failed > len(NINE)

    def test_a_kill_leaves_only_whole_files(self, tmp_path: Path, mode: Mode) -> None:
        for at in range(calls_of(tmp_path, mode, NINE)):
            root = tmp_path / str(at)
            recorder = Recorder()
            store = opened(root, recorder, mode)
            recorder.kill_at = len(recorder.calls) + at
            with pytest.raises(Killed):
                mirror(store, NINE)
            for key, content in files(root).items():
                assert content == NINE[key]
            with suppress(Killed):
                store.close()
            self.resumes(root)

    def resumes(self, root: Path) -> None:
        recorder = Recorder()
        store = opened(root, recorder)
        mirror(store, NINE)
        assert files(root) == NINE
        for path in store.leftovers():
            store.discard(path)
        store.close()
        assert not (root / ".partial").exists()


class TestLinks:
    """Nothing is written, or found, through a link in place of a directory or a file."""

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Path:
        path = tmp_path / "elsewhere"
        path.mkdir()
        return path

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        path = tmp_path / "mirror"
        path.mkdir()
        return path

    @pytest.fixture
    def store(self, root: Path) -> Iterator[LocalStore]:
        store = opened(root, Recorder())
        yield store
        store.close()

    @pytest.mark.parametrize("linked", ["images", "images/train", "images/train/000"])
    def test_a_linked_directory_is_not_followed(
        self, root: Path, elsewhere: Path, store: LocalStore, linked: str
    ) -> None:
        (root / linked).parent.mkdir(parents=True, exist_ok=True)
        (root / linked).symlink_to(elsewhere)
        with pytest.raises(StoreError) as caught:
            mirror(store, {KEY: b"image"})
        assert caught.value.fault_code == "disk-error"
        assert str(root / linked) in caught.value.sentence
        assert list(elsewhere.iterdir()) == []

    @pytest.mark.parametrize("linked", ["images", "images/train", "images/train/000"])
    def test_nothing_is_found_through_a_linked_directory(
        self, root: Path, elsewhere: Path, store: LocalStore, linked: str
    ) -> None:
        inside = elsewhere / Path(KEY).relative_to(linked)
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_bytes(b"image")
        (root / linked).parent.mkdir(parents=True, exist_ok=True)
        (root / linked).symlink_to(elsewhere)
        assert (root / KEY).read_bytes() == b"image"
        assert store.find(KEY) is None

    def test_a_link_under_a_final_name_is_not_found_and_replaced(
        self, root: Path, elsewhere: Path, store: LocalStore
    ) -> None:
        target = elsewhere / "target"
        target.write_bytes(b"untouched")
        (root / KEY).parent.mkdir(parents=True)
        (root / KEY).symlink_to(target)
        assert store.find(KEY) is None
        mirror(store, {KEY: b"image"})
        assert target.read_bytes() == b"untouched"
        assert (root / KEY).read_bytes() == b"image"
        assert not (root / KEY).is_symlink()

    def test_a_link_under_a_temporary_name_is_replaced(
        self, root: Path, elsewhere: Path, store: LocalStore
    ) -> None:
        target = elsewhere / "target"
        target.write_bytes(b"untouched")
        (root / ".partial/0").symlink_to(target)
        mirror(store, {KEY: b"image"})
        assert target.read_bytes() == b"untouched"
        assert files(root) == {KEY: b"image"}

    def test_a_linked_spool_file_is_refused(
        self, root: Path, elsewhere: Path, store: LocalStore
    ) -> None:
        (elsewhere / "secret").write_bytes(b"secret")
        path = root / ".partial/1.part"
        path.symlink_to(elsewhere / "secret")
        with pytest.raises(StoreError, match="link"):
            store.stage(KEY, Body(path.lstat().st_size, path=path), name="1")

    def test_what_is_no_file_of_ours_is_not_left_over_but_removed(
        self, root: Path, elsewhere: Path, store: LocalStore
    ) -> None:
        secret = elsewhere / "secret"
        secret.write_bytes(b"secret")
        partial = root / ".partial"
        (partial / "1.part").symlink_to(secret)
        (partial / "2.part").hardlink_to(secret)
        os.mkfifo(partial / "3.part")
        (partial / "4.part").write_bytes(b"ours")
        assert list(store.leftovers()) == [partial / "4.part"]
        assert [path.name for path in partial.iterdir()] == ["4.part"]
        assert secret.read_bytes() == b"secret"

    def test_a_linked_place_for_temporary_files_is_refused(
        self, tmp_path: Path, elsewhere: Path
    ) -> None:
        root = tmp_path / "other"
        root.mkdir()
        (root / ".partial").symlink_to(elsewhere)
        with pytest.raises(StoreError) as caught:
            LocalStore(root).prepare()
        assert caught.value.fault_code == "disk-error"

    def test_dir_itself_may_be_a_link(self, tmp_path: Path, elsewhere: Path) -> None:
        (tmp_path / "link").symlink_to(elsewhere)
        store = opened(tmp_path / "link", Recorder())
        mirror(store, {KEY: b"image"})
        store.close()
        assert files(elsewhere) == {KEY: b"image"}


class TestPrepare:
    def test_dir_is_made_and_its_name_reaches_the_disk(self, tmp_path: Path) -> None:
        recorder = Recorder()
        store = opened(tmp_path / "mirror", recorder)
        assert str(tmp_path) in recorder.paths("fsync")
        store.close()
        assert list((tmp_path / "mirror").iterdir()) == []

    def test_leftovers_survive_a_clean_close(self, tmp_path: Path) -> None:
        store = opened(tmp_path, Recorder())
        store.stage(KEY, data(b"image"), name="1")
        store.close()
        store = opened(tmp_path, Recorder())
        assert [path.name for path in store.leftovers()] == ["1"]
        store.close()

    def test_nothing_is_left_over_before_it_is_prepared(self, tmp_path: Path) -> None:
        assert list(LocalStore(tmp_path / "mirror").leftovers()) == []

    @pytest.mark.parametrize("path", ["file", "file/mirror", "missing/mirror"])
    def test_a_dir_that_cannot_be_one_is_refused(self, tmp_path: Path, path: str) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(UsageError) as caught:
            LocalStore(tmp_path / path).prepare()
        assert str(tmp_path / path) in caught.value.sentence
        assert caught.value.hint
        assert caught.value.exit is Exit.UNUSABLE
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
    @pytest.mark.parametrize("refused", ["mirror", ".partial"])
    def test_a_dir_that_cannot_be_written_to_is_refused(
        self, tmp_path: Path, number: int, refused: str
    ) -> None:
        def mkdir(path: str, mode: int) -> None:
            if path.endswith(refused):
                raise OSError(number, os.strerror(number), path)
            Path(path).mkdir(mode)

        with pytest.raises(UsageError, match=os.strerror(number)):
            opened(tmp_path / "mirror", Recorder(), mkdir=mkdir)

    def test_a_disk_that_is_full_from_the_start_is_said(self, tmp_path: Path) -> None:
        store = LocalStore(tmp_path, min_free=1 << 60)
        with pytest.raises(StoreError, match=r"store\.min_free") as caught:
            store.prepare()
        assert caught.value.fault_code == "disk-full"


class TestRoom:
    def store(self, root: Path, free: list[int], recorder: Recorder) -> LocalStore:
        class Space:
            f_frsize = 1

            @property
            def f_bavail(self) -> int:
                return free[0]

        system = recorder.system(statvfs=lambda _: Space())
        store = LocalStore(root, min_free=1000, system=system)
        store.prepare()
        return store

    def test_it_is_asked_once_a_batch(self, tmp_path: Path) -> None:
        recorder = Recorder()
        store = self.store(tmp_path, [1 << 40], recorder)
        recorder.calls.clear()
        mirror(store, CONTENTS)
        store.close()
        assert recorder.names().count("statvfs") == 1

    def test_what_was_written_since_counts(self, tmp_path: Path) -> None:
        recorder = Recorder()
        free = [1100]
        store = self.store(tmp_path, free, recorder)
        store.stage(KEY, data(bytes(60)), name="1")
        free[0] = 1040
        with pytest.raises(StoreError, match=r"1,040 bytes free; store\.min_free asks for 1,000"):
            store.stage(KEY, data(bytes(60)), name="2")
        assert temporaries(tmp_path) == ["1"]
        store.discard(tmp_path / ".partial/1")
        store.close()

    def test_it_goes_on_when_room_was_made(self, tmp_path: Path) -> None:
        free = [1010]
        store = self.store(tmp_path, free, Recorder())
        with pytest.raises(StoreError):
            store.stage(KEY, data(bytes(60)), name="1")
        free[0] = 5000
        store.publish([store.stage(KEY, data(bytes(60)), name="1")])
        store.close()

    def test_a_spool_file_is_refused_only_below_the_limit(self, tmp_path: Path) -> None:
        free = [1010]
        store = self.store(tmp_path, free, Recorder())
        spool = StoreSuite.spooled(store, "1.part", bytes(500))
        store.stage(KEY, spool, name="1")
        free[0] = 900
        store.publish([])
        store.publish([store.stage(KEY, spool, name="1")])
        with pytest.raises(StoreError, match="900 bytes free"):
            store.stage(KEY, StoreSuite.spooled(store, "1.part", bytes(5)), name="1")
        assert temporaries(tmp_path) == []
        store.close()


class TestFiles:
    def test_modes_follow_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            store = opened(tmp_path / "mirror", Recorder())
            mirror(store, {KEY: b"image"})
            store.close()
        finally:
            os.umask(before)
        path = tmp_path / "mirror" / KEY
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750

    def test_short_writes_are_continued(self, tmp_path: Path) -> None:
        def write(descriptor: int, content: bytes | memoryview) -> int:
            return os.write(descriptor, content[:7])

        store = opened(tmp_path, Recorder(), write=write)
        mirror(store, CONTENTS)
        store.close()
        assert files(tmp_path) == CONTENTS

    def test_a_write_that_takes_nothing_is_an_error(self, tmp_path: Path) -> None:
        store = opened(tmp_path, Recorder(), write=lambda _, __: 0)
        with pytest.raises(StoreError):
            store.stage(KEY, data(b"image"), name="1")
        assert temporaries(tmp_path) == []
        store.close()

    def test_a_directory_removed_during_a_run_is_made_again(self, tmp_path: Path) -> None:
        store = opened(tmp_path, Recorder())
        mirror(store, {KEY: b"one"})
        (tmp_path / KEY).unlink()
        (tmp_path / KEY).parent.rmdir()
        mirror(store, {KEY: b"two"})
        store.close()
        assert files(tmp_path) == {KEY: b"two"}

    def test_a_directory_in_place_of_a_file_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / KEY).mkdir(parents=True)
        store = opened(tmp_path, Recorder())
        assert store.find(KEY) is None
        with pytest.raises(StoreError, match="directory") as caught:
            mirror(store, {KEY: b"image"})
        assert caught.value.fault_code == "disk-error"
        assert temporaries(tmp_path) == []
        store.close()

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (errno.ENOSPC, "disk-full"),
            (errno.EDQUOT, "disk-full"),
            (errno.EMFILE, "out-of-descriptors"),
            (errno.ENFILE, "out-of-descriptors"),
            (errno.EROFS, "disk-error"),
            (errno.EIO, "disk-error"),
            (errno.EACCES, "disk-error"),
            (errno.EPERM, "disk-error"),
            (errno.ENODEV, "disk-error"),
        ],
    )
    def test_an_error_says_where_what_and_what_to_do(
        self, tmp_path: Path, number: int, code: str
    ) -> None:
        recorder = Recorder(number=number)
        store = opened(tmp_path, recorder)
        recorder.fail_at = len(recorder.calls)
        with pytest.raises(StoreError) as caught:
            store.stage(KEY, data(b"image"), name="1")
        assert caught.value.fault_code == code
        assert str(tmp_path) in caught.value.sentence
        assert os.strerror(number) in caught.value.sentence
        assert "run the same command again" in caught.value.hint
        store.close()

    @pytest.mark.parametrize("call", ["find", "is_fresh", "discard", "leftovers"])
    def test_reading_maps_errors_too(self, tmp_path: Path, call: str) -> None:
        recorder = Recorder(number=errno.EACCES)
        store = opened(tmp_path, recorder)
        if call == "leftovers":
            (tmp_path / ".partial").rmdir()
            (tmp_path / ".partial").write_bytes(b"")
        recorder.fail_at = len(recorder.calls)
        calls: dict[str, Callable[[], object]] = {
            "find": lambda: store.find(KEY),
            "is_fresh": store.is_fresh,
            "discard": lambda: store.discard(store.spool_path("1")),
            "leftovers": lambda: list(store.leftovers()),
        }
        with pytest.raises(StoreError) as caught:
            calls[call]()
        assert caught.value.fault_code == "disk-error"
        recorder.fail_at = None
        store.close()


def test_the_place_of_a_run_that_is_on_is_not_taken_from_it(tmp_path: Path) -> None:
    late = LocalStore(tmp_path / "DIR")
    late.prepare()
    place = Path(late.spool_directory)
    held = os.open(place, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    late.close()
    assert place.is_dir()
    os.close(held)
    late.close()
    assert not place.exists()
