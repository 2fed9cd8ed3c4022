"""Work for a client who may go away: it is cancelled when that happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from starlette.types import Receive

from sandql.server.request_body import ClientGone, wait_until_gone

_UNWATCHED_S: Final = 0.03  # most work has ended by then, and then the watch, which is a task of its own, was spared

Value = TypeVar("Value")


async def unless_gone(work: Awaitable[Value], receive: Receive) -> Value:
    """The value of `work`. It has ended, cleanup included, on every way out. To be called after the body was read.

    Raises:
        ClientGone: the client closed the connection first.
    """
    watch = _Watch(receive)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.called_off():
            raise ClientGone from None
        raise
    finally:
        watch.end()


class _Watch:
    """Cancels the task in which it was made when the client has closed the connection; `end` it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._worker = asyncio.current_task()
        self._waiting: asyncio.Task[None] | None = None
        self._is_gone = False
        self._timer = asyncio.get_running_loop().call_later(_UNWATCHED_S, self._begin)

    def called_off(self) -> bool:
        """Whether the worker was cancelled for this reason and for no other; that cancellation is then taken back."""
        return self._is_gone and self._worker is not None and self._worker.uncancel() == 0

    def end(self) -> None:
        """Watch no more."""
        self._worker = None
        self._timer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()

    def _begin(self) -> None:
        self._waiting = asyncio.create_task(wait_until_gone(self._receive))
        self._waiting.add_done_callback(self._gone)

    def _gone(self, _waiting: asyncio.Task[None]) -> None:
        if self._worker is not None and not self._worker.cancelling():  # once is enough: a second time would disturb its cleanup
            self._is_gone = True
            self._worker.cancel()
