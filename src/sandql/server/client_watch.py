"""Work for a client who may go away: it is cancelled when that happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from sandql.server.request_body import ClientGone, wait_until_gone

Value = TypeVar("Value")


async def unless_gone(work: Awaitable[Value], receive: Receive) -> Value:
    """The value of `work`. It has ended, cleanup included, on every way out. To be called after the body was read.

    Raises:
        ClientGone: the client closed the connection first.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(wait_until_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
