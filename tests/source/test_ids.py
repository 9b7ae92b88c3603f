"""Files of ids: their forms, and what is refused."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from fetcher.errors import SourceError
from fetcher.source import read_ids
from tests.source.samples import IDS, V1_FIRST, V4, csv_text, write

FORMS = (
    "\n".join(IDS),
    "\r\n".join(IDS) + "\r\n",
    "# mine, and a comment\n\n" + "\n  \n".join(f"  {image_id} " for image_id in IDS) + "\n# end",
    "\ufeff" + "\n".join(IDS),
    "ImageID\n" + "\n".join(IDS),
    "# comment\nimage_id\n" + "\n".join(IDS),
    "".join(f"train/{image_id}\n" for image_id in IDS),
    csv_text(V1_FIRST),
    csv_text(V4, delimiter="\t"),
    "ImageID,Confidence:Labels...\n" + "".join(f"{i},0.9:/m/06ht1,0.9:/m/05wrt\n" for i in IDS),
    "\n".join(IDS * 2),
)


@pytest.mark.parametrize("text", FORMS)
def test_forms(tmp_path: Path, text: str) -> None:
    assert read_ids(write(tmp_path / "ids", text)) == set(IDS)
    assert read_ids(write(tmp_path / "ids.gz", gzip.compress(text.encode()))) == set(IDS)


REFUSED = (
    (b"", "has no id"),
    (b"# nothing\n\n", "has no id"),
    (b"ImageID\n", "has no id"),
    (b"a,b\nc,d\n", "has 2 columns in line 1"),
    (b"a1\na2,train\n", "has 2 columns in line 2"),
    (b"Subset,ImageID\ntrain,a1\ntrain\n", "has no id in line 3"),
    (b"ImageID,Subset\na1,x\n,train\n", "has no id in line 3"),
    (b"a1\n\xff\n", "not UTF-8"),
    (gzip.compress(b"a1\n" * 99)[:-9], "ends early"),
    (b"x" * 2_000_000, "field larger than"),
)


@pytest.mark.parametrize(("data", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = write(tmp_path / "ids", data)
    with pytest.raises(SourceError) as refused:
        read_ids(path)
    assert says in refused.value.sentence
    assert str(path) in refused.value.sentence


@pytest.mark.parametrize("name", [".", "missing"])
def test_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_ids(tmp_path / name)


def test_a_pipe() -> None:
    """As a shell makes one: ``--ids <(command)``."""
    reading, writing = os.pipe()
    os.write(writing, b"a\nb\n")
    os.close(writing)
    assert read_ids(f"/dev/fd/{reading}") == {"a", "b"}
    os.close(reading)
