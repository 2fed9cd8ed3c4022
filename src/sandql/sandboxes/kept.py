"""Kept sandboxes: making them, finding them, lending them, ending them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.access.grants import check_provider
from sandql.core.clock import ticks
from sandql.core.errors import BadRequest, Conflict, NotFound, ProviderUnavailable, ResourceError
from sandql.core.kept import DEFAULT_TEMPLATE, KeptSandbox, SandboxSpec, SandboxStatus
from sandql.core.tasks import pass_over_error
from sandql.core.values import HOME, Caller
from sandql.providers.base import Provider
from sandql.sandboxes.breaker import Breaker
from sandql.sandboxes.lease import Lease
from sandql.sandboxes.new_ids import is_id
from sandql.sandboxes.notices import Notice, NoticeKind, Notices
from sandql.sandboxes.states import LIVING, move
from sandql.store import key_rows, sandbox_rows
from sandql.store.paging import Page
from sandql.store.store import Store
from sandql.usage.storage import Share

_CLOSE_S: Final = 15.0  # for what is being made or ended when the house closes; the next start looks after the rest
_RETRY_S: Final = 1.0
_CLOCK_SET_S: Final = 1.0  # by how much it was set, at least, for that to matter
_UNKNOWN: Final = f'sandboxId: no sandbox of yours has this id; leave it out for a fresh one, or use "{HOME}"'
_ELSEWHERE: Final = "sandboxId: this sandbox is kept by another server of this database; ask that one"

Value = TypeVar("Value")


def _no_share(_provider: str, _ref: str) -> Share | None:
    """What is kept is not bounded."""


@dataclass(slots=True)
class Live:
    """A sandbox that lives, as this server knows it. `busy` counts the leases that are work; `fate` is set when it is to end, to how."""

    row: KeptSandbox
    worked_at: float
    worked_ticks: float = field(init=False)
    busy: int = 0
    unwritten: bool = False  # whether `worked_at` is newer than the row's
    warned: bool = False
    fate: SandboxStatus | None = None
    ending: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.worked_ticks = ticks() - max(0.0, time.time() - self.worked_at)

    @property
    def idle_s(self) -> float:
        """How long it has been without work."""
        return 0.0 if self.busy else ticks() - self.worked_ticks

    def keep_time(self) -> None:
        """Say anew when it last had work where the clock was set since."""
        worked_at = time.time() - self.idle_s
        if self.busy or abs(worked_at - self.worked_at) > _CLOCK_SET_S:
            self.worked_at, self.worked_ticks = worked_at, ticks() - self.idle_s
            self.unwritten = True

    def touch(self) -> None:
        """It has work now."""
        self.worked_at, self.worked_ticks = time.time(), ticks()
        self.unwritten = True
        self.warned = False

    def shown(self) -> KeptSandbox:
        """Its row as of now."""
        return replace(self.row, worked_at=time.time() if self.busy else self.worked_at)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sandbox is to be: the arguments of `createSandbox`, checked; `asked` is their fingerprint as they were given."""

    provider: str
    spec: SandboxSpec
    timeout_ms: int
    asked: str
    name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class KeptSandboxes:
    """The kept sandboxes of all callers. `server` names this server in the database. `aclose` it."""

    def __init__(self, database: Store, server: str, providers: Mapping[str, Provider], most: int, breakers: Mapping[str, Breaker]) -> None:
        self._database = database
        self.server = server
        self._providers = providers
        self._most = most
        self._breakers = breakers
        self._naming: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._making: dict[str, asyncio.Task[KeptSandbox]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.live: dict[str, Live] = {}
        self.strays: list[tuple[str, str]] = []  # provider and `ref` of what is there without a row, for the reaper
        self.notices = Notices()
        self.changed = asyncio.Event()  # for the reaper: there may be something to do sooner

    async def aclose(self) -> None:
        """Wait, but not for ever, for what is being made or ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        for task in self._tasks:
            task.cancel()

    async def create(self, caller: Caller, wish: Wish, id_: str) -> KeptSandbox:
        """Make a sandbox with that id, or find the caller's own of the same name. It is made also when whoever asked is gone by then.

        Raises:
            Conflict: the caller has another sandbox of that name.
            ResourceError: the caller has as many as there may be, or there is no capacity left.
            ProviderUnavailable: the provider cannot make one now.
        """
        making = self._making[id_] = self._begin(self._create(caller, wish, id_))
        making.add_done_callback(lambda _: self._making.pop(id_))
        return await asyncio.shield(making)

    async def create_again(self, caller: Caller, wish: Wish, id_: str) -> KeptSandbox:
        """What came, or comes, of an earlier `create` with that id; where that came to nothing, one is made now. Raises as that."""
        making = self._making.get(id_)
        if making is not None:
            return await asyncio.shield(making)
        live = self.live.get(id_)
        if live is not None and live.row.status is SandboxStatus.CREATING:
            raise ResourceError("the sandbox could not be made, and what there is of it is not gone yet; try again later", retry_after_s=_RETRY_S)
        try:
            return await self.find(caller, id_)
        except NotFound:
            return await self.create(caller, wish, id_)

    async def find(self, caller: Caller, id_: str) -> KeptSandbox:
        """The caller's sandbox of that id, ended ones included for as long as they are known. Raises NotFound."""
        live = self.live.get(id_)
        if live is not None:
            if live.row.owner != caller.subject:
                raise NotFound(_UNKNOWN)
            return live.shown()
        row = await self._database.read(lambda connection: sandbox_rows.find(connection, id_)) if is_id(id_) else None
        if row is None or row.owner != caller.subject:
            raise NotFound(_UNKNOWN)
        return row

    async def page(
        self, caller: Caller, first: int, after: str | None, statuses: Collection[SandboxStatus], metadata: Mapping[str, str]
    ) -> Page[KeptSandbox]:
        """Some of the caller's sandboxes, newest first. Raises BadRequest."""
        page = await self._database.read(lambda connection: sandbox_rows.page(connection, caller.subject, first, after, statuses, metadata))
        return replace(page, items=[live.shown() if (live := self.live.get(row.id)) is not None else row for row in page.items])

    async def extend(self, caller: Caller, id_: str, timeout_ms: int) -> KeptSandbox:
        """Let a sandbox live so long from now on, and as long after each work. Raises NotFound, Forbidden."""
        live = await self._living(caller, id_)
        check_provider(caller, live.row.provider)
        live.touch()
        values = {"timeout_ms": timeout_ms, "worked_at": live.worked_at}
        if not await self._database.write(lambda connection: sandbox_rows.change(connection, id_, LIVING, **values)) or live.fate is not None:
            raise NotFound(_UNKNOWN)
        live.row = replace(live.row, timeout_ms=timeout_ms)
        self.changed.set()
        self.tell(NoticeKind.EXTENDED, live.shown())
        return live.shown()

    async def destroy(self, caller: Caller, id_: str) -> None:
        """End a sandbox and what runs in it; nothing happens when it has ended. Raises NotFound."""
        row = await self.find(caller, id_)
        live = self.live.get(id_)
        if live is not None:
            await self.end(live)
        elif row.ended_at is None:
            await self._living(caller, id_)

    def living(self) -> Iterator[KeptSandbox]:
        """The rows of all sandboxes that live on this server."""
        return (live.row for live in self.live.values())

    def watch(self, caller: Caller, id_: str) -> AsyncGenerator[Notice]:
        """What becomes of a sandbox from now on, up to its end. Raises NotFound; ProviderUnavailable: it is kept by another server."""
        return self.notices.watch(id_, partial(self._lives, caller, id_), partial(self._warning, id_))

    def _warning(self, id_: str) -> Notice | None:
        """What those were told who watched a sandbox when it was about to expire, if it is."""
        live = self.live.get(id_)
        return Notice(NoticeKind.EXPIRING, time.time(), live.shown()) if live is not None and live.warned else None

    @asynccontextmanager
    async def lend(
        self, caller: Caller, id_: str, of: str | None = None, *, working: bool, share: Callable[[str, str], Share | None] = _no_share
    ) -> AsyncGenerator[Lease]:
        """Lend a sandbox of the caller; while it is lent for work it does not expire. `share` says what part it has in what its owner keeps, by its
        provider and that one's name for it.

        Raises:
            NotFound: no sandbox of the caller has that id.
            BadRequest: it is of another provider than `of`.
            Forbidden: the caller may not use its provider any more.
            ProviderUnavailable: it is kept by another server, or its provider is not in use.
        """
        live = await self._living(caller, id_)
        row = live.row
        if of is not None and of != row.provider:
            raise BadRequest(f"provider: this sandbox is of {row.provider!r}, not of {of[:64]!r}; leave provider out")
        check_provider(caller, row.provider)
        provider = self._provider(row)
        work = partial(self._working, live)
        async with AsyncExitStack() as stack:
            if working:
                stack.enter_context(work())
            try:
                part = share(row.provider, row.ref)
                sandbox = await stack.enter_async_context(provider.connect(row.id, row.ref, row.spec, part))
            except NotFound:
                await self.end(live, SandboxStatus.LOST)
                raise NotFound(_UNKNOWN) from None
            yield Lease(sandbox, provider, live.shown(), partial(self._touch, live), work, part)

    async def end(self, live: Live, to: SandboxStatus = SandboxStatus.DESTROYED) -> None:
        """End a sandbox. When its provider can't now, the error is raised, nobody gets it any more, and the reaper tries again."""
        live.fate = live.fate or to
        if live.ending is None or live.ending.done():
            live.ending = self._begin(self._end(live, live.fate))
        await asyncio.shield(live.ending)

    async def end_stray(self, provider: str, ref: str) -> None:
        """End what is there without a row."""
        await self._providers[provider].destroy(ref)

    def tell(self, kind: NoticeKind, row: KeptSandbox) -> None:
        """Tell those who watch it."""
        self.notices.tell(Notice(kind, time.time(), row))

    def _provider(self, row: KeptSandbox) -> Provider:
        found = self._providers.get(row.provider)
        if found is None:
            raise ProviderUnavailable(f"provider: {row.provider!r}, from which this sandbox comes, is not in use now")
        return found

    def _begin(self, work: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        """Work that goes on when whoever asked for it is gone."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(pass_over_error)
        return task

    @contextmanager
    def _working(self, live: Live) -> Generator[None]:
        live.busy += 1
        self._touch(live)
        try:
            yield
        finally:
            live.busy -= 1
            self._touch(live)

    def _touch(self, live: Live) -> None:
        live.touch()
        if live.row.status is SandboxStatus.IDLE:
            self.changed.set()

    async def _lives(self, caller: Caller, id_: str) -> bool:
        row = await self.find(caller, id_)
        if row.ended_at is None and row.server != self.server:
            raise ProviderUnavailable(_ELSEWHERE)
        return row.ended_at is None

    async def _living(self, caller: Caller, id_: str) -> Live:
        live = self.live.get(id_)
        if live is not None and live.row.owner == caller.subject and live.fate is None:
            return live
        row = await self.find(caller, id_)
        if row.ended_at is None and row.server != self.server:
            raise ProviderUnavailable(_ELSEWHERE)
        raise NotFound(_UNKNOWN)

    async def _create(self, caller: Caller, wish: Wish, id_: str) -> KeptSandbox:
        now = time.time()
        row = KeptSandbox(
            id=id_,
            owner=caller.subject,
            provider=wish.provider,
            server=self.server,
            ref="",
            name=wish.name,
            status=SandboxStatus.CREATING,
            created_at=now,
            worked_at=now,
            timeout_ms=wish.timeout_ms,
            ended_at=None,
            spec=wish.spec,
            metadata=wish.metadata,
            asked=wish.asked,
        )
        if wish.name is None:
            await self._database.write(lambda connection: self._add(connection, row))
            return await self._make(row)
        async with self._naming.setdefault((caller.subject, wish.name), asyncio.Lock()):
            while True:
                named = await self._database.write(lambda connection: self._add(connection, row))
                if named is None:
                    return await self._make(row)
                live = self.live.get(named.id)
                if live is not None and live.fate is not None:  # its name is free when it is gone
                    await self.end(live)
                    continue
                if wish.asked != named.asked:
                    raise Conflict(f"name: {wish.name!r} is that of another sandbox of yours; use another name, or the same arguments")
                if live is None:
                    return named
                self._touch(live)
                return live.shown()

    async def _add(self, connection: AsyncConnection, row: KeptSandbox) -> KeptSandbox | None:
        """Add a row, unless its owner has one of its name: that is returned. Runs where the database is, and touches nothing else."""
        await sandbox_rows.wait_for_turn(connection, row.owner)
        named = None if row.name is None else await sandbox_rows.find_named(connection, row.owner, row.name)
        if named is None:
            if await sandbox_rows.count_living(connection, row.owner, row.server, time.time()) >= self._most:
                raise ResourceError(f"sandboxes: at most {self._most} at one time for a caller; destroy one first")
            if not await sandbox_rows.add(connection, row):
                raise Conflict("idempotencyKey: is being used at another server of this database; try again")
        return named

    async def _make(self, row: KeptSandbox) -> KeptSandbox:
        live = Live(row, row.worked_at)
        try:
            provider, breaker = self._provider(row), self._breakers.get(row.provider)
            with breaker.preparing() if breaker is not None and row.spec.template == DEFAULT_TEMPLATE else contextlib.nullcontext():
                live.row = replace(row, ref=await provider.create(row.id, row.spec))
            values = {"ref": live.row.ref}
            await self._database.write(lambda connection: move(connection, row.id, SandboxStatus.RUNNING, time.time(), **values))
        except BaseException:
            self.live[row.id] = live
            with contextlib.suppress(Exception):  # then the reaper goes on with it, since it has a fate now
                await self.end(live)
            self.changed.set()
            raise
        live.row = replace(live.row, status=SandboxStatus.RUNNING)
        self.live[row.id] = live
        self.changed.set()
        return live.shown()

    async def _end(self, live: Live, to: SandboxStatus) -> None:
        row = live.row
        if row.ref:
            # Should this server end in the middle, the next one goes on. A disk that is full must not keep what fills it.
            with contextlib.suppress(ResourceError):
                await self._database.write(lambda connection: sandbox_rows.change(connection, row.id, LIVING, timeout_ms=0))
            await self._provider(row).destroy(row.ref)
        now = time.time()

        async def write_down(connection: AsyncConnection) -> None:
            await move(connection, row.id, to, now)
            if row.status is SandboxStatus.CREATING:  # nothing came of it: whoever asks again gets one
                await key_rows.free_all(connection, row.id)

        await self._database.write(write_down)
        self.live.pop(row.id, None)
        self.tell(NoticeKind(to), replace(live.shown(), status=to, ended_at=now))
