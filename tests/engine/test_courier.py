"""Batches over a socket: whole, in order, however the bytes are cut."""

from __future__ import annotations

import asyncio
import pickle
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fetcher.engine.courier import _LENGTH, Courier

BATCHES = st.lists(st.lists(st.integers() | st.text(max_size=5), min_size=1), max_size=5)


@given(BATCHES, st.lists(st.integers(1, 40), min_size=1))
def test_how_the_bytes_are_cut_does_not_matter(batches: list[list[Any]], cuts: list[int]) -> None:
    frames = [pickle.dumps(batch) for batch in batches]
    stream = b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames)

    async def feed() -> list[list[Any]]:
        heard: list[list[Any]] = []
        courier = Courier(lambda messages: heard.append(list(messages)), lambda: None)
        at = 0
        for n in range(len(stream)):
            if at >= len(stream):
                break
            step = cuts[n % len(cuts)]
            courier.data_received(stream[at : at + step])
            at += step
        return heard

    assert asyncio.run(feed()) == batches


async def test_what_is_sent_arrives_in_order_and_the_end_is_told() -> None:
    ours, theirs = socket.socketpair()
    heard: list[Any] = []
    hung_up = asyncio.Event()
    here = await Courier.over(ours, lambda _: None, lambda: None)
    await Courier.over(theirs, heard.extend, hung_up.set)
    for n in range(10_000):
        here.send(n)
        if n % 1_000 == 0:
            await asyncio.sleep(0)
    here.close()
    await hung_up.wait()
    assert heard == list(range(10_000))


async def test_nobody_there_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    gone = asyncio.Event()
    here = await Courier.over(ours, lambda _: None, gone.set)
    theirs.close()
    await gone.wait()
    here.send("anybody?")
    here.flush()
    here.close()


async def test_what_is_flushed_goes_at_once_and_once_only() -> None:
    ours, theirs = socket.socketpair()
    batches: list[list[Any]] = []
    hung_up = asyncio.Event()
    here = await Courier.over(ours, lambda _: None, lambda: None)
    await Courier.over(theirs, lambda batch: batches.append(list(batch)), hung_up.set)
    for n in range(3):
        here.send(n)
    here.flush()
    here.flush()  # there is nothing any more
    here.send(3)
    here.close()
    await hung_up.wait()
    assert batches == [[0, 1, 2], [3]]
