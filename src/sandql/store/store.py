"""The database as the house uses it: a thread with an event loop of its own works on it.

A transaction is many small steps, and each waits for its turn on its loop. On the loop that serves clients a turn may take long
when there are many of them, and whoever writes would keep all other writers waiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.errors import ResourceError
from sandql.core.tasks import pass_over_error
from sandql.store.database import Database, open_database

_PATIENCE_S: Final = 3.0  # with one piece of work, of a server that is ending
_SETTLE_S: Final = 10.0  # with all that was begun
Value = TypeVar("Value")
Work = Callable[[AsyncConnection], Awaitable[Value]]


class Store:
    """Made by `open_store`, which also closes it. What is given to `read` and `write` runs in another thread, and must touch nothing else."""

    def __init__(self, loop: asyncio.AbstractEventLoop, database: Database) -> None:
        self._loop = loop
        self._database = database
        self._going: set[Future[Any]] = set()
        self._patience_s: float | None = None
        self._waits: set[asyncio.Timeout] = set()
        self.worked: Callable[[str, float], None] | None = None  # is told of each piece of work: read or write, and its seconds

    @property
    def failures(self) -> int:
        """How often the database could not be used, since the start."""
        return self._database.failures

    async def read(self, work: Work[Value]) -> Value:
        """What `work` reads. Raises ResourceError: the database cannot be used now; and what `work` raises."""
        return await self._run("read", self._read(work))

    async def write(self, work: Work[Value]) -> Value:
        """Do `work` in a transaction, which is undone when it raises; raises as `read`."""
        return await self._run("write", self._write(work))

    def hurry(self) -> None:
        """The server is ending: from now on nobody waits long for a database that does not answer."""
        self._patience_s = _PATIENCE_S
        for wait in self._waits:
            if wait.when() is None:
                wait.reschedule(asyncio.get_running_loop().time() + _PATIENCE_S)

    async def settled(self) -> None:
        """Wait, but not for ever, for what was begun: whoever asked for it may be gone, but it is not given up in the middle."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                while waited := list(self._going):  # the store's thread takes from it
                    await asyncio.wait([_here(going) for going in waited])

    async def _run(self, kind: str, work: Coroutine[Any, Any, Value]) -> Value:
        began = time.monotonic()
        going = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._going.add(going)
        going.add_done_callback(self._going.discard)
        try:
            async with asyncio.timeout(self._patience_s) as wait:
                self._waits.add(wait)
                try:
                    return await asyncio.shield(_here(going))
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            raise ResourceError("the database does not answer, and the server is ending", retry_after_s=1.0) from None
        finally:
            if self.worked is not None:
                self.worked(kind, time.monotonic() - began)

    async def _read(self, work: Work[Value]) -> Value:
        async with self._database.read() as connection:
            return await work(connection)

    async def _write(self, work: Work[Value]) -> Value:
        async with self._database.write() as connection:
            return await work(connection)


def _here(going: Future[Value]) -> asyncio.Future[Value]:
    """That work as a future of this loop. Where whoever waited is gone, its error is nobody's, and asyncio must not log it."""
    here = asyncio.wrap_future(going)
    here.add_done_callback(pass_over_error)
    return here


async def _give_up() -> None:
    """End what the database has not answered, while there is still a loop on which connections can be closed."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_PATIENCE_S)


@asynccontextmanager
async def open_store(url: str | None, folder: Path, *, upgrade: bool = True) -> AsyncGenerator[Store]:
    """Open the database in a thread, as `open_database` does, and close it on every way out. Raises SettingsError."""
    opened: Future[tuple[asyncio.AbstractEventLoop, Database, asyncio.Event]] = Future()

    async def serve() -> None:
        try:
            async with open_database(url, folder, upgrade=upgrade) as database:
                leave = asyncio.Event()
                opened.set_result((asyncio.get_running_loop(), database, leave))
                await leave.wait()
                await _give_up()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sandql-store", daemon=True)
    thread.start()
    loop, database, leave = await asyncio.wrap_future(opened)
    store = Store(loop, database)
    try:
        yield store
    finally:
        await store.settled()
        loop.call_soon_threadsafe(leave.set)
        await asyncio.to_thread(thread.join, _SETTLE_S)  # it ends with the process where its database holds it
