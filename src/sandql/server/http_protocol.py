"""uvicorn's HTTP protocol, with the bounds that it lacks on heads and on clients that do not read, and a response in one packet instead of two."""

from __future__ import annotations

import fcntl
import struct
import termios
from asyncio import TimerHandle, Transport
from typing import Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from sandql.server.joined_head import JoinedHead

HEADER_S: Final = 10.0
HEADER_BYTES: Final = 64 * 1024
TAKE_S: Final = 300.0  # a kernel says only now and then what a slow reader has taken

_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpProtocol(HttpToolsProtocol):
    """What `uvicorn.Config(http=…)` is given. A client has `HEADER_S` to send a request's head, of `HEADER_BYTES` at most.

    One that is sent more and takes nothing for `TAKE_S` is taken for gone: what it has open ends, as when it closes the connection.

    The base class is pinned: it is looked at again with every new version of uvicorn.
    """

    header_s = HEADER_S
    take_s = TAKE_S
    _head_timer: TimerHandle | None = None
    _take_timer: TimerHandle | None = None
    _head_bytes = 0
    _useless_bytes = 0
    _in_head = True

    def connection_made(self, transport: object) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)  # pyright: ignore[reportArgumentType]  (asyncio types it as a BaseTransport)
        self.transport = cast(Transport, JoinedHead(self.transport, self.loop))
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what came, and hold the head of a request to its bounds, and what comes beside its body: trailers, and the heads of chunks."""
        self._useless_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # it is over, or a WebSocket now
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEADER_BYTES:
                self._refuse(_TOO_LARGE)
                return
        elif self._useless_bytes > HEADER_BYTES:
            self._refuse(_TOO_LARGE)
            return
        elif self._is_answering():
            return
        # Here the client is to begin, or to end, a head; the base class stopped its own clock at the first byte. The rest of
        # a body that was answered early, and empty lines, must not hold the connection for ever either.
        if self._head_timer is None:
            self._wait_for_head()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take something of what is sent."""
        super().pause_writing()
        self._wait_until_taken(self._unsent())

    def resume_writing(self) -> None:
        """It has taken enough."""
        super().resume_writing()
        self._watch_no_more()

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport over as it was."""
        self._watch_no_more()
        if self._is_answering():  # nobody would see that the client of that request goes
            self.transport.abort()
            return
        self.transport = cast(JoinedHead, self.transport).transport
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        self._useless_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head. What comes behind the body is not kept: the base class would add it to the head's."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._useless_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._useless_bytes = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        self._watch_no_more()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.header_s, self._refuse, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _unsent(self) -> int:
        """How many bytes the client has not taken. The kernel lets go of nothing before a third of what it holds is taken, so its part counts."""
        (held,) = struct.unpack("i", fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4)))
        return held + self.transport.get_write_buffer_size()

    def _wait_until_taken(self, unsent: int) -> None:
        self._watch_no_more()
        self._take_timer = self.loop.call_later(self.take_s, self._end_unless_taken, unsent)

    def _end_unless_taken(self, before: int) -> None:
        unsent = self._unsent()
        if unsent < before:
            self._wait_until_taken(unsent)
        else:
            self.transport.abort()

    def _watch_no_more(self) -> None:
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # none before the first request, whatever the base class says
        return cycle is not None and not cycle.response_complete

    def _refuse(self, answer: bytes) -> None:
        self._stop_waiting()
        if self._is_answering() and answer is _TOO_SLOW:
            self._wait_for_head()  # the head of a second request was begun before the first was answered: that one is not disturbed
        elif not self.transport.is_closing():
            if self._in_head:
                self.transport.write(answer)
            self.transport.close()
