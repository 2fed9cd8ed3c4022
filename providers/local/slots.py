"""How many programs may run at one time, and how many wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType

from sandql.core.errors import ResourceError
from sandql.core.load import Waits
from sandql.core.tracing import span


class Slots:
    """`async with slots:` is a place among at most `most` that run, `taken` of which are; up to `max_queued` wait for one.

    `queued` wait now; `waits` has how long all have waited.

    Raises:
        ResourceError: the queue is full.
    """

    def __init__(self, most: int, max_queued: int) -> None:
        self._most = most
        self._max_queued = max_queued
        self._free = asyncio.Semaphore(most)
        self.queued = 0
        self.taken = 0
        self.waits = Waits()

    async def __aenter__(self) -> None:
        with span("queue"):
            await self._wait()
        self.taken += 1

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.taken -= 1
        self._free.release()

    @asynccontextmanager
    async def lasting(self) -> AsyncGenerator[None]:
        """A place for what mostly waits, a terminal or a context: it is not counted in `taken`. Raises as entering does."""
        await self._wait()
        try:
            yield
        finally:
            self._free.release()

    async def _wait(self) -> None:
        if not self._free.locked():
            self.waits.none()
            await self._free.acquire()
            return
        if self.queued >= self._max_queued:
            raise ResourceError(f"{self._most} programs run and {self.queued} wait, which is the most; try again later", retry_after_s=1.0)
        self.queued += 1
        try:
            with self.waits.one():
                await self._free.acquire()
        finally:
            self.queued -= 1
