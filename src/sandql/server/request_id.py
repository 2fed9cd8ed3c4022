"""An id for each request, given back to the caller and written into every log line about it."""

from __future__ import annotations

import re
import secrets
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SANE: Final = re.compile(rb"[A-Za-z0-9._:-]{1,64}\Z")


class RequestId:
    """ASGI middleware: puts `request_id` into the scope's state, and `X-Request-Id` on the response.

    A caller's own X-Request-Id is taken when it is 1 to 64 letters, digits and `._:-`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = next((value for name, value in scope["headers"] if name == b"x-request-id" and _SANE.match(value)), b"")
        request_id = request_id or secrets.token_hex(8).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        await self.app(scope, receive, send_with_id)
