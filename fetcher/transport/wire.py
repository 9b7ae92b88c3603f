"""The library's protocol, with bounds on what a server may send beside the body.

The library bounds a line (8,190 bytes) and the number of header lines (128), and stops reading when
nobody takes the body. Nothing of it bounds how much may come that is neither: interim answers
without end, chunk extensions, blank lines before a status line; or what comes when nothing was
asked for, which it would queue up for as long as the connection is kept.

Here an answer is also cut from what follows it. The head is given to the parser by itself, so what
comes after it cannot take it away; and once the declared body is complete, whatever else comes is
not read. What becomes of an answer with a surplus therefore does not depend on how TCP has cut it:
its body is as long as declared, and the connection is not used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import Any, Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader

from fetcher.transport.inflow import Inflow
from fetcher.transport.intake import AT_ONCE

INTERIM_AT_MOST: Final = 16
"""Interim (1xx) answers before the one that counts."""
OVERHEAD: Final = 256 * 1024
"""Bytes that heads and framing may take for an answer, and ``EXPANSION`` for each byte of body."""
EXPANSION: Final = 8
"""A body in chunks of one byte takes six bytes for each."""

_HEAD_ENDS: Final = re.compile(rb"\n\r?\n")
_EDGE: Final = 2
"""Bytes of the pattern that may lie in what came before."""


class Wire(ResponseHandler):
    """One connection. ``begin`` comes before each request."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._asked = False
        self._bodiless = False
        self._answer: StreamReader | None = None
        self._interim = 0
        self._came = 0
        self._edge = b""
        self._parsed = 0
        self._inflow: Inflow | None = None
        self.heard = False
        """Set when anything comes; whoever looks at it takes it back."""

    @property
    def is_held(self) -> bool:
        """Whether we, and not the server, are why nothing comes."""
        return bool(self._reading_paused or self._buffer_paused)

    def begin(self, read_ahead: int, *, head: bool = False) -> None:
        """An answer is awaited, which to a HEAD has no body. The last one's parser goes on with the
        next, if that is of the same kind: an answer that might have left it in the middle of
        something has cost the connection.
        """
        if self._parser is None or head is not self._bodiless:
            self._bodiless = head
            self.set_response_params(
                skip_payload=head,
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=read_ahead,
            )
        else:
            self._await_answer()

    def set_response_params(self, **more: Any) -> None:
        """The library's way to begin, for a CONNECT of its own."""
        super().set_response_params(**more)
        self._await_answer()

    def _await_answer(self) -> None:
        self._asked = True
        self._answer = None
        self._interim = 0
        self._came = 0
        self._parsed = 0
        self._edge = b""

    def data_received(self, data: bytes) -> None:
        if not data:  # the library goes on with what it has
            super().data_received(data)
            return
        answer = self._answer
        if not self._asked or (answer is not None and answer.is_eof()):
            self._refuse("sent what nobody asked for")
            return
        self.heard = True
        self._came += len(data)
        body = answer.total_bytes if answer is not None else 0
        if self._came > OVERHEAD + EXPANSION * body and self._came - len(data) > OVERHEAD:
            self._refuse("sent far more than a body")
            return
        while data and self._answer is None and self._exception is None:
            data = self._take_head(data)
        if data and self._exception is None:
            self._parsed += len(data)
            super().data_received(data)
            if self._parsed == len(data) > AT_ONCE and self.may_flow():
                # The loop would read on at once. Who takes what there is lets it, into its place.
                self.pause_reading()

    def may_flow(self) -> bool:
        """Whether the parser is in the middle of a body, and has passed on all that came of it. If
        its length is declared, the rest can do without parsing: the parser refuses a length beside
        a Transfer-Encoding.
        """
        answer = self._unfinished()
        return answer is not None and answer.total_bytes == self._parsed and self.is_connected()

    def flow_into(self, room: memoryview) -> Inflow:
        """Receive right into ``room``, which is as long as what is to come of the body; where
        ``may_flow``. Whoever awaits its ``done`` gets what the body's stream would have raised.
        """
        flow = Inflow(self, room, self._loop.create_future())
        self._inflow = flow
        self._hand_over(flow)
        return flow

    def flowed(self, flow: Inflow, *, whole: bool) -> None:
        """Bytes came in ``flow``; ``whole``: all of them."""
        self.heard = True
        if not whole:
            return
        self.end_flow()
        answer = self._answer
        if answer is None or flow.done.done():
            return  # nobody waits for it any more
        self._parser = None  # it still waits for what it has not seen
        answer.feed_eof()
        flow.done.set_result(None)

    def end_flow(self) -> None:
        """Receive nothing right into its room any more, if anything was, and forget the room."""
        flow, self._inflow = self._inflow, None
        if flow is not None:
            flow.let_go()
            if self.is_connected():
                self._hand_over(self)

    def _hand_over(self, protocol: asyncio.BaseProtocol) -> None:
        """Who is told of bytes from now on. How they are read is settled when reading begins."""
        transport = self.transport
        assert transport is not None  # noqa: S101  it is connected
        transport.pause_reading()
        transport.set_protocol(protocol)
        transport.resume_reading()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """The parser's delivery of a head."""
        message, payload = data
        if self._answer is not None:
            self._refuse("sent two answers")
            return
        if 100 <= message.code < 200 and message.code != 101:  # noqa: PLR2004  interim
            self._interim += 1
            if self._interim > INTERIM_AT_MOST:
                self._refuse("sent interim answers without end")
                return
        else:
            self._answer = payload
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Also for whoever waits for the body: the library forgets them when it cannot parse it,
        and lets its timer go.
        """
        super().set_exception(exc, *cause)
        answer, flow = self._answer, self._inflow
        if (unfinished := self._unfinished()) is not None:
            unfinished.set_exception(exc)
        self.end_flow()
        if flow is not None and not flow.done.done():
            told = answer.exception() if answer is not None else None
            flow.done.set_exception(told or exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The answer's stream knows its connection; this ends the ring (``faults.let_go``)."""
        self._take_the_rest()
        super().connection_lost(exc)
        self._answer = None

    def _take_the_rest(self) -> None:
        """What has been received and not passed on, as we said to wait: the parser forgets it when
        the connection ends, and so does uvloop's TLS. It is half a megabyte at most.
        """
        if self.transport is None or self._unfinished() is None:
            return
        self._parse_on()
        tls: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object")
        with contextlib.suppress(ssl.SSLError):
            while tls is not None and self._unfinished() is not None:
                room = self._inflow.get_buffer(-1) if self._inflow is not None else None
                data = tls.read(min(AT_ONCE, len(room)) if room is not None else AT_ONCE)
                if not data:
                    return
                if self._inflow is not None and room is not None:
                    room[: len(data)] = data
                    self._inflow.buffer_updated(len(data))
                else:
                    self.data_received(data)
                    self._parse_on()

    def _parse_on(self) -> None:
        """Wherever the parser was told to wait."""
        self._reading_paused = True
        while self._reading_paused and self._unfinished() is not None:
            self._reading_paused = False
            self.data_received(b"")

    def _unfinished(self) -> StreamReader | None:
        """The answer, if it goes on as far as is known."""
        answer = self._answer
        if answer is None or answer.is_eof() or answer.exception() is not None:
            return None
        return answer

    def _take_head(self, data: bytes) -> bytes:
        """Give the parser what belongs to a head; the rest."""
        joined = self._edge + data if self._edge else data
        end = _HEAD_ENDS.search(joined)
        if end is None:
            self._edge = joined[-_EDGE:]
            super().data_received(data)
            return b""
        cut = end.end() - len(self._edge)
        self._edge = b""
        if cut == len(data):
            super().data_received(data)
            return b""
        super().data_received(data[:cut])
        return data[cut:]

    def _refuse(self, what: str) -> None:
        """No more of this connection. An answer that is complete stays what it is."""
        self._should_close = True
        answer = self._answer
        if answer is None or not answer.is_eof():
            self.set_exception(HttpProcessingError(message=what))
        if self.transport is not None:
            self.transport.close()
