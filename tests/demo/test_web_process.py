"""The little web in a process of its own: the same web, and never an orphan."""

from __future__ import annotations

import io
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.demo.images import picture
from fetcher.demo.process import WebProcess, read_frame, write_frame
from fetcher.demo.steps import Answer, Picture, status


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    with WebProcess(tmp_path_factory.mktemp("web"), tls=True) as running:
        yield running


def fetch(url: str, ca_file: Path | None = None) -> tuple[int, bytes]:
    trust = ssl.create_default_context(cafile=str(ca_file)) if ca_file is not None else None
    try:
        with urllib.request.urlopen(url, context=trust) as response:  # noqa: S310  our own
            return response.status, response.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def test_it_serves_as_the_web_does(process: WebProcess) -> None:
    assert fetch(process.url("/pic/k/600.jpg")) == (200, picture("k", 600))
    secure = process.url("/pic/k/700.jpg", "https")
    assert fetch(secure, process.ca_file) == (200, picture("k", 700))
    assert [request.path for request in process.requests()] == ["/pic/k/600.jpg", "/pic/k/700.jpg"]


def test_a_script_is_in_force_at_once(process: WebProcess) -> None:
    process.serve("/a", status(503), Answer(Picture(600, "k")))
    process.serve("/a", status(410), host="elsewhere.example")
    assert fetch(process.url("/a"))[0] == 503
    assert fetch(process.url("/a")) == (200, picture("k", 600))
    process.serve("/a", status(404))
    assert fetch(process.url("/a"))[0] == 404


@pytest.mark.parametrize("late", [True, False], ids=["when it has gone", "while it goes"])
def test_its_journal_outlives_it(late: bool, tmp_path: Path) -> None:  # noqa: FBT001  a case
    with WebProcess(tmp_path) as process:
        assert process.requests() == []
        fetch(process.url("/pic/k/600.jpg"))
        os.kill(process.pid, signal.SIGKILL)
        if late:  # then it is its pipe that breaks
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(RuntimeError, match="has ended"):
            process.serve("/a", status(404))
    assert [request.path for request in process.requests()] == ["/pic/k/600.jpg"]
    with pytest.raises(RuntimeError, match="not running"):
        process.serve("/a", status(404))


@pytest.mark.parametrize("how", ["its input closes", signal.SIGTERM, signal.SIGINT])
def test_it_ends_when(how: str | signal.Signals) -> None:
    command = [sys.executable, "-m", "fetcher.demo.serve"]
    with subprocess.Popen(  # noqa: S603  our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert b'"port"' in process.stdout.readline()
        if isinstance(how, signal.Signals):
            process.send_signal(how)
        else:
            process.stdin.close()
        assert process.wait(10) == 0


def test_it_tells_when_it_cannot_come_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="has ended"), WebProcess(tmp_path / "no"):
        pass
    assert "FileNotFoundError" in capfd.readouterr().err


class Dripping(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1, size or 0))


@given(st.lists(st.binary(max_size=300)), st.integers(1, 4))
def test_frames_come_out_as_they_went_in(frames: list[bytes], lost: int) -> None:
    pipe = io.BytesIO()
    for frame in frames:
        write_frame(pipe, frame)
    whole = Dripping(pipe.getvalue())
    assert [read_frame(whole) for _ in [*frames, None]] == [*frames, None]
    torn = Dripping(pipe.getvalue()[:-lost])
    read = [read_frame(torn) for _ in frames]
    assert read == [*frames[:-1], None] if frames else read == []
