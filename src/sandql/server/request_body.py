"""A request's body, bounded in size and time while it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive

from sandql.core.errors import DeadlinePassed, PayloadTooLarge


class ClientGone(Exception):
    """The client closed the connection; nobody is there to answer."""


def check_length(headers: Mapping[bytes, bytes], most: int) -> None:
    """Refuse a body by its announced length, before any of it is read. Raises PayloadTooLarge."""
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > most:
        raise PayloadTooLarge(f"body: at most {most} bytes, got {length.decode()}; SANDQL_BODY_BYTES is the bound")


def bounded_receive(receive: Receive, most: int) -> Receive:
    """A `receive` that raises PayloadTooLarge once more than `most` bytes have come."""
    taken = 0

    async def receive_bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise PayloadTooLarge(f"body: at most {most} bytes, got {taken} or more; SANDQL_BODY_BYTES is the bound")
        return message

    return receive_bounded


async def read_body(receive: Receive, most: int, timeout_s: float) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLarge: it has more than `most` bytes; no more than that was kept.
        DeadlinePassed: it did not arrive in `timeout_s`.
        ClientGone: the client closed the connection.
    """
    bounded = bounded_receive(receive, most)
    try:
        async with asyncio.timeout(timeout_s):
            message = await bounded()
            if message["type"] == "http.request" and not message.get("more_body", False):
                return message.get("body", b"")
            body = bytearray()
            while message["type"] == "http.request":
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    return bytes(body)
                message = await bounded()
            raise ClientGone
    except TimeoutError:
        raise DeadlinePassed(f"body: must arrive within {timeout_s:g} seconds; SANDQL_BODY_TIMEOUT_S is the bound") from None


async def wait_until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection. To be called after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
