"""Threads for work on files: apart from those of the rest of the house, which must not wait for a large file or a slow disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

_MOST: Final = 16

Value = TypeVar("Value")

_threads: Final = ThreadPoolExecutor(_MOST, thread_name_prefix="sandql-files")


class Gate(Protocol):
    """How many may work at one time: a lock or a semaphore of asyncio."""

    async def acquire(self) -> bool: ...

    def release(self) -> None: ...


async def in_thread(work: Callable[[], Value], *, gate: Gate | None = None, drop: Callable[[Value], object] | None = None) -> Value:
    """What `work` returns, done in a thread. It ends by itself where the caller is cancelled; then `drop` gets what nobody waits for.

    Until it has ended it counts at the `gate`.
    """
    if gate is not None:
        await gate.acquire()
    future = asyncio.get_running_loop().run_in_executor(_threads, work)

    def ended(done: asyncio.Future[Value]) -> None:
        if gate is not None:
            gate.release()
        if not done.cancelled():
            done.exception()  # nobody may be there to look at it

    future.add_done_callback(ended)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if drop is not None:
            future.add_done_callback(lambda done: None if done.cancelled() or done.exception() else drop(done.result()))
        raise
