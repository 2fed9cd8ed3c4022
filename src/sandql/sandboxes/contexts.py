"""Contexts: sessions that keep their variables between one piece of code and the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from sandql.core.contexts import ContextInfo, ContextRequest, ContextStatus
from sandql.core.errors import BadRequest, Conflict, NotFound, ProviderUnavailable, RateLimited, ResourceError, SandqlError
from sandql.core.settings import Settings
from sandql.core.values import Caller, RunRequest
from sandql.providers.base import Program
from sandql.sandboxes.account import Account
from sandql.sandboxes.context_program import ContextProgram
from sandql.sandboxes.launch import Start
from sandql.sandboxes.lease import Lease
from sandql.sandboxes.metered import check_room
from sandql.sandboxes.metered_context import MeteredContext, open_metered

_UNKNOWN: Final = "contextId: no context of yours has this id"
_ENDED: Final = "contextId: this context has ended; make another"
_MOST_WAITING: Final = 16
_log = structlog.get_logger()

OpenLease = Callable[[], AbstractAsyncContextManager[Lease]]


@dataclass(frozen=True, slots=True)
class Opening:
    """How a context is opened: what it has, in which sandbox, and who pays until somebody runs something there."""

    request: ContextRequest
    open_lease: OpenLease
    payer: Account


Reopen = Callable[[Caller], Awaitable[Opening]]


@dataclass(eq=False, slots=True)
class _Open:
    """A context. `leave` is set to end the cell that it has, `again` when it is to get another one, `closing` when it is to get none.

    `queued` is how many run or wait there.
    """

    id: str
    owner: str
    opening: Opening
    reopen: Reopen
    started: asyncio.Future[None]
    sandbox_id: str = ""
    created_at: float = field(default_factory=time.time)
    active_at: float = field(default_factory=time.monotonic)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    queued: int = 0
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    closing: bool = False
    again: asyncio.Future[None] | None = None
    context: MeteredContext | None = None
    lease: Lease | None = None
    task: asyncio.Task[None] | None = None

    def info(self) -> ContextInfo:
        alive = self.context is not None and self.context.alive
        status = ContextStatus.DEAD if not alive else ContextStatus.BUSY if self.turn.locked() else ContextStatus.IDLE
        request = self.opening.request
        return ContextInfo(self.id, self.sandbox_id, request.language, status, self.created_at, request.limits)


class Contexts:
    """The contexts of all callers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, _Open] = {}

    async def create(self, caller: Caller, id_: str, opening: Opening, reopen: Reopen) -> ContextInfo:
        """Open a context; `reopen` says how it is opened when it is restarted by its owner as that is then. Errors of the lease are raised here.

        Raises:
            ResourceError: the caller has as many as there may be.
            QuotaExceeded: nothing is left of the caller's quota.
            Unsupported: the provider has none for this language.
        """
        there = self._open.get(id_)
        if there is not None and there.owner == caller.subject:  # whoever asked for it first is gone
            await asyncio.shield(there.started)
            return there.info()
        own = sum(opened.owner == caller.subject for opened in self._open.values())
        if own >= self._settings.max_contexts:
            raise ResourceError(f"contexts: at most {self._settings.max_contexts} at one time for a caller; close one first")
        opened = _Open(id_, caller.subject, opening, reopen, asyncio.get_running_loop().create_future())
        self._open[id_] = opened
        opened.task = asyncio.create_task(self._run(opened))
        await asyncio.shield(opened.started)
        return opened.info()

    def find(self, caller: Caller, id_: str) -> ContextInfo:
        """The caller's context of that id. Raises NotFound."""
        return self._find(caller, id_).info()

    def list(self, caller: Caller, sandbox_id: str | None) -> list[ContextInfo]:
        """The caller's contexts, oldest first; those of a sandbox where one is given."""
        own = [opened.info() for opened in self._open.values() if opened.owner == caller.subject and opened.started.done()]
        return [info for info in own if sandbox_id is None or info.sandbox_id == sandbox_id]

    @asynccontextmanager
    async def queue(self, caller: Caller, id_: str, language: str, payer: Account) -> AsyncGenerator[Start]:
        """Have a place among those who wait for a context; what is yielded waits for its turn and starts code there, for which `payer` pays.

        Raises:
            NotFound: there is no such context.
            BadRequest: it is of another language.
            RateLimited: too much waits for it already.
            Conflict, QuotaExceeded: it has ended, perhaps for that; raised where code is started.
        """
        opened = self._find(caller, id_)
        if language != (spoken := opened.opening.request.language):
            raise BadRequest(f"language: this context is one of {spoken}, got {language!r}")
        if opened.queued > _MOST_WAITING:
            raise RateLimited(f"contextId: at most {_MOST_WAITING} executions wait for a context; wait for one", retry_after_s=1.0)
        opened.queued += 1
        try:
            yield partial(self._start, opened, payer)
        finally:
            opened.queued -= 1

    @asynccontextmanager
    async def _start(self, opened: _Open, payer: Account, request: RunRequest) -> AsyncGenerator[Program]:
        async with opened.turn:
            if opened.context is None or opened.lease is None:
                await payer.check()
                raise Conflict(_ENDED)
            context, lease = opened.context, opened.lease
            await check_room(lease.share, request)
            if opened.context is not context:  # it ended meanwhile
                raise Conflict(_ENDED)

            def work() -> None:
                opened.active_at = time.monotonic()
                lease.touch()

            try:
                with lease.working():
                    yield ContextProgram(context, request, payer, work)
            finally:
                opened.active_at = time.monotonic()

    def interrupt(self, caller: Caller, id_: str) -> bool:
        """Interrupt what runs in a context, whose variables stay; whether anything ran. Raises NotFound."""
        opened = self._find(caller, id_)
        if opened.context is None or not opened.turn.locked():
            return False
        opened.context.interrupt()
        return True

    async def restart(self, caller: Caller, id_: str) -> ContextInfo:
        """Begin a context anew, without its variables, as its owner may now; what runs in it ends. Raises NotFound, Forbidden, and as `create`."""
        opened = self._find(caller, id_)
        opening = await opened.reopen(caller)
        await opening.payer.check()  # before what there is ends
        if opened.closing or self._open.get(id_) is not opened:  # it was closed meanwhile, or has been idle for too long
            raise NotFound(_UNKNOWN)
        if opened.again is None:
            opened.opening = opening
            opened.again = asyncio.get_running_loop().create_future()
            opened.leave.set()
        await asyncio.shield(opened.again)
        return opened.info()

    async def close(self, caller: Caller, id_: str) -> None:
        """End a context. Raises NotFound."""
        opened = self._find(caller, id_)
        opened.closing = True
        opened.leave.set()
        if opened.task is not None:
            await asyncio.wait([opened.task])

    async def aclose(self) -> None:
        """End all contexts."""
        tasks = [opened.task for opened in self._open.values() if opened.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _find(self, caller: Caller, id_: str) -> _Open:
        opened = self._open.get(id_)
        if opened is None or opened.owner != caller.subject or not opened.started.done():
            raise NotFound(_UNKNOWN)
        return opened

    async def _run(self, opened: _Open) -> None:
        """Have a cell for the context until it is closed or has been idle for too long, and another one when it is restarted."""
        error: BaseException = Conflict("contextId: this context was closed")
        try:
            while True:
                async with self._cell(opened) as context:
                    ending = asyncio.ensure_future(context.ended())
                    try:
                        ended = await self._until_left(opened, ending)
                    finally:
                        ending.cancel()
                if ended:  # its cell is gone, and it is known as dead for some time
                    await self._until_left(opened, None)
                if opened.again is None or opened.closing:
                    break
        except BaseException as caught:
            error = caught if isinstance(caught, SandqlError) else ProviderUnavailable("the server is ending")
            if not isinstance(caught, SandqlError | asyncio.CancelledError):
                _log.exception("a context failed", context=opened.id)
        finally:
            self._open.pop(opened.id, None)
            for waiting in (opened.started, opened.again):
                if waiting is not None and not waiting.done():
                    waiting.set_exception(error)
                    waiting.exception()  # whoever asked may be gone

    @asynccontextmanager
    async def _cell(self, opened: _Open) -> AsyncGenerator[MeteredContext]:
        try:
            opening = opened.opening
            async with opening.open_lease() as lent, open_metered(lent.sandbox, opening.request, opening.payer) as context:
                opened.sandbox_id = lent.sandbox.id or ""
                opened.lease, opened.context = lent, context
                opened.active_at = time.monotonic()
                again = None
                if not opened.closing:  # while it was restarted: then whoever did that is told so
                    opened.leave.clear()
                    again, opened.again = opened.again, None
                for waiting in (opened.started, again):
                    if waiting is not None and not waiting.done():
                        waiting.set_result(None)
                yield context
        finally:
            opened.lease = opened.context = None

    async def _until_left(self, opened: _Open, ending: asyncio.Future[None] | None) -> bool:
        """Wait until a context is closed, restarted, or idle for too long; or has ended: then True."""
        idle_s = self._settings.context_idle_s
        leaving = asyncio.ensure_future(opened.leave.wait())
        waited = {leaving} if ending is None else {leaving, ending}
        try:
            while True:
                left_s = idle_s if opened.turn.locked() else idle_s - (time.monotonic() - opened.active_at)
                done, _ = await asyncio.wait(waited, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
                if leaving in done or left_s <= 0:
                    return False
                if done:
                    async with opened.turn:  # who runs code there is told first how that ended
                        return not leaving.done()
        finally:
            leaving.cancel()
