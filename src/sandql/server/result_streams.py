"""Results of one operation as they come: server-sent events, or the parts of a multipart body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Receive, Send

from sandql.server.client_watch import unless_gone
from sandql.server.graphql_errors import ErrorDict, RequestRefused, ending_refusal
from sandql.server.graphql_execution import Result
from sandql.server.json_bytes import encode_json
from sandql.server.negotiation import EVENT_STREAM, MULTIPART
from sandql.server.responses import NO_SNIFF, Header

GOODBYE_S: Final = 1.0  # a client that does not read is not waited for
KEEP_ALIVE_S: Final = 12.0  # proxies close what is silent for a minute, some for 15 seconds

# An EventSource whose connection ends connects again after a second. Some browsers take a stream for open only when something has come.
EVENTS_BEGIN: Final = b"retry: 1000\n:\n\n"

_UNBUFFERED: Final[tuple[Header, ...]] = ((b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no"), NO_SNIFF)
_PART: Final = b"\r\nContent-Type: application/json\r\n\r\n"
_BOUNDARY: Final = b"\r\n--graphql"


@dataclass(frozen=True, slots=True)
class _Framing:
    """How a stream is written. A keep-alive means nothing to a client."""

    content_type: bytes
    start: bytes
    before: bytes
    after: bytes
    keep_alive: bytes
    end: bytes
    has_payload: bool

    def result(self, value: Result) -> bytes:
        return self.before + encode_json({"payload": value} if self.has_payload else value) + self.after

    def refusal(self, errors: list[ErrorDict]) -> bytes:
        return self.result({"errors": errors, "data": None})


_FRAMINGS: Final = {
    # Distinct connections mode of the npm package graphql-sse. Lines end with LF: some clients split at nothing else.
    EVENT_STREAM: _Framing(
        content_type=b"text/event-stream; charset=utf-8",
        start=EVENTS_BEGIN,
        before=b"event: next\ndata: ",
        after=b"\n\n",
        keep_alive=b":\n\n",
        end=b"event: complete\ndata:\n\n",
        has_payload=False,
    ),
    # Apollo's multipart subscription protocol. The boundary is sent with the part before it, for a client reads up to it.
    MULTIPART: _Framing(
        content_type=b'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"',
        start=b"--graphql",
        before=_PART,
        after=_BOUNDARY,
        keep_alive=_PART + b"{}" + _BOUNDARY,
        end=b"--\r\n",
        has_payload=True,
    ),
}


async def send_stream(
    results: AsyncGenerator[Result], media: str, receive: Receive, send: Send, *, headers: tuple[Header, ...] = (), keep_alive_s: float = KEEP_ALIVE_S
) -> None:
    """Send results as they come, as `text/event-stream` or `multipart/mixed`, and close them on every way out.

    The next result is taken when the transport has room: a client that does not read holds back its own program.

    Raises:
        ClientGone: the client closed the connection.
    """
    framing = _FRAMINGS[media]
    content_type = (b"content-type", framing.content_type)
    await send({"type": "http.response.start", "status": 200, "headers": [content_type, *_UNBUFFERED, *headers]})
    writer = _Writer(send)
    alive = asyncio.create_task(_keep_alive(writer, framing.keep_alive, keep_alive_s))
    try:
        await unless_gone(_write_results(results, framing, writer), receive)
    except asyncio.CancelledError:  # the server, or the caller's credential, is ending: nothing else cancels a request
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await writer.write(framing.refusal(ending_refusal().errors))
                await writer.write(framing.end, last=True)
    finally:
        alive.cancel()


async def send_refused_stream(send: Send, refused: RequestRefused) -> None:
    """Say in `text/event-stream` why a document was not executed, as graphql-sse asks for: an EventSource reads no other answer."""
    framing = _FRAMINGS[EVENT_STREAM]
    body = framing.start + framing.refusal(refused.errors) + framing.end
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", framing.content_type), *_UNBUFFERED]})
    await send({"type": "http.response.body", "body": body})


class _Writer:
    """Sends pieces of a body, and knows whether anything was sent lately."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.was_busy = False

    async def write(self, piece: bytes, *, last: bool = False) -> None:
        self.was_busy = True
        message: dict[str, Any] = {"type": "http.response.body", "body": piece, "more_body": not last}
        await self._send(message)
        await asyncio.sleep(0)  # sending need not wait: a source that is always ready would let nothing else go on, not even its cancellation


async def _write_results(results: AsyncGenerator[Result], framing: _Framing, writer: _Writer) -> None:
    await writer.write(framing.start)
    try:
        async with aclosing(results):
            async for result in results:
                await writer.write(framing.result(result))
    except RequestRefused as refused:
        await writer.write(framing.refusal(refused.errors))
    await writer.write(framing.end, last=True)


async def _keep_alive(writer: _Writer, piece: bytes, every_s: float) -> None:
    while True:
        writer.was_busy = False
        await asyncio.sleep(every_s)
        if not writer.was_busy:
            await writer.write(piece)
