"""What is the same for all work that goes on when whoever asked for it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


def pass_over_error(done: asyncio.Future[Any]) -> None:
    """Take the error of what has ended, or asyncio logs it: it is for whoever asked, who may be gone. For `add_done_callback`."""
    if not done.cancelled():
        done.exception()


async def to_its_end(work: Coroutine[Any, Any, Value]) -> Value:
    """Do something to its end, however often whoever waits for it is cancelled; that is told afterwards."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        pass_over_error(task)
        raise asyncio.CancelledError
    return task.result()
