"""One run in one cell: the job goes in, output comes out, and the zygote says how it ended."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter

from sandql.core.values import Compilation, Stream
from sandql.providers.local.cell.wire import split_frames
from sandql.providers.local.engine import Cell
from sandql.providers.local.outcome import End
from sandql.providers.local.readers import Readers

_READ_BYTES = 64 * 1024  # what a pipe holds
_PATIENCE_S = 0.005

OnOutput = Callable[[Stream, bytes], None]


class CellRun:
    """A run. `start` it once, `await ended`, and `close` it on every way out.

    `on_output` is called on the event loop with each piece of output; `pause` holds the program back by not reading. With
    `interactive`, the program's input stays open behind the job for `send`, until `close_input`.
    """

    def __init__(self, cell: Cell, job: bytes, on_output: OnOutput, readers: Readers, *, interactive: bool = False) -> None:
        self._cell = cell
        self._readers = readers
        self._unsent = deque([memoryview(job)])
        self._input_open = interactive
        self._waiting_to_send = False
        self._broken = False  # nobody reads what is sent any more
        self._senders: deque[asyncio.Future[None]] = deque()
        self._on_output = on_output
        self._loop = asyncio.get_running_loop()
        self._status = b""
        self._reading: dict[int, Stream] = {}
        self._paused = False
        self._patience: asyncio.TimerHandle | None = None
        self._began = 0.0
        self.wall_ms = 0
        self.compilation: Compilation | None = None
        self.ended: asyncio.Future[End | None] = self._loop.create_future()  # None: the sandbox was lost

    def start_clock(self) -> None:
        """Begin to count its wall time: before anybody else does, so that none takes longer than is said."""
        self._began = perf_counter()

    def start(self, *, patient: bool) -> None:
        """Send the job and begin to read: at once, or, when `patient`, once the program has run for longer than most do.

        What a short program writes waits in its pipes; watching them would cost more than reading them at the end.
        """
        cell = self._cell
        self._reading = {cell.stdout_r: Stream.STDOUT, cell.stderr_r: Stream.STDERR}
        self._readers.add(cell.status_r, self._read_status)
        self._paused = True
        if patient:
            self._patience = self._loop.call_later(_PATIENCE_S, self.resume)
        else:
            self.resume()
        self._send()

    async def send(self, data: bytes) -> None:
        """Give bytes to the program's input; returns when its pipe has taken them, and all that was sent before.

        Raises:
            BrokenPipeError: its input is closed, or it has ended.
        """
        if not self._input_open:
            raise BrokenPipeError
        self._unsent.append(memoryview(data))
        if not self._waiting_to_send:
            self._send()
        if self._unsent:
            sent: asyncio.Future[None] = self._loop.create_future()
            self._senders.append(sent)
            await sent
        if self._broken:
            raise BrokenPipeError

    @property
    def unsent_bytes(self) -> int:
        """How much was given to `send` that the program has not read."""
        return sum(len(data) for data in self._unsent)

    def close_input(self) -> None:
        """Let the program read the end of its input behind what was sent; idempotent."""
        if self._input_open:
            self._input_open = False
            if not self._waiting_to_send:
                self._send()

    def pause(self) -> None:
        """Stop reading output; the program waits when its pipe is full."""
        if not self._paused:
            self._paused = True
            for fd in self._reading:
                self._readers.remove(fd)

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            for fd, stream in self._reading.items():
                self._readers.add(fd, partial(self._read_output, fd, stream))

    def drain(self) -> None:
        """Read what is in the pipes now, of a program that has ended or said its last. Whoever goes on writing is not waited for."""
        for fd, stream in list(self._reading.items()):
            left = int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)
            while left > 0 and (read := self._read_output(fd, stream)):
                left -= read

    def close(self) -> None:
        """Stop reading and writing the cell's pipes, whose descriptors the cell's borrower closes."""
        cell = self._cell
        if self._patience is not None:
            self._patience.cancel()
        for fd in (*self._reading, cell.status_r):
            self._readers.remove(fd)
        self._reading.clear()
        if cell.job_w >= 0 and self._waiting_to_send:
            self._loop.remove_writer(cell.job_w)
        self._broken, self._input_open = True, False
        self._wake_senders()
        if not self.ended.done():
            self.ended.cancel()

    def _send(self) -> None:
        cell = self._cell
        try:
            while self._unsent:
                rest = self._unsent[0][os.write(cell.job_w, self._unsent[0]) :] if self._unsent[0] else None
                if rest:
                    self._unsent[0] = rest
                else:
                    self._unsent.popleft()
        except BlockingIOError:
            if not self._waiting_to_send:
                self._waiting_to_send = True
                self._loop.add_writer(cell.job_w, self._send)
            return
        except BrokenPipeError:  # the program closed its input, or is gone
            self._unsent.clear()
            self._broken, self._input_open = True, False
        if self._waiting_to_send:
            self._waiting_to_send = False
            self._loop.remove_writer(cell.job_w)
        if not self._input_open:
            os.close(cell.job_w)
            cell.job_w = -1
        self._wake_senders()

    def _wake_senders(self) -> None:
        while self._senders:
            sent = self._senders.popleft()
            if not sent.done():
                sent.set_result(None)

    def _read_output(self, fd: int, stream: Stream) -> int:
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._on_output(stream, data)
            return len(data)
        self._readers.remove(fd)
        self._reading.pop(fd, None)
        return 0

    def _read_status(self) -> None:
        try:
            data = os.read(self._cell.status_r, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._finish(None)
            return
        messages, self._status = split_frames(self._status + data)
        for message in messages:
            if message[0] == "compiled":
                self.compilation = Compilation(*message[1:])
            elif message[0] == "end":
                self._finish(End(*message[1:]))
            else:
                self._finish(None)

    def _finish(self, end: End | None) -> None:
        if not self.ended.done():
            self._readers.remove(self._cell.status_r)
            self.wall_ms = round((perf_counter() - self._began) * 1000)
            self.ended.set_result(end)
