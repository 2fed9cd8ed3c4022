"""The ledger of a server: what runs may cost is set aside before they start, and what they cost is counted after they ended.

A run asks memory, not the database: of a quota a server has something set aside, by one conditional statement that cannot go past the
quota, and gives runs of that. What ended is told to the database some times a second, in one transaction; until then it is in the journal.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from sandql.core.amounts import NOTHING, Amounts
from sandql.core.errors import Forbidden, ResourceError, SandqlError
from sandql.core.load import Waits
from sandql.core.tracing import span
from sandql.core.values import Caller, Limits
from sandql.store import quota_rows, usage_rows
from sandql.store.quota_rows import PeriodKey, PeriodState
from sandql.store.store import Store
from sandql.store.usage_rows import Used
from sandql.usage import clerk
from sandql.usage.allotment import Allotment, Waiter
from sandql.usage.books import Books, Reserved
from sandql.usage.clerk import Answer, Ask, Batch, Told
from sandql.usage.journal import Journal
from sandql.usage.meter import Cost
from sandql.usage.needs import needs_of
from sandql.usage.plans import Quota
from sandql.usage.quotas import QuotaState, quota_exceeded
from sandql.usage.recovery import charge_of
from sandql.usage.watching import Watching

_TURN_S: Final = 1.0  # between what is told to the database, when there is something
_SOON_S: Final = 0.25  # where little is left of a quota, and others may wait for what is given back
_MOST_ENTRIES: Final = 500  # untold, after which it is told sooner
_PATIENCE_S: Final = 3 * _SOON_S  # for what other servers have set aside and may not need
_AGAIN_S: Final = 0.1
_OUTAGE_S: Final = 1.0
_EARLY_S: Final = 0.01  # by which a timer may be early
_ONE_MORE: Final = Amounts(0, 1, 1)

_log: Final = structlog.get_logger()


class Ledger:
    """Served by `keep_ledger`. See `sandql.usage.meter.Usage`."""

    def __init__(self, store: Store, server: str, journal: Journal, position: int, quotas: Mapping[str, Quota | None]) -> None:
        self.store = store
        self.waits = Waits()  # of runs, until the quota had something for them
        self._server = server
        self._books = Books(journal, position)
        self._quotas = quotas
        self._told = position  # up to which number the database has everything
        self._entries = 0
        self._telling: set[asyncio.Task[None]] = set()
        self._allotments: dict[PeriodKey, Allotment] = {}
        self._batch: Batch | None = None
        self._watching = Watching(store, self._tell_of)
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0  # when the database is to be told, by the loop's clock, while there is a timer
        self._turning = asyncio.Lock()

    def quota_of(self, caller: Caller) -> Quota | None:
        """The quota of a caller's plan, None without. Raises Forbidden: nobody knows the plan."""
        try:
            return self._quotas[caller.plan]
        except KeyError:
            raise Forbidden(f"plan: {caller.plan[:64]!r} is not known here, so nothing may be used of it") from None

    async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> Reserved:
        """Set aside what a run with these limits may cost at most.

        Raises:
            QuotaExceeded: the caller has not so much left.
            ResourceError: the database cannot be asked now, or the journal not written.
        """
        needs = needs_of(limits)
        quota = self.quota_of(caller)
        allotment = None if quota is None or not quota.bounds_runs else await self._take(caller.subject, quota, needs)
        try:
            return self._books.open(self, caller.subject, provider, language, needs, allotment)
        except OSError as error:
            if allotment is not None:
                allotment.put_back(needs, NOTHING)
            reason = error.strerror or error
            raise ResourceError(f"what the run may cost cannot be written down ({reason}); try again later", retry_after_s=1) from error

    async def _take(self, owner: str, quota: Quota, needs: Amounts) -> Allotment:
        allotment = self._allotment(owner, quota)
        if not allotment.waiting and allotment.within == quota and allotment.take(needs):
            self.waits.none()
            return allotment
        waiter = Waiter(needs, quota, asyncio.get_running_loop().create_future())
        allotment.waiting.append(waiter)
        self._wake.set()
        try:
            with span("reserve"), self.waits.one():
                await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled() and waiter.granted.exception() is None:
                allotment.put_back(needs, NOTHING)
                self._later(_hold_s(allotment))
            raise
        return allotment

    def _allotment(self, owner: str, quota: Quota) -> Allotment:
        key = PeriodKey(owner, quota.period, quota.starts_at(time.time()))
        allotment = self._allotments.get(key)
        if allotment is None:
            allotment = self._allotments[key] = Allotment(key, quota)
        return allotment

    def charge(self, caller: Caller, provider: str, language: str, cost: Cost) -> None:
        """Count what was used already, and nothing was set aside for."""
        quota = self._quotas.get(caller.plan)
        allotment = None if quota is None else self._allotment(caller.subject, quota)
        used = self._books.charge(caller.subject, provider, language, cost, None if allotment is None else allotment.key)
        if allotment is not None:
            allotment.charge(Amounts(0, used.cpu_ms, used.memory_mb_ms))
        self._later(_hold_s(allotment))

    async def check(self, caller: Caller) -> None:
        """Let a caller go on who uses what nothing is set aside for.

        Raises:
            QuotaExceeded: nothing is left of it.
            Forbidden: nobody knows the plan.
            ResourceError: the database cannot be asked now.
        """
        state = await self.quota_state(caller)
        if state is not None and not _ONE_MORE.fits(state.quota.most.minus(state.used)):
            key = PeriodKey(caller.subject, state.quota.period, state.quota.starts_at(time.time()))
            raise quota_exceeded(key, state.quota, PeriodState(state.used, NOTHING), _ONE_MORE)

    def settle(self, reserved: Reserved, cost: Cost) -> None:
        """A run has ended, and cost this."""
        used = self._books.settle(reserved, cost)
        if used is not None:
            if reserved.allotment is not None:
                reserved.allotment.put_back(reserved.needs, charge_of(reserved.needs, used.cpu_ms, used.memory_mb_ms))
            self._later(_hold_s(reserved.allotment))

    def refund(self, reserved: Reserved) -> None:
        """A run did not start."""
        if self._books.refund(reserved) and reserved.allotment is not None:
            reserved.allotment.put_back(reserved.needs, NOTHING)
            self._later(_hold_s(reserved.allotment))

    def count_bytes(self, caller: Caller, provider: str, *, stored: int = 0, sent: int = 0) -> None:
        """Count bytes of files that were written or read."""
        if stored or sent:
            self._books.count_bytes(caller.subject, provider, stored, sent)
            self._later()

    def _later(self, delay_s: float = _TURN_S) -> None:
        """See that the database is told in time."""
        self._entries += 1
        if self._entries == _MOST_ENTRIES:
            self._wake.set()
        if self._timer is not None and delay_s >= _TURN_S:
            return
        loop = asyncio.get_running_loop()
        due_at = loop.time() + delay_s
        if self._timer is None or due_at < self._due_at:
            if self._timer is not None:
                self._timer.cancel()
            self._due_at = due_at
            self._timer = loop.call_at(due_at, self._wake.set)

    async def run(self) -> None:
        """Serve the runs that wait and tell the database what ended, for ever."""
        while True:
            await self._wake.wait()
            try:
                await self.turn()
            except SandqlError as error:
                _log.warning("usage cannot be written down now; it is kept", reason=error.message)
                await asyncio.sleep(_OUTAGE_S)
                self._wake.set()
            except Exception:
                _log.exception("usage could not be written down; it is kept")
                await asyncio.sleep(_OUTAGE_S)
                self._wake.set()

    async def tell(self) -> None:
        """Tell the database what ended until now. Raises ResourceError: it cannot be used; nothing is lost."""
        if not self._books.used and self._batch is None:
            return
        telling = asyncio.create_task(self.turn(now=True))  # others wait for what it does as well: it does not end with who asked
        self._telling.add(telling)
        telling.add_done_callback(self._told_it)
        await asyncio.shield(telling)

    def _told_it(self, telling: asyncio.Task[None]) -> None:
        self._telling.discard(telling)
        if not telling.cancelled() and telling.exception() is not None:  # that is for whoever asked, if that one is still there
            asyncio.get_running_loop().call_later(_OUTAGE_S, self._wake.set)

    async def sums(self, owner: str, first_day: str, last_day: str, by: Sequence[str]) -> list[tuple[tuple[str, ...], Used]]:
        """What an owner used in these days, by these columns, with what ended just now. Raises ResourceError."""
        await self._tell_of(owner)
        return await self.store.read(lambda connection: usage_rows.sums(connection, owner, first_day, last_day, by))

    async def _tell_of(self, owner: str) -> None:
        if self._batch is not None or any(key.owner == owner for key in self._books.used):
            await self.tell()

    async def quota_state(self, caller: Caller) -> QuotaState | None:
        """What is used of the caller's quota, None without one. Raises Forbidden, ResourceError."""
        quota = self.quota_of(caller)
        if quota is None:
            return None
        key = PeriodKey(caller.subject, quota.period, quota.starts_at(time.time()))
        async with self._turning:  # or else something could be counted in neither, or in both
            state = await self.store.read(lambda connection: quota_rows.read(connection, key))
            allotment = self._allotments.get(key)
            seen = state if allotment is None else allotment.seen(state)
        return QuotaState(quota, quota.ends_at(key.starts_at), seen.used, seen.reserved)

    def watch(self, owner: str) -> AsyncGenerator[tuple[str, Used]]:
        """Yield today's date and what an owner has used today, now and when it is counted anew, at most once a second. Raises ResourceError."""
        return self._watching.watch(owner)

    async def turn(self, *, now: bool = False, last: bool = False) -> None:
        """Set aside what is waited for, and when it is time, or `now`, tell the database what ended; with `last`, give everything back.

        Raises:
            ResourceError: the database cannot be used; nothing is lost.
        """
        async with self._turning:
            self._wake.clear()
            moment = asyncio.get_running_loop().time()
            due = self._entries >= _MOST_ENTRIES or (self._timer is not None and moment >= self._due_at - _EARLY_S)
            owing = any(
                allotment.waiting and allotment.owed != NOTHING for allotment in self._allotments.values()
            )  # to be known before more is asked for
            is_old = self._batch is not None
            if not is_old and (due or owing or now or last):
                self._batch = self._new_batch(last=last)
            waiters = {key: allotment.next_waiting() for key, allotment in self._allotments.items()}
            asks = [ask for key, allotment in self._allotments.items() if (ask := _ask(allotment, waiters[key])) is not None]
            batch = self._batch
            if batch is None and not asks:
                return
            try:
                told = await self.store.write(lambda connection: clerk.work(connection, self._server, batch, asks))
            except BaseException as error:
                self._failed(asks, waiters, error)
                raise
            self._batch = None
            if is_old:
                self._wake.set()  # what ended since it was made may have been due meanwhile
            if batch is not None:
                self._told = batch.after
                self._watching.news({key.owner for key in batch.used})
            self._learn(told, waiters)
            self._tidy()

    def _new_batch(self, *, last: bool) -> Batch | None:
        settled: dict[PeriodKey, tuple[Amounts, Amounts]] = {}
        again: float | None = None  # to give back what is not asked for until then
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for allotment in self._allotments.values():
            returned = NOTHING if allotment.waiting or allotment.doubtful else allotment.free if last else allotment.surplus()
            if allotment.spent != NOTHING or allotment.owed != NOTHING or returned != NOTHING:
                # What is owed was never set aside, so as much less is taken from what is.
                settled[allotment.key] = (allotment.spent.plus(allotment.owed), returned.minus(allotment.owed))
                allotment.free = allotment.free.minus(returned)
                allotment.spent = allotment.owed = NOTHING
            if allotment.free != NOTHING and not allotment.waiting:
                again = min(_hold_s(allotment), again or _TURN_S)
            allotment.recent = 0
        self._entries = 0
        if again is not None and not last:
            self._later(again)
        if not settled and not self._books.used:
            return None
        return Batch(self._told, self._books.next_number(), self._books.take_used(), settled)

    def _failed(self, asks: list[Ask], waiters: Mapping[PeriodKey, list[Waiter]], error: BaseException) -> None:
        """Nobody knows whether what was asked for is set aside."""
        for ask in asks:
            allotment = self._allotments[ask.key]
            allotment.doubtful = True
            for waiter in waiters[ask.key]:
                if not waiter.granted.done():
                    waiter.granted.set_exception(
                        error if isinstance(error, SandqlError) else ResourceError("quota: cannot be looked up now; try again later", retry_after_s=1)
                    )
            allotment.waiting = deque(waiter for waiter in allotment.waiting if not waiter.granted.done())

    def _learn(self, told: Told, waiters: Mapping[PeriodKey, list[Waiter]]) -> None:
        for key, state in told.states.items():
            if (allotment := self._allotments.get(key)) is not None:
                allotment.learn(allotment.quota.most.minus(state.taken).positive())
        for key, answer in told.answers.items():
            self._serve(self._allotments[key], answer, waiters[key])

    def _serve(self, allotment: Allotment, answer: Answer, waiters: list[Waiter]) -> None:
        held = allotment.free.plus(allotment.open).plus(allotment.spent)
        if answer.allotted is not None:
            allotment.free = allotment.free.plus(answer.allotted.minus(held))
            allotment.doubtful = False
        allotment.free = allotment.free.plus(answer.more)
        quota = waiters[0].quota if waiters else allotment.quota
        left = quota.most.minus(answer.state.taken).minus(answer.more)
        if left == left.positive():  # then all that is set aside is within it
            allotment.quota = allotment.within = quota
        elif answer.more != NOTHING:
            allotment.within = None
        elsewhere = answer.state.reserved.minus(held).positive() != NOTHING
        loop = asyncio.get_running_loop()
        now = loop.time()
        for waiter, granted in zip(waiters, answer.granted, strict=True):
            if waiter.granted.done():
                continue
            if granted and allotment.take(waiter.needs):
                waiter.granted.set_result(None)
            elif granted is False:
                if waiter.patience is None:
                    waiter.patience = now + _PATIENCE_S if elsewhere else now
                if now >= waiter.patience:
                    waiter.granted.set_exception(quota_exceeded(allotment.key, quota, allotment.seen(answer.state), waiter.needs))
        allotment.put_behind(quota)
        allotment.learn(allotment.quota.most.minus(answer.state.taken).minus(answer.more).positive())
        if allotment.waiting:
            patient = all(waiter.patience is not None for waiter in allotment.waiting)
            loop.call_later(_AGAIN_S if patient else 0, self._wake.set)
        elif allotment.free != NOTHING:
            self._later(_hold_s(allotment))

    def _tidy(self) -> None:
        for key in [key for key, allotment in self._allotments.items() if allotment.idle]:
            del self._allotments[key]
        self._books.tidy()


def _hold_s(allotment: Allotment | None) -> float:
    """How long something may be kept that nobody asks for."""
    return _SOON_S if allotment is not None and allotment.scarce else _TURN_S


def _ask(allotment: Allotment, waiters: Sequence[Waiter]) -> Ask | None:
    if not waiters and not allotment.doubtful:
        return None
    quota = waiters[0].quota if waiters else allotment.quota
    return Ask(allotment.key, quota.most, allotment.free, [waiter.needs for waiter in waiters], allotment.doubtful)


@asynccontextmanager
async def keep_ledger(ledger: Ledger, journal: Journal) -> AsyncGenerator[Ledger]:
    """Serve a ledger until the block ends; all is told then, and what is set aside given back."""
    serving = asyncio.create_task(ledger.run())
    try:
        yield ledger
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        try:
            for _ in range(3):  # what was begun before, what is in doubt, and the rest
                await ledger.turn(last=True)
        except SandqlError as error:
            _log.warning("usage is told to the database at the next start", reason=error.message)
        finally:
            journal.close()
