"""A context: a cell in which a driver of ours runs one piece of code after the other, in one namespace."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import secrets
import signal
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final, cast

from sandql.core.contexts import ContextRequest
from sandql.core.errors import Conflict
from sandql.core.spent import Spent
from sandql.core.tasks import to_its_end
from sandql.core.values import (
    Completed,
    Event,
    Execution,
    ExecutionException,
    Isolation,
    Limits,
    Outcome,
    Output,
    Problem,
    RichResult,
    RunRequest,
    Started,
    Stream,
)
from sandql.providers.local.engine import Cell, Engine
from sandql.providers.local.kept_output import KeptOutput
from sandql.providers.local.outcome import LOST, Verdict, judge
from sandql.providers.local.run import CellRun

_MOST_ANSWER: Final = 32 << 20  # bytes of one answer
_MOST_STRINGS: Final = 10_000  # in one answer; the driver gives 64 results, each in a few kinds
_MOST_STRUCTURE: Final = 256 << 10  # bytes of one answer outside of its strings
_MOST_STRAY: Final = 64  # frames that are no answer, for one piece of code; the driver sends a few
_MOST_UNREAD: Final = 8 << 20  # bytes of earlier code that the driver has not read
_READ_BYTES: Final = 256 << 10
_READS: Final = 8  # of the channel, until others have their turn
_GRACE_S: Final = 2.0  # for code that is interrupted for good
_AGAIN_S: Final = 0.1  # until it is interrupted again
_HELD_BYTES: Final = 1 << 20


_libc: Final = ctypes.CDLL(None)


_CLOSED: Final = Verdict(Outcome.CANCELLED, problem=Problem("CANCELLED", "the context was closed or restarted"))
_LEFT: Final = Verdict(Outcome.SANDBOX_LOST, problem=Problem("SANDBOX_LOST", "the context ended before it answered; restart it"))


class _NoAnswer(Exception):
    """The driver said something that is none, or closed its channel."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a driver's answers come: a FIFO in the cell's own /tmp, open for reading, and its path there."""

    fd: int
    path: str


def open_channel(workspace_fd: int) -> Channel:
    """Make the channel of a cell in which nothing runs yet; the caller closes `fd`. As with `Pty`, `..` leads up inside the cell."""
    name = f".sandql-{secrets.token_hex(8)}"
    owner = os.fstat(workspace_fd)
    tmp_fd = os.open("../tmp", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=workspace_fd)  # as ourselves: a program may have shut its folder
    # The cell's file systems know no uid of the server's, so that it can make nothing there as itself. This holds for this thread only.
    _libc.setfsgid(owner.st_gid)
    _libc.setfsuid(owner.st_uid)
    try:
        os.mkfifo(name, 0o600, dir_fd=tmp_fd)
        return Channel(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tmp_fd), f"/tmp/{name}")
    finally:
        os.close(tmp_fd)
        _libc.setfsuid(os.geteuid())
        _libc.setfsgid(os.getegid())


class LocalContext:
    """See `sandql.providers.base.Context`."""

    def __init__(self, engine: Engine, cell: Cell, channel: Channel, job: bytes, request: ContextRequest, isolation: Isolation, home: str) -> None:
        self._engine = engine
        self._spending = engine.follow(cell)
        self._cell = cell
        self._channel = channel
        self._request = request
        self._isolation = isolation
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._stray = 0
        self._answers = bytearray()
        self._news = asyncio.Event()
        self._waiting: deque[tuple[Stream, bytes]] = deque()
        self._held = 0
        self._closed = False
        self._clock: _Clock | None = None
        self._begun = False
        self._insists = False
        self._interrupt_at_begin = False
        self.run = CellRun(cell, job, self._on_output, engine.readers, interactive=True)
        self.run.ended.add_done_callback(lambda _: self._news.set())

    @property
    def alive(self) -> bool:
        """Whether it can run code."""
        return not self.run.ended.done()

    async def execute(self, request: RunRequest) -> AsyncGenerator[Event]:
        """Run code in the context; see `sandql.providers.base.Context`."""
        self._number += 1
        self._begun = self._interrupt_at_begin = False
        self._stray = 0
        kept = KeptOutput(request.limits.output_bytes)
        clock = self._clock = _Clock(self._engine, self._cell, request.limits.wall_ms / 1000)
        seq, answer, sending, finished = 1, None, None, False
        try:
            before = await self.spent()
            if not self.alive:
                raise Conflict("contextId: this context has ended; restart it, or make another")
            if self.run.unsent_bytes > _MOST_UNREAD:
                self._engine.kill(self._cell, "SANDBOX_LOST")
            began = perf_counter()
            message = json.dumps({"id": self._number, "code": request.code.decode()}).encode()
            sending = asyncio.ensure_future(self.run.send(len(message).to_bytes(4, "little") + message))
            self._loop.add_reader(self._channel.fd, self._news.set)
            self.run.resume()
            yield Started(seq, request.id)
            while not finished:
                await self._news.wait()
                self._news.clear()
                answer = self._answer()
                finished = answer is not None or self.run.ended.done()
                if finished:
                    if answer is not None and answer.get("exit") is not None:
                        await asyncio.wait((self.run.ended,), timeout=_GRACE_S)
                    self.run.drain()
                while self._waiting:
                    stream, data = self._waiting.popleft()
                    self._held -= len(data)
                    kept.add(stream, data)
                    if kept.total > request.limits.output_hard_bytes:
                        self._engine.kill(self._cell, "OUTPUT_LIMIT")
                    seq += 1
                    yield Output(seq, stream, data)
                if self._held < _HELD_BYTES and not finished:
                    self.run.resume()
            wall_ms = round((perf_counter() - began) * 1000)
            yield Completed(seq + 1, await self._execution(request, kept, answer, wall_ms, clock.over, before))
        finally:
            if sending is not None and not finished:
                await to_its_end(self._give_up(clock))
            self._drop_output()  # whoever left may have left some of it
            clock.stop()
            self._clock = None
            if sending is not None:
                sending.cancel()
            if not self._closed:
                self._loop.remove_reader(self._channel.fd)
            self.run.pause()

    async def _give_up(self, clock: _Clock) -> None:
        """Interrupt code whose caller is gone until the driver answers, or end the context: nothing of it may become part of what comes next."""
        clock.interrupt("CANCELLED")
        while self.alive and self._answer() is None:
            self._drop_output()
            self.run.resume()
            await self._news.wait()
            self._news.clear()
        self.run.drain()

    def _drop_output(self) -> None:
        self._waiting.clear()
        self._held = 0

    def interrupt(self) -> None:
        """Interrupt what runs; see `sandql.providers.base.Context`."""
        if not self.alive:
            return
        if not self._begun:
            self._interrupt_at_begin = True  # a driver takes no notice before
        elif self._insists and self._clock is not None:
            self._clock.interrupt(None)
        else:
            self._engine.signal(self._cell, signal.SIGINT.value)

    def stop(self) -> None:
        """Interrupt what runs for good; see `sandql.providers.base.Context`."""
        if self._clock is not None:
            self._clock.interrupt("CANCELLED")

    def end(self) -> None:
        """End it; see `sandql.providers.base.Context`."""
        if self.alive:
            self._engine.kill(self._cell, "CANCELLED")

    async def ended(self) -> None:
        """Return when it has ended; see `sandql.providers.base.Context`."""
        await asyncio.wait((self.run.ended,))

    async def spent(self) -> Spent:
        """What it has used; see `sandql.providers.base.Lasting`."""
        return await self._spending.of(self.run.ended)

    def close(self) -> None:
        """End it."""
        if not self.run.ended.done() or self.run.ended.cancelled():
            self._engine.kill(self._cell, "CANCELLED")
        self.run.close()
        self._closed = True  # from now on the number of its channel may be that of another's
        self._loop.remove_reader(self._channel.fd)
        os.close(self._channel.fd)
        self._news.set()  # code may run, whose caller doesn't read

    def _on_output(self, stream: Stream, data: bytes) -> None:
        self._waiting.append((stream, data))
        self._held += len(data)
        if self._held >= _HELD_BYTES:
            self.run.pause()
        self._news.set()

    def _answer(self) -> dict[str, Any] | None:
        """The driver's answer to the code that runs, once it has come. A driver that says what is none is ended."""
        try:
            self._read_channel()
            while (said := self._take_frame()) is not None:
                found = _parsed(said)
                if found.get("id") == self._number and "begun" not in found:
                    return found
                self._stray += 1
                if self._stray > _MOST_STRAY:
                    raise _NoAnswer
                if found.get("id") != self._number:  # what was left of one that was given up
                    continue
                self._begun, self._insists = True, found.get("insist") is True
                if self._interrupt_at_begin:
                    self._interrupt_at_begin = False
                    self.interrupt()
            return None
        except (_NoAnswer, ValueError, RecursionError):
            self._engine.kill(self._cell, "SANDBOX_LOST")
            return None

    def _take_frame(self) -> bytes | None:
        size = int.from_bytes(self._answers[:4], "little")
        if len(self._answers) < 4:
            return None
        if size > _MOST_ANSWER:
            raise _NoAnswer
        if len(self._answers) < 4 + size:
            return None
        frame = bytes(self._answers[4 : 4 + size])
        del self._answers[: 4 + size]
        return frame

    def _read_channel(self) -> None:
        for _ in range(_READS if not self._closed and len(self._answers) < _MOST_ANSWER + 4 else 0):
            try:
                data = os.read(self._channel.fd, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._channel.fd)
                if len(self._answers) < 4 and not self.run.ended.done():
                    raise _NoAnswer  # nobody will answer any more
                return
            self._answers += data

    async def _execution(
        self, request: RunRequest, kept: KeptOutput, answer: dict[str, Any] | None, wall_ms: int, timed_out: bool, before: Spent
    ) -> Execution:
        results: tuple[RichResult, ...] = ()
        exception = None
        if answer is None:
            await asyncio.wait((self.run.ended,))
            end = None if self.run.ended.cancelled() else self.run.ended.result()
            verdict = _CLOSED if self.run.ended.cancelled() else LOST if end is None else judge(end, self._request.limits, kept.tail)
            if verdict.outcome in (Outcome.COMPLETED, Outcome.FAILED):
                verdict = replace(_LEFT, exit_code=verdict.exit_code)
        else:
            verdict, results, exception = _read_answer(answer)
        if timed_out and verdict.outcome is not Outcome.COMPLETED:
            verdict = Verdict(Outcome.TIMED_OUT, problem=_too_long(request.limits))
        spent = await self.spent()
        return Execution(
            id=request.id,
            outcome=verdict.outcome,
            exit_code=verdict.exit_code,
            signal=verdict.signal,
            stdout=kept.bytes_of(Stream.STDOUT),
            stderr=kept.bytes_of(Stream.STDERR),
            truncated=kept.truncated,
            wall_ms=wall_ms,
            cpu_ms=spent.cpu_ms - before.cpu_ms,
            peak_memory_kib=spent.peak_memory_kib,
            provider="local",
            language=request.language,
            sandbox_id=self._home,
            isolation=self._isolation,
            problem=verdict.problem,
            results=results,
            exception=exception,
        )


class _Clock:
    """The time that code has: when it is over, the code is interrupted, and a little later the context is ended."""

    def __init__(self, engine: Engine, cell: Cell, wall_s: float) -> None:
        self._engine = engine
        self._cell = cell
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.call_later(wall_s, self._ring)
        self._again: asyncio.TimerHandle | None = None
        self.over = False

    def stop(self) -> None:
        self._end.cancel()
        if self._again is not None:
            self._again.cancel()

    def interrupt(self, cause: str | None) -> None:
        """Interrupt the code, again and again; with a cause, end the context for that if the code goes on."""
        if cause is not None:
            self._end.cancel()
            self._end = self._loop.call_later(_GRACE_S, self._engine.kill, self._cell, cause)
        if self._again is None:
            self._insist()

    def _insist(self) -> None:
        self._engine.signal(self._cell, signal.SIGINT.value)
        self._again = self._loop.call_later(_AGAIN_S, self._insist)

    def _ring(self) -> None:
        self.over = True
        self.interrupt("TIMED_OUT")


def _too_long(limits: Limits) -> Problem:
    return Problem("TIMED_OUT", f"the code ran longer than its {limits.wall_ms} ms; ask for a longer timeout, or do less")


def _parsed(frame: bytes) -> dict[str, Any]:
    """What a frame says. All else waits while it is parsed, so what says more than a driver does is not. Raises ValueError, _NoAnswer."""
    bare = frame.replace(rb"\\", b"").replace(rb"\"", b"")  # what is left of the quotes are the ends of strings
    if bare.count(b'"') > 2 * _MOST_STRINGS or sum(map(len, bare.split(b'"')[::2])) > _MOST_STRUCTURE:
        raise _NoAnswer
    answer = json.loads(frame)
    if not isinstance(answer, dict):
        raise _NoAnswer
    return cast("dict[str, Any]", answer)


def _read_answer(answer: dict[str, Any]) -> tuple[Verdict, tuple[RichResult, ...], ExecutionException | None]:
    """What a driver says, as far as it makes sense: it may be forged."""
    results: list[RichResult] = []
    for number, shown in enumerate(_items(answer.get("results"))):
        for kind, told in _members(shown):
            if isinstance(told, list) and len(cast("list[Any]", told)) == 2:
                data, encoding = cast("list[Any]", told)
                results.append(RichResult(number, _text(kind)[:255], _text(data), "BASE64" if encoding == "BASE64" else "UTF8"))
    failed = answer.get("exception")
    exception = None
    if isinstance(failed, dict):
        said = cast("dict[str, Any]", failed)
        exception = ExecutionException(_text(said.get("name")), _text(said.get("value")), _text(said.get("traceback")))
    code = answer.get("exit")
    exit_code = code if isinstance(code, int) else int(exception is not None)
    outcome = Outcome.COMPLETED if exit_code == 0 and exception is None else Outcome.FAILED
    return Verdict(outcome, exit_code & 0xFF), tuple(results), exception


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _members(value: object) -> list[tuple[object, object]]:
    return list(cast("dict[object, object]", value).items()) if isinstance(value, dict) else []


def _text(value: object) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
