"""A request to a host group with a rate is sent when its turn has come, and not before."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from fetcher.model import Arrival, Fault, Found, Partial, Redirect, Validators
from fetcher.ports import FetchRequest, TurnedBackError
from tests.transport.harness import MakeRig, Rig, head_of, served_by

IMAGE = "/pic/k/600.jpg"


@dataclass
class Told:
    """``ports.Turn``; ``come`` waits until it is let go."""

    has_leave: bool
    steps: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    back: bool = False

    def put_off(self) -> None:
        self.has_leave = False
        self.steps.append("put off")

    async def come(self) -> None:
        self.steps.append("ask")
        self.asked.set()
        await self.go.wait()
        if self.back:
            raise TurnedBackError
        self.has_leave = True

    def taken(self) -> None:
        assert self.has_leave
        self.steps.append("sent")


Fetching = asyncio.Task[Arrival | Found | Redirect | Fault]


def fetch(rig: Rig, turn: Told, url: str | None = None, partial: Partial | None = None) -> Fetching:
    url = url or rig.web.url(IMAGE)
    request = FetchRequest(url, 1, 1 << 20, rig.spool, partial=partial, turn=turn)
    return asyncio.ensure_future(rig.transport.fetch(request))


async def test_over_a_connection_that_is_open_it_is_sent_at_once(rig: Rig) -> None:
    await rig.arrival(IMAGE)
    turn = Told(has_leave=True)
    assert isinstance(await fetch(rig, turn), Arrival)
    assert turn.steps == ["sent"]


async def test_without_leave_it_waits_with_its_connection_in_hand(rig: Rig) -> None:
    await rig.arrival(IMAGE)
    turn = Told(has_leave=False)
    fetching = fetch(rig, turn)
    await turn.asked.wait()
    assert rig.web.count() == 1
    turn.go.set()
    assert isinstance(await fetching, Arrival)
    assert turn.steps == ["ask", "sent"]
    assert len({served.client for served in rig.web.requests}) == 1


async def test_leave_is_given_back_before_a_name_is_looked_up(make_rig: MakeRig) -> None:
    looked_up, known = threading.Event(), threading.Event()

    def look_up(_: str) -> list[str]:
        looked_up.set()
        assert known.wait(30)
        return ["127.0.0.1"]

    rig = make_rig(parts={"look_up": look_up})
    turn = Told(has_leave=True)
    fetching = fetch(rig, turn, f"http://h.test:{rig.web.port}{IMAGE}")
    assert await asyncio.to_thread(looked_up.wait, 30)
    assert turn.steps == ["put off"]
    known.set()
    await turn.asked.wait()
    assert (rig.web.count(), turn.steps) == (0, ["put off", "ask"])
    turn.go.set()
    assert isinstance(await fetching, Arrival)
    assert turn.steps == ["put off", "ask", "sent"]


async def test_a_connection_that_dies_meanwhile_is_replaced_once(rig: Rig) -> None:
    connections = 0
    connected = asyncio.Event()

    async def talk(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        connected.set()

    async with served_by(talk) as port:
        turn = Told(has_leave=True)
        fetching = fetch(rig, turn, f"http://127.0.0.1:{port}{IMAGE}")
        await turn.asked.wait()
        await connected.wait()
        turn.go.set()  # whether its end has been seen by now is chance
        result = await fetching
    assert isinstance(result, Fault)
    assert result.code == "connection-reset"
    assert connections <= 2
    assert turn.steps.count("put off") == connections


async def test_what_is_not_sent_holds_no_request_back(rig: Rig) -> None:
    """Cancelled while it waits: its connection is closed, nothing was sent."""
    turn = Told(has_leave=True)
    fetching = fetch(rig, turn)
    await turn.asked.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert (rig.web.count(), turn.steps) == (0, ["put off", "ask"])


async def test_what_is_turned_back_keeps_what_there_was_of_its_body(rig: Rig) -> None:
    rig.spool.write_bytes(bytes(300))
    turn = Told(has_leave=True, back=True)
    fetching = fetch(rig, turn, partial=Partial(rig.spool, 300, Validators('"tag"')))
    await turn.asked.wait()
    turn.go.set()
    with pytest.raises(TurnedBackError):
        await fetching
    assert (rig.web.count(), turn.steps) == (0, ["put off", "ask"])
    assert rig.files() == {"1.part": 300}


async def test_no_connection_is_no_request(rig: Rig) -> None:
    turn = Told(has_leave=True)
    result = await fetch(rig, turn, "http://127.0.0.1:1/")
    assert isinstance(result, Fault)
    assert turn.steps == ["put off"]


async def test_a_request_is_sent_once_though_its_connection_was_dead(rig: Rig) -> None:
    """The other end has gone, and nobody has noticed: that is a fault, and no second request."""
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await head_of(reader)
        asked += 1
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await head_of(reader)
        asked += 1

    async with served_by(talk) as port:
        for expected in (["put off", "ask", "sent"], ["sent"]):
            turn = Told(has_leave=True)
            turn.go.set()
            await fetch(rig, turn, f"http://127.0.0.1:{port}/")
            assert turn.steps == expected
    assert asked == 2
