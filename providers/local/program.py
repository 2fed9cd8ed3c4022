"""A program that runs in a cell, held by whoever started it."""

from __future__ import annotations

import asyncio
import signal as signals
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from sandql.core.errors import Conflict
from sandql.core.values import Completed, Event, Execution, Outcome, Output, RunRequest, Signal, Started, Stream
from sandql.providers.local.engine import Cell, Engine
from sandql.providers.local.jobs import Job
from sandql.providers.local.kept_output import KeptOutput
from sandql.providers.local.outcome import End
from sandql.providers.local.run import CellRun

_STREAM_BUFFER: Final = 1 << 20  # bytes of output that wait for a slow reader before the program has to

Finish = Callable[[End | None, KeptOutput, str], Awaitable[Execution]]


class LocalProgram:
    """See `sandql.providers.base.Program`."""

    def __init__(self, engine: Engine, cell: Cell, job: Job, request: RunRequest) -> None:
        self._engine = engine
        self._cell = cell
        self._kept = KeptOutput(request.limits.output_bytes)
        self._waiting: deque[tuple[Stream, bytes]] = deque()
        self._held = 0
        self._news = asyncio.Event()
        self._ending: asyncio.Future[End | None] | None = None
        self._finish: Finish | None = None
        self.id = job.id
        self.run = CellRun(cell, job.data, self._on_output, engine.readers, interactive=request.interactive)

    def watch(self, ending: asyncio.Future[End | None], finish: Finish) -> None:
        """Be told how the program ends, and what makes an execution of that."""
        self._ending, self._finish = ending, finish
        ending.add_done_callback(lambda _: self._news.set())

    def stop_watching(self) -> None:
        """Wait no more for its end."""
        if self._ending is not None and not self._ending.done():
            self._ending.cancel()

    async def events(self) -> AsyncGenerator[Event]:
        """Yield its events; see `sandql.providers.base.Program`."""
        run, ending, finish = self.run, self._ending, self._finish
        assert ending is not None
        assert finish is not None
        seq = 1
        yield Started(seq, self.id)
        while True:
            await self._news.wait()
            self._news.clear()
            over = ending.done()
            if over and ending.result() is not None:
                run.drain()
            while self._waiting:
                stream, data = self._waiting.popleft()
                self._held -= len(data)
                seq += 1
                yield Output(seq, stream, data)
                if self._held < _STREAM_BUFFER and not over:
                    run.resume()
            if over:
                break
        yield Completed(seq + 1, await finish(ending.result(), self._kept, self.id))

    async def send_input(self, data: bytes) -> None:
        """Give bytes to its input; see `sandql.providers.base.Program`."""
        try:
            await self.run.send(data)
        except BrokenPipeError:
            raise Conflict("input: the program reads no input any more") from None

    def close_input(self) -> None:
        """End its input; see `sandql.providers.base.Program`."""
        self.run.close_input()

    def send_signal(self, signal: Signal) -> None:
        """Send it a signal; see `sandql.providers.base.Program`."""
        if signal is Signal.KILL:
            self.stop(Outcome.CANCELLED)
        elif not self.run.ended.done():
            self._engine.signal(self._cell, signals.Signals[f"SIG{signal}"].value)

    def stop(self, why: Outcome) -> None:
        """End it; see `sandql.providers.base.Program`."""
        self._engine.kill(self._cell, why.value)

    def _on_output(self, stream: Stream, data: bytes) -> None:
        self._kept.add(stream, data)
        self._waiting.append((stream, data))
        self._held += len(data)
        if self._held >= _STREAM_BUFFER:
            self.run.pause()
        self._news.set()
