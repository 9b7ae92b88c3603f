"""One response's way, from its status line to its last byte.

A body that breaks off is kept for a later attempt, to the last byte that came. Whether it is whole
is decided here as far as the framing tells; where it does not, the listed size is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDictProxy

from fetcher.killpoints import Point, reached
from fetcher.model import Arrival, Body, Fault, Found, Method, Partial, Redirect, Validators
from fetcher.policy import ranges, redirects, robotstag, sniff, urls
from fetcher.policy.classify import REDIRECTS, status_code
from fetcher.policy.retry import parse_retry_after
from fetcher.ports import FetchRequest
from fetcher.transport.faults import classify, let_go
from fetcher.transport.intake import Intake, SpoolError
from fetcher.transport.requests import Response

DRAIN_AT_MOST: Final = 64 * 1024
"""Bodies of errors up to this size are read, so that their connection can be used again."""
LONGEST_DETAIL: Final = 300
"""Characters."""


class Exchange:
    """What becomes of one request's response. ``received`` counts body bytes, whatever happens.

    ``token`` is the product that an X-Robots-Tag may address; ``None`` does not look for one.
    """

    def __init__(
        self,
        request: FetchRequest,
        *,
        max_bytes: int,
        wall: Callable[[], float],
        token: str | None = None,
    ) -> None:
        self._request = request
        self._token = token
        self._max_bytes = max_bytes
        self._wall = wall
        self.received = 0

    async def take(self, response: Response) -> Arrival | Found | Redirect | Fault:
        status, headers = response.status, response.headers
        if status in REDIRECTS and "Location" in headers:
            await self._drain(response)
            return Redirect(status, redirects.resolve(self._request.url, headers["Location"]))
        partial = self._request.partial
        if partial is not None and status in (206, 416):
            return await self._rest(response, partial)
        method = self._request.method
        if method is Method.PROBE and status == 206:  # noqa: PLR2004  its name
            return await self._first_bytes(response)
        code = status_code(status)
        if code is None and method is Method.HEAD:
            return await self._head(response)
        if code is None and method is Method.PROBE:
            return await self._first_bytes(response)
        if code is None:
            return await self._body(response)
        await self._drain(response)
        return Fault(
            code,
            http_status=status,
            retry_after=self._retry_after(headers),
            received=self.received,
        )

    async def _rest(self, response: Response, partial: Partial) -> Arrival | Fault:
        """The answer to a request for what follows ``partial``."""
        label = response.headers.get("Content-Range")
        if response.status == 206 and ranges.continues(partial, label):  # noqa: PLR2004  its name
            return await self._body(response, resume=partial)
        await self._drain(response)
        if response.status == 416 and ranges.is_whole(partial, label):  # noqa: PLR2004  its name
            body = Body(partial.size, path=partial.path)
            return self._arrival(response, body, resume=partial)
        seen = f"Content-Range: {label}" if label is not None else "no Content-Range"
        return self._fault("range-mismatch", printable(seen), response)

    def _retry_after(self, headers: CIMultiDictProxy[str]) -> float | None:
        """Of several, which there should not be, the longest: the host and somebody before it."""
        if "Retry-After" not in headers:
            return None
        wall = self._wall()
        read = (parse_retry_after(value, wall) for value in headers.getall("Retry-After"))
        return max((seconds for seconds in read if seconds is not None), default=None)

    async def _body(self, response: Response, *, resume: Partial | None = None) -> Arrival | Fault:
        request, limit = self._request, self._max_bytes
        if request.cut_at is not None:
            return await self._text(response, request.cut_at)
        refusal = self._refusal(response)
        if refusal is not None:
            await self._drain(response)
            return self._fault("opted-out", refusal, response)
        offset = resume.size if resume is not None else 0
        if offset + (response.content_length or 0) > limit:
            return self._fault("too-large", f"{response.content_length} bytes", response)
        async with Intake(request.spool, request.memory, resume=resume) as intake:
            broken = await self._read(response, intake, limit)
            if intake.size > limit:
                return self._fault("too-large", f"over {limit} bytes", response)
            ends_at = _labelled_end(response) if resume is not None else None
            if ends_at is not None and intake.size > ends_at:
                return self._fault("range-mismatch", "more than its Content-Range says", response)
            if broken is not None:
                partial = await intake.partial(_validators(response, resume))
                return self._fault(classify(broken), describe(broken), response, partial)
            if ends_at is not None and intake.size < ends_at:
                partial = await intake.partial(_validators(response, resume))
                return self._fault("truncated", f"ended before byte {ends_at}", response, partial)
            if self._may_be_cut(response, intake.size):
                partial = await intake.partial(_validators(response, resume), ended=True)
                return self._fault("truncated", "ended early, without a length", response, partial)
            return self._arrival(response, await intake.body(), resume=resume)

    async def _head(self, response: Response) -> Found | Fault:
        """The answer to a HEAD: what it declares."""
        if (refusal := self._refusal(response)) is not None:
            return self._fault("opted-out", refusal, response)
        declared = response.headers.get("Content-Type")
        return self._found(response, response.content_length, _media_type(declared))

    async def _first_bytes(self, response: Response) -> Found | Fault:
        """The answer to a probe; a body that is not the part that was asked for costs its
        connection.
        """
        if (refusal := self._refusal(response)) is not None:
            await self._drain(response)
            return self._fault("opted-out", refusal, response)
        head = bytearray()
        try:
            async for chunk in response.content.iter_any():
                self.received += len(chunk)
                head += chunk
                if len(head) > sniff.HEAD:
                    break
        except Exception as error:  # noqa: BLE001  as in HttpTransport; here with the status
            let_go(error)
            return self._fault(classify(error), describe(error), response)
        size = response.content_length
        if response.status == 206:  # noqa: PLR2004  its name
            label = ranges.parse_content_range(response.headers.get("Content-Range", ""))
            size = label.total if label is not None and label.first == 0 else None
        return self._found(response, size, sniff.sniff(bytes(head[: sniff.HEAD])))

    def _found(self, response: Response, size: int | None, content_type: str | None) -> Found:
        return Found(
            self._request.method,
            response.status,
            size,
            content_type,
            urls.drop_credentials(self._request.url),
            response.headers.get("Content-Encoding", "identity").strip().lower() != "identity",
            self.received,
        )

    def _refusal(self, response: Response) -> str | None:
        """The X-Robots-Tag that asks not to take the body, for people."""
        if self._token is None or "X-Robots-Tag" not in response.headers:
            return None
        value = robotstag.refusal(response.headers.getall("X-Robots-Tag"), self._token)
        return printable(f"X-Robots-Tag: {value}") if value is not None else None

    async def _text(self, response: Response, most: int) -> Arrival | Fault:
        """The body's first bytes, ``most`` of them; what is behind them costs the connection."""
        taken = bytearray()
        broken: BaseException | None = None
        try:
            async for chunk in response.content.iter_any():
                self.received += len(chunk)
                taken += chunk
                if len(taken) >= most:
                    break
            else:
                broken = _cause(response.protocol.exception())
        except Exception as error:  # noqa: BLE001  as in HttpTransport; here with the status
            let_go(error)
            broken = _cause(response.protocol.exception()) or error
        if broken is not None:
            return self._fault(classify(broken), describe(broken), response)
        data = bytes(taken[:most])
        return self._arrival(response, Body(len(data), data=data), resume=None)

    def _fault(
        self,
        code: str,
        detail: str,
        response: Response,
        partial: Partial | None = None,
    ) -> Fault:
        return Fault(code, detail, response.status, received=self.received, partial=partial)

    async def _read(self, response: Response, intake: Intake, limit: int) -> BaseException | None:
        """Take the body in, up to a little more than ``limit``; what broke it off, if anything.

        Raises ``SpoolError``.
        """
        stream, protocol, length = response.content, response.protocol, response.content_length
        if intake.holds(length) and await self._read_at_once(stream, intake):
            return None
        # It may all be there, with a parser that was told to wait before it saw the end.
        more = length is not None and stream.total_bytes < length
        if more and intake.has_room(length) and protocol.may_flow():
            return await self._read_in_place(response, intake, length)
        try:
            async for chunk in stream.iter_any():
                self.received += len(chunk)
                reached(Point.BYTES_TAKEN)
                if intake.add(chunk):
                    if intake.size > limit:
                        return None
                    await intake.flush()
        except SpoolError:
            raise
        except Exception as error:  # noqa: BLE001  as in HttpTransport; here the bytes are kept
            rest = _left_over(stream)
            self.received += len(rest)
            intake.add(rest)
            let_go(error)
            return _cause(protocol.exception()) or error
        if not _has_length(response):
            # That the connection broke is no error to the library, if that may be the body's end.
            return _cause(protocol.exception())
        return None

    async def _read_at_once(self, stream: aiohttp.StreamReader, intake: Intake) -> bool:
        """Take a small body in when it is whole: one turn of the loop, not several. ``False`` if
        something went wrong, which the stream tells again.
        """
        try:
            if not stream.is_eof():
                await stream.wait_eof()
            data = stream.read_nowait()
        except Exception:  # noqa: BLE001  see above
            return False
        self.received += len(data)
        reached(Point.BYTES_TAKEN)
        intake.add(data)
        return True

    async def _read_in_place(
        self, response: Response, intake: Intake, length: int
    ) -> BaseException | None:
        """Take a large body in without moving it; what broke it off, if anything."""
        room = bytearray(length)
        view = memoryview(room)
        begun = response.content.read_nowait()
        view[: len(begun)] = begun
        reached(Point.BYTES_TAKEN)
        flow = response.protocol.flow_into(view[len(begun) :])
        try:
            await flow.done
        except Exception as error:  # noqa: BLE001  as in ``_read``
            self.received += len(begun) + flow.received
            intake.add(bytes(view[: len(begun) + flow.received]))
            let_go(error)
            return _cause(response.protocol.exception()) or error
        finally:
            response.protocol.end_flow()
        reached(Point.BYTES_TAKEN)
        self.received += length
        intake.add(room)
        return None

    def _may_be_cut(self, response: Response, size: int) -> bool:
        """Whether the end of the connection was the only sign that the body had ended, and it came
        early. An end at the very same byte as last time is believed.
        """
        expected, last = self._request.expected_size, self._request.partial
        if _has_length(response) or expected is None or size >= expected:
            return False
        return not (last is not None and last.ended and last.size == size)

    def _arrival(self, response: Response, body: Body, *, resume: Partial | None) -> Arrival:
        content_type = response.headers.get("Content-Type")
        return Arrival(
            body,
            response.status,
            printable(content_type) if content_type is not None else None,
            urls.drop_credentials(self._request.url),
            _validators(response, resume),
            resume is not None,
            self.received,
            response.headers.get("Content-Encoding"),
        )

    async def _drain(self, response: Response) -> None:
        """Read a small body that nobody wants; a larger one, or one that only ends with its
        connection, costs the connection instead. The status has been read, which is all that was
        wanted: what goes wrong from here on does not matter.
        """
        if not _has_length(response) or (response.content_length or 0) > DRAIN_AT_MOST:
            return
        until = self.received + DRAIN_AT_MOST
        try:
            async for chunk in response.content.iter_any():
                self.received += len(chunk)
                if self.received > until:
                    return
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            let_go(error)


def describe(error: BaseException) -> str:
    """``error`` for people: one line, of a length that is fit to keep, without passwords (the
    library quotes the proxy's URL).
    """
    text = printable(urls.redact_within(str(error)))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def printable(text: str) -> str:
    """``text`` from the network as it may be written down: one line, and no lone surrogates, which
    stand for bytes that are not UTF-8 (PEP 383).
    """
    line = " ".join(text[:LONGEST_DETAIL].split())
    return line.encode(errors="backslashreplace").decode()


def _media_type(value: str | None) -> str | None:
    """The type without its parameters (RFC 9110 section 8.3.1)."""
    return printable(value.partition(";")[0]).lower() if value is not None else None


def _has_length(response: Response) -> bool:
    return response.content_length is not None or "Transfer-Encoding" in response.headers


def _labelled_end(response: Response) -> int | None:
    """Where a body ends that the Content-Range of ``response`` says it is a part of."""
    label = ranges.parse_content_range(response.headers.get("Content-Range", ""))
    return label.last + 1 if label is not None else None


def _validators(response: Response, resume: Partial | None) -> Validators:
    """Those of the response; a part that has none is of the representation that was resumed."""
    found = Validators(response.headers.get("ETag"), response.headers.get("Last-Modified"))
    return resume.validators if resume is not None and found == Validators() else found


def _cause(error: BaseException | None) -> BaseException | None:
    """What the connection says of its end, if it is more than that it was closed in good order."""
    return None if isinstance(error, aiohttp.ServerDisconnectedError) else error


def _left_over(stream: aiohttp.StreamReader) -> bytes:
    """What had come when ``stream`` broke; read in the public way, it only repeats its error."""
    chunks: list[bytes] = []
    while stream._buffer:  # noqa: SLF001  tests/transport shows that no byte is lost
        chunks.append(stream._read_nowait_chunk(-1))  # noqa: SLF001
    return b"".join(chunks)
