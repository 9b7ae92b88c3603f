"""Law 3 against the real thing: kill -9 of a writing process, at random calls."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from fetcher.store import LocalStore

WRITER = """
import sys
from msgspec.structs import fields, replace
from pathlib import Path
from fetcher.model import Body
from fetcher.store import LocalStore
from fetcher.store.system import System

def told(call):
    def wrapped(*arguments):
        sys.stdout.buffer.write(b".")
        sys.stdout.buffer.flush()
        return call(*arguments)
    return wrapped

watched = {name: told(getattr(System(), name)) for name in ("open", "write", "close", "rename")}
store = LocalStore(Path(sys.argv[1]), durability="batch", system=replace(System(), **watched))
store.prepare()
number = 0
while True:
    batch = []
    for number in range(number, number + 10):
        content = b"%d\\n" % number * 3000
        key = f"images/{number % 7:03x}/{number}.jpg"
        batch.append(store.stage(key, Body(len(content), data=content), name=str(number)))
    number += 1
    store.publish(batch)
    sys.stdout.buffer.write(b"P")
    sys.stdout.buffer.flush()
"""


@pytest.mark.parametrize("seed", range(8))
def test_every_final_name_is_whole_after_a_kill(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    writer = subprocess.Popen(  # noqa: S603  this interpreter, and the program above
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    with writer, writer.stdout as told:
        seen = told.read(chance.randrange(1, 500))
        writer.kill()
        seen += told.read()

    found = list((tmp_path / "images").rglob("*.jpg"))
    for path in found:
        assert path.read_bytes() == b"%d\n" % int(path.stem) * 3000
    assert len(found) >= 10 * seen.count(b"P"), "what publish returned for is there"

    store = LocalStore(tmp_path)
    store.prepare()
    for path in store.leftovers():
        store.discard(path)
    store.close()
    assert not (tmp_path / ".partial").exists()
