"""Terminals that outlive their client: each goes on when nobody looks, and whoever comes back sees the last of what it showed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from sandql.core.errors import Conflict, NotFound, ProviderUnavailable, ResourceError, SandqlError
from sandql.core.settings import Settings
from sandql.core.tasks import pass_over_error
from sandql.core.terminals import Closed, Screen, TerminalEnd, TerminalInfo, TerminalRequest, TerminalSize
from sandql.core.values import Caller
from sandql.providers.base import Terminal
from sandql.sandboxes.event_log import whole_characters
from sandql.sandboxes.lease import Lease
from sandql.sandboxes.scrollback import Scrollback

_UNKNOWN: Final = "id: no terminal of yours has this id"
_ENDED: Final = "id: the terminal's program has ended"
_PIECE_BYTES: Final = 64 << 10
_TOGETHER_S: Final = 0.01  # what comes within this time after a piece is told together, so that a flood costs little
_SMALL_BYTES: Final = 1 << 10
_AGAIN_S: Final = 0.003  # after a piece that is smaller, so that a program that writes many costs little
_INPUT_S: Final = 30.0  # in which a program must read what is typed
_HELD_BYTES: Final = 1 << 10  # what a single key counts as while it waits, for its task takes as much
_PASTE_BYTES: Final = 1 << 20  # of input may always wait, however little `stdin` may be
_STALLED_S: Final = 45.0  # who takes nothing for so long holds a terminal no more for those who do
_LINE_BYTES: Final = 4 << 10  # a line that is no longer, and was cut, is not begun with
_log = structlog.get_logger()


class _Pause:
    """A short wait for more, which is cut when there is a reason not to wait."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    async def take(self, seconds: float) -> None:
        """Wait."""
        self._over.clear()
        timer = asyncio.get_running_loop().call_later(seconds, self._over.set)
        try:
            await self._over.wait()
        finally:
            timer.cancel()

    def cut(self) -> None:
        """End the wait that is being taken, if one is."""
        self._over.set()


@dataclass(eq=False, slots=True)
class _Reader:
    """Who is attached, and has taken what was shown up to byte `at`, the last of it at `took_at`; `news` wakes it. One `left` holds nobody."""

    at: int
    took_at: float = field(default_factory=time.monotonic)
    left: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    pause: _Pause = field(default_factory=_Pause)


@dataclass(eq=False, slots=True)
class _Open:
    """A terminal. `room` wakes who waits until those who are attached have taken more."""

    id: str
    owner: str
    size: TerminalSize
    screen: Scrollback
    started: asyncio.Future[None]
    sandbox_id: str = ""
    created_at: float = field(default_factory=time.time)
    active_at: float = field(default_factory=time.monotonic)
    terminal: Terminal | None = None
    lease: Lease | None = None
    end: TerminalEnd | None = None
    reason: str | None = None
    task: asyncio.Task[None] | None = None
    typing: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    typed_bytes: int = 0  # not taken yet
    readers: set[_Reader] = field(default_factory=set[_Reader])
    room: asyncio.Event = field(default_factory=asyncio.Event)
    pause: _Pause = field(default_factory=_Pause)

    def info(self) -> TerminalInfo:
        return TerminalInfo(self.id, self.sandbox_id, self.size, self.created_at, self.end)

    def wake(self) -> None:
        """Tell those who are attached that there is more, or that it has ended."""
        for reader in self.readers:
            reader.news.set()
            if self.end is not None or self.screen.end - reader.at >= _PIECE_BYTES:
                reader.pause.cut()

    def hurry(self) -> None:
        """Show what comes next at once: somebody has typed, and waits for its echo."""
        self.pause.cut()
        for reader in self.readers:
            reader.pause.cut()

    def late(self, most: int) -> list[_Reader]:
        """Who has more than so many bytes still to take, of those who are waited for."""
        return [reader for reader in self.readers if not reader.left and self.screen.end - reader.at > most]

    def touch(self) -> None:
        self.active_at = time.monotonic()
        if self.lease is not None:
            self.lease.touch()


class Terminals:
    """The terminals of all callers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, _Open] = {}

    async def create(self, caller: Caller, id_: str, lease: AbstractAsyncContextManager[Lease], request: TerminalRequest) -> TerminalInfo:
        """Open a terminal. Errors of `lease` are raised here.

        Raises:
            ResourceError: the caller has as many as there may be.
        """
        there = self._open.get(id_)
        if there is not None and there.owner == caller.subject:  # whoever asked for it first is gone
            await asyncio.shield(there.started)
            return there.info()
        own = sum(opened.owner == caller.subject and opened.end is None for opened in self._open.values())
        if own >= self._settings.max_terminals:
            raise ResourceError(f"terminals: at most {self._settings.max_terminals} at one time for a caller; close one first")
        screen = Scrollback(self._settings.terminal_kept_bytes + 2 * _PIECE_BYTES)
        opened = _Open(id_, caller.subject, request.size, screen, asyncio.get_running_loop().create_future())
        self._open[id_] = opened
        opened.task = asyncio.create_task(self._run(opened, lease, request))
        await asyncio.shield(opened.started)
        return opened.info()

    def find(self, caller: Caller, id_: str) -> TerminalInfo:
        """The caller's terminal of that id. Raises NotFound."""
        return self._find(caller, id_).info()

    def list(self, caller: Caller, sandbox_id: str | None) -> list[TerminalInfo]:
        """The caller's terminals, oldest first; those of a sandbox where one is given."""
        own = [opened.info() for opened in self._open.values() if opened.owner == caller.subject and opened.started.done()]
        own.sort(key=lambda info: info.created_at)
        return [info for info in own if sandbox_id is None or info.sandbox_id == sandbox_id]

    async def write(self, caller: Caller, id_: str, data: bytes) -> None:
        """Type; returns when the terminal has taken it.

        Raises:
            NotFound: there is no such terminal.
            Conflict: its program has ended, or is being sent too much already.
            ResourceError: its program did not read in time.
        """
        opened = self._find(caller, id_)
        if opened.terminal is None:
            raise Conflict(_ENDED)
        if opened.terminal.interrupt(data):  # however much waits
            opened.touch()
            return
        held, most = max(len(data), _HELD_BYTES), max(self._settings.stdin_bytes, _PASTE_BYTES)
        if opened.typed_bytes + held > most:
            raise Conflict(f"data: at most {most} bytes may wait to be read, a key counts as {_HELD_BYTES}; {opened.typed_bytes} do")
        opened.touch()
        opened.hurry()
        opened.typed_bytes += held
        typing = asyncio.create_task(opened.terminal.write(data))  # to its end: whoever sent it may go away or give up, but half a paste is of no use
        opened.typing.add(typing)
        typing.add_done_callback(partial(self._typed, opened, held))
        done, _ = await asyncio.wait([typing], timeout=_INPUT_S)
        if not done:  # without a time after which to try again: who did would type it twice
            raise ResourceError(f"data: the program has not read all of it within {_INPUT_S:.0f} s; it is kept for it, so do not send it again")
        if typing.cancelled():
            raise Conflict(_ENDED)
        typing.result()

    def resize(self, caller: Caller, id_: str, size: TerminalSize) -> TerminalInfo:
        """Give a terminal another size. Raises NotFound."""
        opened = self._find(caller, id_)
        opened.size = size
        if opened.terminal is not None:
            opened.terminal.resize(size)
        return opened.info()

    async def close(self, caller: Caller, id_: str) -> None:
        """End a terminal's program as the end of a line would, and wait for that; nothing happens when it has ended. Raises NotFound."""
        opened = self._find(caller, id_)
        if opened.terminal is not None:
            opened.reason = opened.reason or "closed"
            opened.terminal.hang_up()
        if opened.task is not None:
            await asyncio.wait([opened.task])

    async def output(self, caller: Caller, id_: str, after: int | None) -> AsyncGenerator[Screen | Closed]:
        """What a terminal shows from byte `after` on, or from the first that is kept, then what comes, up to its end. Raises NotFound."""
        opened = self._find(caller, id_)
        screen = opened.screen
        reader = _Reader(min(after or 0, screen.end))
        held, truncated = b"", False
        opened.readers.add(reader)
        try:
            while True:
                reader.news.clear()
                end = opened.end
                if reader.at < screen.begin:
                    reader.at, held, truncated = _begin_of_line(screen), b"", True
                data = screen.read(reader.at, _PIECE_BYTES)
                reader.at += len(data)
                reader.took_at, reader.left = time.monotonic(), False
                opened.room.set()
                whole, held = whole_characters(held, data)
                if end is not None and reader.at == screen.end:
                    whole, held = whole + held, b""
                if whole:
                    yield Screen(reader.at - len(held), whole, truncated)
                    truncated = False
                left = screen.end - reader.at
                if end is not None and not left:
                    yield Closed(reader.at, end)
                    return
                if data and left < _PIECE_BYTES:
                    await reader.pause.take(_TOGETHER_S)
                if not left:
                    await reader.news.wait()
        finally:
            opened.readers.remove(reader)
            opened.room.set()

    async def aclose(self) -> None:
        """End all terminals."""
        tasks = [opened.task for opened in self._open.values() if opened.task is not None and not opened.task.done()]
        for opened in self._open.values():
            opened.reason = opened.reason or "the server is ending"
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _typed(self, opened: _Open, held: int, typing: asyncio.Task[None]) -> None:
        opened.typing.discard(typing)
        opened.typed_bytes -= held
        pass_over_error(typing)

    def _find(self, caller: Caller, id_: str) -> _Open:
        opened = self._open.get(id_)
        if opened is None or opened.owner != caller.subject or not opened.started.done():
            raise NotFound(_UNKNOWN)
        return opened

    async def _run(self, opened: _Open, lease: AbstractAsyncContextManager[Lease], request: TerminalRequest) -> None:
        idle = asyncio.create_task(self._close_idle(opened))
        try:
            async with lease as lent, lent.sandbox.open_terminal(request) as terminal:
                opened.sandbox_id = lent.sandbox.id or ""
                opened.lease, opened.terminal = lent, terminal
                opened.started.set_result(None)
                await self._show(opened, terminal)
                end = await terminal.ended()
                opened.end = TerminalEnd(end.exit_code, end.signal, opened.reason or end.reason)
        except BaseException as error:
            if not opened.started.done():
                opened.started.set_exception(error if isinstance(error, SandqlError) else ProviderUnavailable("the server is ending"))
                opened.started.exception()  # whoever asked may be gone
                self._open.pop(opened.id, None)
            elif not isinstance(error, asyncio.CancelledError):
                _log.exception("a terminal failed", terminal=opened.id)
        finally:
            idle.cancel()
            for typing in opened.typing:
                typing.cancel()
            opened.terminal = opened.lease = None
            opened.end = opened.end or TerminalEnd(None, None, opened.reason or "the terminal was lost")
            opened.wake()
            self._forget_some(opened)

    async def _show(self, opened: _Open, terminal: Terminal) -> None:
        """Take what a terminal shows, no faster than the slowest who is attached."""
        ended = asyncio.ensure_future(terminal.ended())
        ended.add_done_callback(lambda _: opened.room.set())
        try:
            async with aclosing(terminal.output()) as pieces:
                async for data in pieces:
                    opened.screen.append(data)
                    opened.touch()
                    opened.wake()
                    if len(data) < _SMALL_BYTES:
                        await opened.pause.take(_AGAIN_S)
                    await self._make_room(opened, ended)
        finally:
            ended.cancel()

    async def _make_room(self, opened: _Open, ended: asyncio.Future[TerminalEnd]) -> None:
        """Wait until those who are attached have taken enough, or some have for long enough while others took nothing."""
        # So much less than is kept that one more piece, and what was on its way when the program ended, drop nothing that somebody has not taken.
        most_behind = self._settings.terminal_kept_bytes
        since = time.monotonic()
        while (late := opened.late(most_behind)) and not ended.done():
            opened.room.clear()
            wait_s = None
            if len(late) < sum(not reader.left for reader in opened.readers):  # others have taken all, and wait
                first = min(late, key=lambda reader: reader.took_at)
                wait_s = max(since, first.took_at) + _STALLED_S - time.monotonic()
                if wait_s <= 0:
                    first.left = True
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await opened.room.wait()

    def _forget_some(self, ended: _Open) -> None:
        """Let one that has ended be known for some time; of a caller, no more of them than may be open."""
        if self._open.pop(ended.id, None) is None:
            return  # it was never open
        self._open[ended.id] = ended
        known = [opened.id for opened in self._open.values() if opened.owner == ended.owner and opened.end is not None]
        for id_ in known[: max(0, len(known) - self._settings.max_terminals)]:
            del self._open[id_]
        asyncio.get_running_loop().call_later(self._settings.terminal_retention_s, self._forget, ended)

    def _forget(self, ended: _Open) -> None:
        if self._open.get(ended.id) is ended:  # not one that was made by its key since
            del self._open[ended.id]

    async def _close_idle(self, opened: _Open) -> None:
        idle_s = self._settings.terminal_idle_s
        while True:
            left_s = idle_s - (time.monotonic() - opened.active_at)
            if left_s <= 0:
                break
            await asyncio.sleep(left_s)
        if opened.terminal is not None:
            opened.reason = f"nothing was typed or shown for {idle_s} s"
            opened.terminal.hang_up()


def _begin_of_line(screen: Scrollback) -> int:
    """Where to begin when what was shown before is not kept: where a line does, or at least a character."""
    kept = screen.read(screen.begin, _LINE_BYTES)
    line = kept.find(b"\n") + 1
    return screen.begin + (line or len(kept) - len(kept.lstrip(bytes(range(0x80, 0xC0)))))
