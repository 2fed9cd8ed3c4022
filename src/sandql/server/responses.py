"""Answers as ASGI messages."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from starlette.types import Send

from sandql.core.errors import Unauthenticated
from sandql.server.graphql_errors import ErrorDict, RequestRefused
from sandql.server.json_bytes import encode_json
from sandql.server.negotiation import JSON, RESPONSE_JSON

Header = tuple[bytes, bytes]

NO_SNIFF: Header = (b"x-content-type-options", b"nosniff")
NO_STORE: Header = (b"cache-control", b"no-store")
CLOSE: Header = (b"connection", b"close")

_CONTENT_TYPES = {media: (b"content-type", f"{media}; charset=utf-8".encode()) for media in (JSON, RESPONSE_JSON)}


def waits(errors: Iterable[ErrorDict]) -> tuple[Header, ...]:
    """`Retry-After` with the longest wait that these errors ask for; nothing where none does."""
    asked = [error["extensions"]["retryAfter"] for error in errors if "retryAfter" in error.get("extensions", ())]
    return ((b"retry-after", str(max(1, math.ceil(max(asked)))).encode()),) if asked else ()


async def send_json(send: Send, value: Any, *, status: int = 200, media: str = JSON, headers: tuple[Header, ...] = ()) -> None:
    """Send one JSON answer, as `application/json` or `application/graphql-response+json`."""
    body = encode_json(value)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_CONTENT_TYPES[media], length, NO_SNIFF, NO_STORE, *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, refused: RequestRefused, *, media: str = JSON, headers: tuple[Header, ...] = ()) -> None:
    """Send why a request was not executed.

    The status says it too, but for a client of plain `application/json` whose document is at fault: GraphQL over HTTP has 200 for that.
    """
    status = 200 if refused.is_graphql and media == JSON else refused.status
    headers = (*headers, *waits(refused.errors))
    if status == Unauthenticated.status:
        headers = (*headers, (b"www-authenticate", b"Bearer"))  # RFC 9110 asks for it
    await send_json(send, {"errors": refused.errors}, status=status, media=media, headers=headers)
