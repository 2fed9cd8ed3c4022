"""uvicorn's WebSocket protocol, with the bounds that it lacks."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

MAX_FRAGMENTS: Final = 16_384  # a list slot each, however small the fragment: `ws_max_size` counts only their bytes
STRANGER_BYTES: Final = 64 * 1024  # of a message, all its fragments together, of a peer that has not said who it is
STRANGER_FRAGMENTS: Final = 64
ADMITTED: Final = "websocket.sandql.admitted"  # what the application sends when the peer has said who it is: its messages may be large from now on
_ABORT_S: Final = 5.0  # for what a peer has not read yet, once there is no more to say to it
ENDING: Final = "websocket.sandql.ending"  # what the application receives when the server has been told to end: it closes when it has finished
_TOO_BIG: Final = 1009

_quiet = logging.getLogger("uvicorn.error.websocket")
_quiet.setLevel(logging.WARNING)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """What `uvicorn.Config(ws=…)` is given. It never keeps for a peer more than that peer is willing to read.

    Until the application says `ADMITTED`, a message of the peer may have `STRANGER_BYTES`, afterwards `ws_max_size`. Who sends more is closed
    with 1009 when the head of the frame is there, before its data. There is no compression, so what comes is what is kept.

    The base class is pinned: it is looked at again with every new version of uvicorn.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_ending = False
        self._most_fragments = STRANGER_FRAGMENTS
        self.conn.max_message_size = STRANGER_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection. Its lines say the address with the caller's query string, so only warnings and worse are logged."""
        self.logger = _quiet
        super().connection_made(transport)

    def handle_ping(self) -> None:
        """Answer a ping, unless the peer leaves what it was sent unread: else its pings would fill the memory."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # takes the pong away; RFC 6455 5.5.3 asks for an answer to the newest ping only

    def handle_cont(self, event: Frame) -> None:
        """Collect a fragment of a message, up to a number of them."""
        if len(self.frames) >= self._most_fragments:
            self.conn.fail(_TOO_BIG, f"more than {self._most_fragments} fragments")
            self.handle_parser_exception()
            self._abort_later()
            return
        super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        """Leave a peer that does not answer pings, and tell the application so."""
        super().keepalive_timeout()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self._abort_later()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application says; a refusal with a body completes the handshake too, which the base class does not see."""
        if cast(str, message["type"]) == ADMITTED:
            self._most_fragments = MAX_FRAGMENTS
            self.conn.max_message_size = self.config.ws_max_size
            return
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
        if self._is_ending and self.close_sent:  # what was written is sent; the peer's own goodbye is not waited for
            self.transport.close()

    async def run_asgi(self) -> None:
        """Run the application, then close; a peer that does not read does not keep the socket."""
        await super().run_asgi()
        self._abort_later()

    def shutdown(self) -> None:
        """Tell the application that the server ends; how long it may take is bounded by who runs both."""
        if self.handshake_complete and not self.close_sent:
            self._is_ending = True
            self.queue.put_nowait(cast(Any, {"type": ENDING}))
            return
        super().shutdown()

    def _abort_later(self) -> None:
        if not self.disconnected:
            self.loop.call_later(_ABORT_S, self.transport.abort)
