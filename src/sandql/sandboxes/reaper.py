"""What time does to kept sandboxes: they become idle, their watchers are warned, they end, and are forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.clock import ticks
from sandql.core.errors import ResourceError, SandqlError
from sandql.core.kept import SandboxStatus
from sandql.core.settings import Settings
from sandql.sandboxes.kept import KeptSandboxes, Live
from sandql.sandboxes.notices import NoticeKind
from sandql.sandboxes.states import move
from sandql.store import key_rows, quota_rows, sandbox_rows
from sandql.store.store import Store

_IDLE_S: Final = 60.0  # without work for so long, or for half of its time, a sandbox is idle
_LEAST_PAUSE_S: Final = 0.05
_MOST_PAUSE_S: Final = 5.0  # when work was last done is written down this often, so that little of it is forgotten by a crash
_FORGET_EVERY_S: Final = 600.0
_GONE_S: Final = 3600.0  # after its time a sandbox of another server is lost: that server would have ended it
_RETRY_S: Final = 1.0
_MOST_RETRY_S: Final = 300.0
_AT_ONCE: Final = 8  # that are being ended
_log: Final = structlog.get_logger()

Value = TypeVar("Value")


class Reaper:
    """Looks after all kept sandboxes of this server; `run` until it is cancelled."""

    def __init__(self, kept: KeptSandboxes, database: Store, settings: Settings) -> None:
        self._kept = kept
        self._database = database
        self._settings = settings
        self._forget_at = 0.0  # by a clock that nobody sets
        self._elsewhere: dict[tuple[str, float], float] = {}  # other servers' sandboxes by id and last work, and when that was first seen here
        self._ending: set[str] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Do what is due, wait for the next thing that is, and so on."""
        async with asyncio.TaskGroup() as endings:
            while True:
                self._kept.changed.clear()
                try:
                    pause_s = await self._turn(endings)
                except SandqlError as error:  # the database cannot be used now
                    _log.warning("sandboxes cannot be looked after now", error=error.message)
                    pause_s = _RETRY_S
                except Exception:  # a defect, but were this to end, no sandbox would
                    _log.exception("looking after sandboxes failed")
                    pause_s = _RETRY_S
                try:
                    async with asyncio.timeout(pause_s):
                        await self._kept.changed.wait()
                    await asyncio.sleep(_LEAST_PAUSE_S)  # what comes in the same moment is done at once
                except TimeoutError:
                    pass

    async def write_work(self) -> None:
        """Write down when sandboxes last had work. Raises ResourceError."""
        unwritten = [live for live in self._kept.live.values() if live.unwritten]
        if not unwritten:
            return
        for live in unwritten:
            live.unwritten = False
        worked_at = {live.row.id: live.worked_at for live in unwritten}
        try:
            await self._database.write(lambda connection: sandbox_rows.note_work(connection, worked_at))
        except BaseException:
            for live in unwritten:
                live.unwritten = True
            raise

    async def _turn(self, endings: asyncio.TaskGroup) -> float:
        """Do what is due now; returns the seconds until something is. What cannot be written, as on a full disk, keeps nothing from ending."""
        await self._try(self.write_work())
        while self._kept.strays:
            provider, ref = self._kept.strays.pop()
            self._see_to_end(endings, ref, partial(self._kept.end_stray, provider, ref))
        now = time.time()
        pause_s = _MOST_PAUSE_S
        for live in list(self._kept.live.values()):
            if live.fate is None:
                live.keep_time()
            pause_s = min(pause_s, await self._look_at(live, now, endings))
        if ticks() >= self._forget_at:
            await self._forget(now)
            self._forget_at = ticks() + _FORGET_EVERY_S
        return max(_LEAST_PAUSE_S, pause_s)

    async def _look_at(self, live: Live, now: float, endings: asyncio.TaskGroup) -> float:
        """Do what time asks for one sandbox; returns the seconds until it asks for more."""
        lifetime_s = live.row.timeout_ms / 1000
        idle_s = live.idle_s
        if live.fate is not None or idle_s >= lifetime_s:
            live.fate = live.fate or SandboxStatus.DESTROYED
            self._see_to_end(endings, live.row.id, partial(self._kept.end, live))
            return _MOST_PAUSE_S
        idle_after_s = min(_IDLE_S, lifetime_s / 2)
        wanted = SandboxStatus.IDLE if idle_s >= idle_after_s else SandboxStatus.RUNNING
        if live.row.status is not wanted and await self._try(self._database.write(lambda connection: move(connection, live.row.id, wanted, now))):
            live.row = replace(live.row, status=wanted)
            self._kept.tell(NoticeKind(wanted), live.shown())
        warning_s = min(self._settings.sandbox_warning_s, lifetime_s / 2)
        if not live.warned and idle_s >= lifetime_s - warning_s:
            live.warned = True
            self._kept.tell(NoticeKind.EXPIRING, live.shown())
        moments = [lifetime_s, idle_after_s if wanted is SandboxStatus.RUNNING else lifetime_s]
        if not live.warned:
            moments.append(lifetime_s - warning_s)
        return min(moments) - idle_s

    async def _try(self, writing: Awaitable[Value]) -> Value | None:
        try:
            return await writing
        except ResourceError as error:
            _log.warning("sandboxes cannot be written about now", error=error.message)
            return None

    def _see_to_end(self, endings: asyncio.TaskGroup, name: str, end: Callable[[], Awaitable[None]]) -> None:
        """Have a sandbox ended; what it takes keeps nobody waiting."""
        if name not in self._ending:
            self._ending.add(name)
            endings.create_task(self._end(name, end))

    async def _end(self, name: str, end: Callable[[], Awaitable[None]]) -> None:
        """End a sandbox, however often that has to be tried."""
        pause_s = _RETRY_S
        try:
            while True:
                try:
                    async with self._turns:
                        await end()
                    return
                except Exception as error:  # whatever a provider says: it is tried again, never forgotten
                    _log.warning("a sandbox could not be destroyed; it is tried again", sandbox=name, error=str(error), again_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _MOST_RETRY_S)
        finally:
            self._ending.discard(name)

    async def _forget(self, now: float) -> None:
        before = now - self._settings.ended_retention_s
        await self._lose_those_of_the_gone(now)
        await self._database.write(lambda connection: sandbox_rows.forget_ended(connection, before))
        await self._database.write(lambda connection: key_rows.forget(connection, before))
        await self._database.write(lambda connection: quota_rows.forget(connection, now))

    async def _lose_those_of_the_gone(self, now: float) -> None:
        """Write down as ended what servers left that are gone. When such a server comes back, it ends what is really there.

        A server is gone that neither works in a sandbox nor ends it for longer than it may live without work, as long as that was seen from here:
        the clocks of two servers may differ.
        """
        found = await self._database.read(lambda connection: sandbox_rows.living_elsewhere(connection, self._kept.server))
        self._elsewhere = {(id_, worked_at): self._elsewhere.get((id_, worked_at), ticks()) for id_, worked_at, _ in found}
        over = [id_ for id_, worked_at, timeout_ms in found if ticks() - self._elsewhere[id_, worked_at] >= timeout_ms / 1000 + _GONE_S]
        if over:
            await self._database.write(lambda connection: _lose(connection, over, now))
            _log.warning("sandboxes of servers that are gone are lost", sandboxes=over)


async def _lose(connection: AsyncConnection, ids: Sequence[str], now: float) -> None:
    for id_ in ids:
        if not await move(connection, id_, SandboxStatus.LOST, now) and await move(connection, id_, SandboxStatus.DESTROYED, now):
            await key_rows.free_all(connection, id_)  # it was being made: whoever asks again gets one
