"""A sandbox of which everything that runs is paid for: set aside before it starts, and settled on every way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext
from functools import partial
from typing import Final

from sandql.core.contexts import ContextRequest
from sandql.core.errors import QuotaExceeded
from sandql.core.spent import Spent
from sandql.core.terminals import TerminalEnd, TerminalRequest, TerminalSize
from sandql.core.tracing import span
from sandql.core.values import Completed, Event, Execution, Outcome, RunRequest, Signal
from sandql.providers.base import Context, Files, Program, Sandbox, Terminal, no_one_asks
from sandql.sandboxes.account import Account, Bill
from sandql.sandboxes.breaker import Attempt, Entering
from sandql.sandboxes.launch import Start
from sandql.sandboxes.metered_files import MeteredFiles
from sandql.usage.meter import Cost
from sandql.usage.storage import Share

_BLOCK_BYTES: Final = 4096
TERMINAL: Final = "terminal"  # what stands for the language of a terminal


class MeteredSandbox:
    """See `sandql.providers.base.Sandbox`.

    `attempt` is where its provider is asked for something that runs, `share` its part in what its owner keeps.
    Whoever opens a context has it paid for: by whom may change while it is open.
    """

    def __init__(self, sandbox: Sandbox, account: Account, attempt: Attempt = nullcontext, share: Share | None = None) -> None:
        self._sandbox = sandbox
        self._account = account
        self._attempt = attempt
        self._share = share

    @property
    def id(self) -> str | None:
        """The id by which the caller can come back, or None for a sandbox that lives for one run."""
        return self._sandbox.id

    @property
    def files(self) -> Files:
        """Its files. Raises BadRequest for a sandbox that lives for one run."""
        account = self._account
        return MeteredFiles(self._sandbox.files, partial(account.usage.count_bytes, account.caller, account.provider))

    async def run(self, request: RunRequest, begun: Callable[[], None] = no_one_asks) -> Execution:
        """Run a program to its end."""
        bill = await self._bill(request)

        def start() -> None:
            bill.start()
            begun()

        try:
            with span("run"), self._attempt():
                execution = await self._sandbox.run(request, start)
            bill.pay_for(execution)
            return execution
        except Exception:
            bill.refund()  # the house failed
            raise
        finally:
            bill.close()

    @asynccontextmanager
    async def start(self, request: RunRequest) -> AsyncGenerator[Program]:
        """Start a program and have a hold on it while it runs."""
        async with self.admit(request) as start, start(request) as program:
            yield program

    @asynccontextmanager
    async def admit(self, request: RunRequest) -> AsyncGenerator[Start]:
        """Set aside what a program may cost; what is yielded starts it."""
        bill = await self._bill(request)
        try:
            yield partial(self._start, bill)
        finally:
            bill.close()  # what was started has closed it

    @asynccontextmanager
    async def _start(self, bill: Bill, request: RunRequest) -> AsyncGenerator[Program]:
        try:
            with span("run"):
                async with Entering(self._attempt, self._sandbox.start(request)) as program:
                    bill.start()
                    yield _MeteredProgram(program, bill)
        finally:
            bill.close()

    @asynccontextmanager
    async def open_context(self, request: ContextRequest) -> AsyncGenerator[Context]:
        """Open a session, for which nothing is paid here."""
        await check_room(self._share)
        async with Entering(self._attempt, self._sandbox.open_context(request)) as context:
            yield context

    @asynccontextmanager
    async def open_terminal(self, request: TerminalRequest) -> AsyncGenerator[Terminal]:
        """Run a program in a terminal; what it and all that it started cost is paid when it has ended."""
        await self._check_room(TERMINAL)
        bill = await self._account.bill(TERMINAL, request.limits)
        metered = None
        try:
            async with Entering(self._attempt, self._sandbox.open_terminal(request)) as terminal:
                bill.start()
                metered = _MeteredTerminal(terminal)
                yield metered
        finally:
            if metered is None:
                bill.close()
            else:
                await asyncio.shield(asyncio.ensure_future(metered.pay(bill)))

    async def _bill(self, request: RunRequest) -> Bill:
        """Set aside what a run may cost, where there is room for what it begins with."""
        await self._check_room(request.language, request)
        stored = 0 if self.id is None else sum(len(file.content) for file in request.files)
        return await self._account.bill(request.language, request.limits, stored)

    async def _check_room(self, language: str, request: RunRequest | None = None) -> None:
        try:
            await check_room(self._share, request)
        except QuotaExceeded as error:
            self._account.refused(language, error)
            raise


async def check_room(share: Share | None, request: RunRequest | None = None) -> None:
    """Refuse what runs in a kept sandbox whose owner keeps as much as it may. Raises QuotaExceeded."""
    if share is not None:
        contents = () if request is None else (request.code, *(file.content for file in request.files))
        await asyncio.to_thread(share.check_run, sum(_on_disk(len(content)) for content in contents))


def _on_disk(size: int) -> int:
    """What a file of so many bytes takes, as good as everywhere."""
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


class _MeteredProgram:
    def __init__(self, program: Program, bill: Bill) -> None:
        self._program = program
        self._bill = bill

    @property
    def id(self) -> str:
        return self._program.id

    async def events(self) -> AsyncGenerator[Event]:
        async with aclosing(self._program.events()) as events:
            async for event in events:
                if isinstance(event, Completed):
                    self._bill.pay_for(event.execution)
                yield event

    async def send_input(self, data: bytes) -> None:
        await self._program.send_input(data)

    def close_input(self) -> None:
        self._program.close_input()

    def send_signal(self, signal: Signal) -> None:
        self._program.send_signal(signal)

    def stop(self, why: Outcome) -> None:
        self._program.stop(why)


class _MeteredTerminal:
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._outcome = Outcome.CANCELLED

    async def pay(self, bill: Bill) -> None:
        wall_ms = bill.wall_ms
        try:
            spent = await self._terminal.spent()
            bill.pay(self._outcome, Cost(wall_ms, spent.cpu_ms, spent.peak_memory_kib))
        finally:
            bill.close()  # what it used is not known: it holds its caller's place no longer

    def output(self) -> AsyncGenerator[bytes]:
        return self._terminal.output()

    async def write(self, data: bytes) -> None:
        await self._terminal.write(data)

    def interrupt(self, data: bytes) -> bool:
        return self._terminal.interrupt(data)

    def resize(self, size: TerminalSize) -> None:
        self._terminal.resize(size)

    def hang_up(self) -> None:
        self._terminal.hang_up()

    async def ended(self) -> TerminalEnd:
        end = await self._terminal.ended()
        if end.reason is None:
            self._outcome = Outcome.COMPLETED if end.exit_code == 0 else Outcome.FAILED
        return end

    async def spent(self) -> Spent:
        return await self._terminal.spent()
