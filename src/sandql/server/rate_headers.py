"""Headers that say what is left of a caller's rates, as the IETF's draft "RateLimit header fields for HTTP" writes them."""

from __future__ import annotations

import math

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandql.access.rate_note import RATE_NOTE, RateNote
from sandql.server.responses import Header


class RateHeaders:
    """ASGI middleware: `RateLimit` and `RateLimit-Policy` for each kind that an HTTP request was counted as, and `Retry-After` when refused.

    A stream begins before its operation does, and has none of them; its errors say `retryAfter`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        note = RateNote()

        async def send_with_rates(message: Message) -> None:
            if message["type"] == "http.response.start" and (note.states or note.retry_after_s is not None):
                message["headers"] = [*message.get("headers", ()), *_headers(note, message)]
            await send(message)

        token = RATE_NOTE.set(note)
        try:
            await self.app(scope, receive, send_with_rates)
        finally:
            RATE_NOTE.reset(token)


def _headers(note: RateNote, message: Message) -> list[Header]:
    headers: list[Header] = []
    if note.states:
        states = {kind.lower(): state for kind, state in note.states.items()}
        left = ", ".join(f'"{kind}";r={state.remaining};t={math.ceil(state.after_s)}' for kind, state in states.items())
        policy = ", ".join(f'"{kind}";q={state.amount};w={state.period_s}' for kind, state in states.items())
        headers += [(b"ratelimit", left.encode()), (b"ratelimit-policy", policy.encode())]
    if note.retry_after_s is not None and not any(name == b"retry-after" for name, _ in message.get("headers", ())):
        headers.append((b"retry-after", str(math.ceil(note.retry_after_s)).encode()))
    return headers
