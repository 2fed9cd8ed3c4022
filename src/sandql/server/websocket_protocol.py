"""uvicorn's WebSocket protocol, with the bounds that it lacks."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

MAX_FRAGMENTS: Final = 16_384  # a list slot each, however small the fragment: `ws_max_size` counts only their bytes
_ABORT_S: Final = 5.0  # for what a peer has not read yet, once there is no more to say to it
_GOING_AWAY: Final = 1001
_TOO_BIG: Final = 1009

_quiet = logging.getLogger("uvicorn.error.websocket")
_quiet.setLevel(logging.WARNING)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """What `uvicorn.Config(ws=…)` is given. It never keeps for a peer more than that peer is willing to read.

    The base class is pinned: it is looked at again with every new version of uvicorn.
    """

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
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(_TOO_BIG, f"more than {MAX_FRAGMENTS} fragments")
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
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    async def run_asgi(self) -> None:
        """Run the application, then close; a peer that does not read does not keep the socket."""
        await super().run_asgi()
        self._abort_later()

    def shutdown(self) -> None:
        """Say goodbye because the server ends."""
        if self.handshake_complete and not self.close_sent:
            self.stop_keepalive()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": _GOING_AWAY})
            self.conn.send_close(_GOING_AWAY, "the server is ending")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
            self._abort_later()
            return
        super().shutdown()

    def _abort_later(self) -> None:
        if not self.disconnected:
            self.loop.call_later(_ABORT_S, self.transport.abort)
