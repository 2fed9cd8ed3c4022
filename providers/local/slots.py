"""How many programs may run at one time, and how many wait for their turn."""

from __future__ import annotations

import asyncio
from types import TracebackType

from sandql.core.errors import ResourceError


class Slots:
    """`async with slots:` is a place among at most `most` that run, `taken` of which are; up to `max_queued` wait for one.

    Raises:
        ResourceError: the queue is full.
    """

    def __init__(self, most: int, max_queued: int) -> None:
        self._most = most
        self._max_queued = max_queued
        self._free = asyncio.Semaphore(most)
        self._queued = 0
        self.taken = 0

    async def __aenter__(self) -> None:
        await self._wait()
        self.taken += 1

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.taken -= 1
        self._free.release()

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        if self._queued >= self._max_queued:
            raise ResourceError(f"{self._most} programs run and {self._queued} wait, which is the most; try again later", retry_after_s=1.0)
        self._queued += 1
        try:
            await self._free.acquire()
        finally:
            self._queued -= 1
