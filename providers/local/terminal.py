"""A terminal in which a program of a kept sandbox runs."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from collections.abc import AsyncGenerator, Callable
from typing import Final

from sandql.core.errors import Conflict
from sandql.core.spent import Spent
from sandql.core.terminals import TerminalEnd, TerminalRequest, TerminalSize
from sandql.core.values import Outcome, Stream
from sandql.providers.local.engine import Cell, Engine
from sandql.providers.local.outcome import LOST, End, Verdict, judge
from sandql.providers.local.pty import Pty
from sandql.providers.local.run import CellRun

_READ_BYTES: Final = 64 << 10
_GRACE_S: Final = 1.0  # for a program that is hung up on
_ENDED: Final = "id: the terminal's program has ended"


class LocalTerminal:
    """See `sandql.providers.base.Terminal`."""

    def __init__(self, engine: Engine, cell: Cell, pty: Pty, job: bytes, request: TerminalRequest) -> None:
        self._engine = engine
        self._spending = engine.follow(cell)
        self._cell = cell
        self._pty = pty
        self._limits = request.limits
        self._loop = asyncio.get_running_loop()
        self._writing = asyncio.Lock()
        self._interrupts = 0
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._killing: asyncio.TimerHandle | None = None
        self.run = CellRun(cell, job, _drop, engine.readers)
        self.run.ended.add_done_callback(self._wake)

    async def output(self) -> AsyncGenerator[bytes]:
        """Yield what it shows; see `sandql.providers.base.Terminal`."""
        while True:
            self._readable.clear()
            over = self.run.ended.done()
            data = self._read()
            if data:
                yield data
            elif over:
                return
            else:
                self._loop.add_reader(self._pty.master, self._readable.set)
                try:
                    await self._readable.wait()
                finally:
                    self._stop_watching(self._loop.remove_reader)

    async def write(self, data: bytes) -> None:
        """Type; see `sandql.providers.base.Terminal`."""
        if self.interrupt(data):
            return
        view = memoryview(data)
        interrupts = self._interrupts
        async with self._writing:
            while view and interrupts == self._interrupts:
                self._writable.clear()
                if self.run.ended.done():
                    raise Conflict(_ENDED)
                try:
                    view = view[os.write(self._pty.master, view) :]
                except BlockingIOError:
                    await self._until_writable()
                except OSError:  # EIO: nobody has the other end
                    raise Conflict(_ENDED) from None

    def interrupt(self, data: bytes) -> bool:
        """Let a key overtake what waits; see `sandql.providers.base.Terminal`."""
        if self.run.ended.done():
            return False
        try:
            if len(data) != 1 or not (self._writing.locked() or self._pty.is_behind()) or not self._pty.interrupt(data):
                return False
        except (OSError, termios.error):  # nobody has the other end
            return False
        self._interrupts += 1
        self._writable.set()
        return True

    def resize(self, size: TerminalSize) -> None:
        """Give it another size; see `sandql.providers.base.Terminal`."""
        if not self.run.ended.done():
            self._pty.resize(size)

    def hang_up(self) -> None:
        """End its program as the end of a line would; see `sandql.providers.base.Terminal`."""
        if self._killing is None and not self.run.ended.done():
            self._engine.signal(self._cell, signal.SIGHUP.value)
            self._engine.signal(self._cell, signal.SIGCONT.value)
            self._killing = self._loop.call_later(_GRACE_S, self._engine.kill, self._cell, "CANCELLED")

    async def ended(self) -> TerminalEnd:
        """How its program ended; see `sandql.providers.base.Terminal`."""
        end: End | None = await asyncio.shield(self.run.ended)
        verdict = LOST if end is None else judge(end, self._limits, b"")
        return TerminalEnd(verdict.exit_code, verdict.signal, self._why(end, verdict))

    async def spent(self) -> Spent:
        """What it has used; see `sandql.providers.base.Lasting`."""
        return await self._spending.of(self.run.ended)

    def close(self) -> None:
        """End its program, and let go of the terminal."""
        if self._killing is not None:
            self._killing.cancel()
        if not self.run.ended.done() or self.run.ended.cancelled():
            self._engine.kill(self._cell, "CANCELLED")
        self.run.close()
        self._stop_watching(self._loop.remove_reader)
        self._stop_watching(self._loop.remove_writer)
        self._pty.close()

    def _read(self) -> bytes:
        """All that is there, of which the kernel gives a few KiB at a time."""
        data = bytearray()
        try:
            while len(data) < _READ_BYTES and (piece := os.read(self._pty.master, _READ_BYTES - len(data))):
                data += piece
        except OSError:  # nothing more is there now, or nobody has the other end
            pass
        return bytes(data)

    async def _until_writable(self) -> None:
        self._loop.add_writer(self._pty.master, self._writable.set)
        try:
            await self._writable.wait()
        finally:
            self._stop_watching(self._loop.remove_writer)

    def _wake(self, _ended: object) -> None:
        self._readable.set()
        self._writable.set()

    def _stop_watching(self, remove: Callable[[int], bool]) -> None:
        if self._pty.master >= 0:  # else it was closed meanwhile, and nothing watched it then
            remove(self._pty.master)

    def _why(self, end: End | None, verdict: Verdict) -> str | None:
        """Why the house ended its program, if it did."""
        if end is not None and end.cause == "TIMED_OUT":
            return f"a terminal is closed after {self._limits.wall_ms // 1000} s"
        if verdict.problem is None or (verdict.outcome is Outcome.KILLED and end is not None and end.cause is None):
            return None
        return verdict.problem.message


def _drop(_stream: Stream, _data: bytes) -> None:
    """What comes before the terminal is taken, or by other ways than it: nobody asked for that."""
