"""An execution that goes on, as the server that runs it knows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sandql.core.errors import ResourceError
from sandql.core.executions import KeptExecution
from sandql.core.values import Completed, Output, Stream
from sandql.providers.base import Program
from sandql.sandboxes.event_log import EventLog


@dataclass(slots=True)
class Running:
    """An execution that goes on. `started` is done when it has a row; `readers` are woken by every event.

    `queued` is whether its program has not begun.
    """

    id: str
    owner: str
    started: asyncio.Future[KeptExecution]
    task: asyncio.Task[None] | None = None
    log: EventLog | None = None
    program: Program | None = None
    last: Completed | None = None
    queued: bool = True
    cancelled: bool = False
    input_bytes: int = 0
    readers: set[asyncio.Event] = field(default_factory=set[asyncio.Event])

    def wake(self) -> None:
        """Tell all readers that there is something new."""
        for reader in self.readers:
            reader.set()

    def write(self, stream: Stream, data: bytes) -> None:
        """Write an event of output, and tell all readers. Raises ResourceError: the disk is full."""
        assert self.log is not None
        try:
            self.log.append(Output(self.log.seq + 1, stream, data))
        except OSError as error:
            raise unwritten(error) from error
        self.wake()

    def refuse(self, error: BaseException) -> None:
        """Tell whoever waits for the start that there is none; they may be gone."""
        if not self.started.done():
            self.started.set_exception(error)
            self.started.exception()

    @asynccontextmanager
    async def news(self) -> AsyncGenerator[asyncio.Event]:
        """An event that is set by all that becomes of the execution."""
        news = asyncio.Event()
        self.readers.add(news)
        try:
            yield news
        finally:
            self.readers.discard(news)


def unwritten(error: OSError) -> ResourceError:
    """What the house says when a log cannot be written."""
    return ResourceError(f"the events of the program could not be written: {error.strerror}")
