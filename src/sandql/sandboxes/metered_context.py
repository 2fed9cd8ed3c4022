"""A context of which everything is paid for, by what is measured outside of it.

Each execution costs what the context used since it was last paid for, though never more than was set aside for it. What is left, as it works
on between two executions or in several threads, is charged now and then and at its end. That was not set aside before, so a quota may be
passed by it; the context ends then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final

import structlog

from sandql.core.contexts import ContextRequest
from sandql.core.errors import ResourceError, SandqlError
from sandql.core.spent import Spent
from sandql.core.values import Completed, Event, Limits, Outcome, RunRequest
from sandql.providers.base import Context, Sandbox
from sandql.sandboxes.account import Account, Bill
from sandql.usage.meter import Cost

CHARGE_S: Final = 5.0  # how often a context is looked at
_IDLE_MS: Final = 60_000  # how often one pays that only holds memory
_log = structlog.get_logger()


class MeteredContext:
    """A context that is open. Who ran something last pays for what it does beside; at first that is who opened it."""

    def __init__(self, context: Context, language: str, payer: Account) -> None:
        self._context = context
        self._language = language
        self._payer = payer
        self._opened = time.monotonic()
        self._paid_cpu_ms = 0
        self._paid_wall_ms = 0
        self._set_aside: Limits | None = None  # for the execution that goes on
        self._begun = False
        self._early: set[Callable[[], None]] = set()  # what is to be done to code as soon as it begins

    @property
    def alive(self) -> bool:
        """Whether it can run code."""
        return self._context.alive

    async def execute(self, request: RunRequest, payer: Account) -> AsyncGenerator[Event]:
        """Run code that somebody pays for, and yield its events. Raises as `Context.execute` and `Account.bill`."""
        self._early.clear()
        bill = await payer.bill(request.language, request.limits)
        self._payer = payer
        self._set_aside = request.limits
        started, outcome = False, Outcome.CANCELLED
        try:
            async with aclosing(self._context.execute(request)) as events:
                async for event in events:
                    started = True
                    self._begin()
                    if isinstance(event, Completed):
                        outcome = event.execution.outcome
                        await self._pay(bill, outcome, request.limits)
                    yield event
        finally:
            self._begun = False
            self._set_aside = None
            if started:
                await asyncio.shield(asyncio.ensure_future(self._pay(bill, outcome, request.limits)))
            bill.close()

    def interrupt(self) -> None:
        """Interrupt what runs; variables stay."""
        self._tell(self._context.interrupt)

    def stop(self) -> None:
        """Interrupt what runs, and end the context where that is of no use."""
        self._tell(self._context.stop)

    def _tell(self, act: Callable[[], None]) -> None:
        """Do something to the code that runs; where it has not begun, as while its bill is made, then when it does."""
        if self._begun:
            act()
        else:
            self._early.add(act)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            for act in self._early:
                act()
            self._early.clear()

    async def ended(self) -> None:
        """Return when it has ended."""
        await self._context.ended()

    async def charge_on(self) -> None:
        """Charge what it uses beside executions for as long as it lives, and end it when its quota is used up."""
        while True:
            await asyncio.sleep(CHARGE_S)
            try:
                if self._charge(await self._context.spent(), _IDLE_MS):
                    await self._payer.check()
            except ResourceError:  # the database cannot be asked now; what is used is counted all the same
                continue
            except Exception as error:
                if not isinstance(error, SandqlError):
                    _log.exception("a context could not be charged")
                self._context.end()
                return

    async def settle(self) -> None:
        """It has ended: charge the rest."""
        self._charge(await self._context.spent(), 0)

    async def _pay(self, bill: Bill, outcome: Outcome, most: Limits) -> None:
        """Pay for an execution; nothing happens a second time."""
        if bill.is_open:
            took_ms, spent = bill.wall_ms, await self._context.spent()
            wall_ms, cpu_ms = self._unpaid(spent)
            bill.pay(outcome, self._pay_for(min(wall_ms, most.wall_ms), min(cpu_ms, most.cpu_ms), spent), took_ms)

    def _charge(self, spent: Spent, idle_ms: int) -> bool:
        """Charge what no execution pays for, where it has computed, or held memory for that long; whether it was."""
        wall_ms, cpu_ms = self._unpaid(spent)
        if self._set_aside is not None:
            wall_ms, cpu_ms = max(0, wall_ms - self._set_aside.wall_ms), max(0, cpu_ms - self._set_aside.cpu_ms)
        if not cpu_ms and wall_ms < idle_ms:
            return False
        self._payer.charge(self._language, self._pay_for(wall_ms, cpu_ms, spent))
        return True

    def _unpaid(self, spent: Spent) -> tuple[int, int]:
        """For how much time, and how much of the processor's, it was not paid yet, in milliseconds."""
        open_ms = int((time.monotonic() - self._opened) * 1000)
        return open_ms - self._paid_wall_ms, max(0, spent.cpu_ms - self._paid_cpu_ms)

    def _pay_for(self, wall_ms: int, cpu_ms: int, spent: Spent) -> Cost:
        self._paid_wall_ms += wall_ms
        self._paid_cpu_ms += cpu_ms
        return Cost(wall_ms, cpu_ms, spent.peak_memory_kib)


@asynccontextmanager
async def open_metered(sandbox: Sandbox, request: ContextRequest, payer: Account) -> AsyncGenerator[MeteredContext]:
    """Open a context; what it used is paid on every way out. Raises QuotaExceeded: nothing is left to pay with; and as `open_context`."""
    await payer.check()
    metered = None
    try:
        async with sandbox.open_context(request) as context:
            metered = MeteredContext(context, request.language, payer)
            charging = asyncio.create_task(metered.charge_on())
            try:
                yield metered
            finally:
                charging.cancel()
                await asyncio.wait([charging])
    finally:
        if metered is not None:
            await asyncio.shield(asyncio.ensure_future(metered.settle()))
