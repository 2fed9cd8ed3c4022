"""The operations that run on one connection, each a task, by the ids that the client gave them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Final, Self

from sandql.core.errors import Conflict, RateLimited

MAX_ID_CHARS: Final = 256  # an id is sent back with each result
_CLEANUP_S: Final = 10.0


class OperationTasks:
    """At most `most` operations at one time, those that are being ended included. Leaving the context ends and awaits them all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_id: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLEANUP_S)

    def start(self, id_: str, work: Coroutine[None, None, None]) -> None:
        """Run `work` as the operation of that id.

        Raises:
            Conflict: an operation of that id is running.
            RateLimited: there is no room for one more.
        """
        if id_ in self._by_id:
            work.close()
            raise Conflict("an operation of this id is running; use another id")
        if len(self._tasks) >= self._most:
            work.close()
            raise RateLimited(f"at most {self._most} operations at one time on a connection; end one first")
        task = asyncio.create_task(work)
        self._by_id[id_] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self, id_: str) -> None:
        """Cancel the operation of that id, if there is one; the id is free at once."""
        if task := self._by_id.pop(id_, None):
            task.cancel()

    def release_id(self, id_: str) -> None:
        """Called by the operation itself, when it is over: its id may be used again."""
        if self._by_id.get(id_) is asyncio.current_task():
            del self._by_id[id_]

    async def finished(self) -> None:
        """Wait until there is none; none may be started meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Begin to end all operations."""
        for task in self._tasks:
            task.cancel()
