"""Executions that outlive their client: started, left to themselves, watched from any event on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from sandql.core.errors import Conflict, NotFound, ProviderUnavailable, ResourceError, SandqlError
from sandql.core.executions import ExecutionStatus, KeptExecution
from sandql.core.settings import Settings
from sandql.core.tasks import pass_over_error
from sandql.core.values import HOME, Caller, Completed, Event, Isolation, Outcome, Output, Problem, RunRequest, Signal, Stream
from sandql.providers.base import Program
from sandql.sandboxes.event_log import EventLog, LogReader, whole_characters
from sandql.sandboxes.execution_end import Ending, last_event, write_end
from sandql.sandboxes.launch import Launch
from sandql.sandboxes.lost_execution import remove_log
from sandql.sandboxes.new_ids import is_id
from sandql.sandboxes.running_execution import Running, unwritten
from sandql.store import execution_rows
from sandql.store.paging import Page
from sandql.store.store import Store

_ENDING: Final = "the server is ending"
_UNKNOWN: Final = "id: no execution of yours has this id"
_INPUT_S: Final = 30.0  # in which a program must read what it is sent
_PAGE_BYTES: Final = 4 << 20  # of output in one page of events
_CANCELLED: Final = Problem("CANCELLED", "the run was cancelled before it began")
_RESTARTED: Final = Problem("SANDBOX_LOST", "the server was restarted while the program ran")
_FAILED: Final = Problem("INTERNAL_ERROR", "the server failed while the program ran; its log has the details under the execution's id")
_log = structlog.get_logger()

Value = TypeVar("Value")


def _nothing_to_note(_size: int) -> None:
    """Nobody keeps account."""


class Executions:
    """The executions of all callers. `folder` holds their logs, `server` names this server in the database.

    `on_end` is told how many bytes the log of each has that ends.
    """

    def __init__(self, database: Store, server: str, folder: Path, settings: Settings, on_end: Callable[[int], None] = _nothing_to_note) -> None:
        self._database = database
        self._server = server
        self._folder = folder
        self._settings = settings
        self._on_end = on_end
        self._running: dict[str, Running] = {}
        self._askers = Counter[str]()  # how many wait for an end in order to answer
        self._going_on: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def going_on(self) -> int:
        """How many executions are not at their end, and how many are being started or spoken to."""
        return len(self._running) + len(self._going_on)

    def go_on(self, work: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        """Do something in a task of the house, to its end, though whoever asked for it may be gone by then."""
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        task.add_done_callback(pass_over_error)
        return task

    async def start(self, caller: Caller, id_: str, opening: AbstractAsyncContextManager[Launch]) -> KeptExecution:
        """Start a program and leave it to itself; returns when it has its row. `opening` is entered here, and its errors are raised.

        Raises:
            ResourceError: the caller has as many executions at one time as there may be.
            QuotaExceeded, RateLimited: the caller has not enough left for it, or as many runs at one time as its plan has.
            ProviderUnavailable: the server is ending.
        """
        if self._closing:
            raise ProviderUnavailable(_ENDING)
        own = sum(running.owner == caller.subject for running in self._running.values())
        if own >= self._settings.max_executions:
            raise ResourceError(f"executions: at most {self._settings.max_executions} at one time for a caller; end one first")
        running = Running(id_, caller.subject, asyncio.get_running_loop().create_future())
        self._running[id_] = running
        running.task = asyncio.create_task(self._run(running, opening))
        running.task.add_done_callback(lambda _: running.refuse(ProviderUnavailable(_ENDING)))  # it may be cancelled before its first step
        return await asyncio.shield(running.started)

    async def find(self, caller: Caller, id_: str) -> KeptExecution:
        """The caller's execution of that id. Raises NotFound."""
        running = self._running.get(id_)
        if running is not None and running.owner == caller.subject:
            return await asyncio.shield(running.started)
        row = await self._database.read(lambda connection: execution_rows.find(connection, caller.subject, id_)) if is_id(id_) else None
        if row is not None and self._may_be_unbegun(row):
            row = await self._database.write(partial(execution_rows.forget_running, id_=id_, owner=caller.subject))
        if row is None:
            raise NotFound(_UNKNOWN)
        return row

    def _may_be_unbegun(self, row: KeptExecution) -> bool:
        """Whether nothing was begun for a row: it was written, but the database could not say so. Or its end has been written since it was read."""
        running = row.status is ExecutionStatus.RUNNING and row.server == self._server
        return running and row.id not in self._running and not (self._folder / row.id).exists()

    async def page(
        self, caller: Caller, first: int, after: str | None, sandbox_id: str | None, status: ExecutionStatus | None
    ) -> Page[KeptExecution]:
        """Some of the caller's executions, newest first. Raises BadRequest."""
        if sandbox_id is not None and sandbox_id != HOME and not is_id(sandbox_id):
            return Page((), (), False)
        return await self._database.read(lambda connection: execution_rows.page(connection, caller.subject, first, after, sandbox_id, status))

    async def result(self, caller: Caller, id_: str) -> Completed | None:
        """The last event of an execution, None while it runs. Raises NotFound."""
        row = await self.find(caller, id_)
        running = self._running.get(id_)
        if running is not None:
            return running.last
        self._check_server(row)
        return await asyncio.to_thread(last_event, self._folder / id_)

    async def last_seq(self, caller: Caller, id_: str) -> int:
        """The number of the last event that there is. Raises NotFound."""
        running = self._running.get(id_)
        if running is not None and running.owner == caller.subject and running.last is None:
            return running.log.seq if running.log is not None else 0
        last = await self.result(caller, id_)
        return 0 if last is None else last.seq

    async def some_events(self, caller: Caller, id_: str, after: int, first: int) -> list[Event]:
        """At most `first` events behind number `after`, of those that there are; fewer where they are large. Raises NotFound."""
        found: list[Event] = []
        size = 0
        async with aclosing(self._events(caller, id_, after, wait=False)) as events:
            async for event in events:
                found.append(event)
                size += len(event.data) if isinstance(event, Output) else 0
                if len(found) >= first or size >= _PAGE_BYTES:
                    break
        return found

    def events(self, caller: Caller, id_: str, after: int) -> AsyncGenerator[Event]:
        """The events behind number `after`, each once and in order: those that there are, then those that come, up to the last. Raises NotFound."""
        return self._events(caller, id_, after, wait=True)

    def join(self, id_: str) -> None:
        """Be one of those who wait for the end of an execution, until `leave`."""
        self._askers[id_] += 1

    def leave(self, id_: str) -> None:
        """Be none of those any more who wait for the end of an execution; when the last one goes away before it, it is cancelled."""
        self._askers[id_] -= 1
        if not self._askers[id_]:
            del self._askers[id_]
            running = self._running.get(id_)
            if running is not None and running.last is None:
                self._end(running)

    async def answer(self, caller: Caller, id_: str) -> Completed:
        """Wait for the end of an execution. Raises NotFound."""
        running = self._running.get(id_)
        await self.find(caller, id_)
        if running is None:
            last = await self.result(caller, id_)
            if last is None:
                raise NotFound(_UNKNOWN)
            return last
        async with running.news() as news:
            while running.last is None:
                await news.wait()
                news.clear()
            return running.last

    async def send_input(self, caller: Caller, id_: str, data: bytes) -> None:
        """Give bytes to the program's input; returns when its pipe has taken them.

        Raises:
            NotFound: there is no such execution.
            Conflict: it has ended, reads no input, or is being sent too much already.
            ResourceError: the program did not read in time.
        """
        running, program = await self._program(caller, id_)
        if running.input_bytes + len(data) > self._settings.stdin_bytes:
            raise Conflict(f"data: at most {self._settings.stdin_bytes} bytes may wait to be read; {running.input_bytes} do")
        running.input_bytes += len(data)  # now: others may be about to ask
        try:
            async with asyncio.timeout(_INPUT_S):
                await asyncio.shield(self.go_on(self._feed(running, program, data)))
        except TimeoutError:
            text = f"data: the program has not read it within {_INPUT_S:.0f} s; it is kept for it, so do not send it again"
            raise ResourceError(text, retry_after_s=_INPUT_S) from None

    async def _feed(self, running: Running, program: Program, data: bytes) -> None:
        """Send input, which counts for as long as it is held here: whoever sent it may have gone away or given up."""
        try:
            await program.send_input(data)
        finally:
            running.input_bytes -= len(data)

    async def close_input(self, caller: Caller, id_: str) -> None:
        """Let the program read the end of its input. Raises NotFound, Conflict."""
        (await self._program(caller, id_))[1].close_input()

    async def cancel(self, caller: Caller, id_: str, signal: Signal = Signal.KILL) -> bool:
        """Send a signal to a program; KILL ends it as cancelled, also while it waits for its turn. Whether it still ran. Raises NotFound."""
        running = self._running.get(id_)
        if signal is Signal.KILL and running is not None and running.owner == caller.subject:
            await asyncio.shield(running.started)
            return self._end(running)
        try:
            _, program = await self._program(caller, id_)
        except Conflict:
            return False
        program.send_signal(signal)
        return True

    def _end(self, running: Running) -> bool:
        """End an execution as cancelled; whether it still ran."""
        if running.program is not None:
            running.program.stop(Outcome.CANCELLED)
        elif running.queued and running.task is not None:
            running.cancelled = True
            running.task.cancel()
        else:
            return False
        return True

    async def aclose(self) -> None:
        """End every execution as lost, its last event written, and start no other."""
        self._closing = True
        tasks = {running.task for running in self._running.values() if running.task is not None}
        for task in tasks:
            task.cancel()
        if tasks := tasks | self._going_on:
            await asyncio.wait(tasks)

    async def _program(self, caller: Caller, id_: str) -> tuple[Running, Program]:
        running = self._running.get(id_)
        if running is None or running.owner != caller.subject:
            self._check_server(await self.find(caller, id_))
            raise Conflict("id: the execution has ended")
        await asyncio.shield(running.started)
        async with running.news() as news:
            while running.program is None:  # it waits for its turn
                if running.last is not None:
                    raise Conflict("id: the execution has ended")
                await news.wait()
                news.clear()
            return running, running.program

    async def _events(self, caller: Caller, id_: str, after: int, *, wait: bool) -> AsyncGenerator[Event]:
        row = await self.find(caller, id_)
        running = self._running.get(id_)
        if running is None:
            self._check_server(row)
        reader, seen = LogReader(self._folder / id_, after), after
        try:
            async with running.news() if running is not None else nullcontext() as news:
                while True:
                    if news is not None:
                        news.clear()
                    # Looked at first: when the last event is there, so are all others.
                    last = await asyncio.to_thread(last_event, self._folder / id_) if running is None else running.last
                    there = running.log.seq if running is not None and running.log is not None else None
                    while (there is None or seen < there) and (batch := await asyncio.to_thread(reader.read)):
                        for event in batch:
                            yield event
                        seen = batch[-1].seq
                    if last is not None and last.seq > after:
                        yield last
                    if last is not None or news is None or not wait:
                        return
                    await news.wait()
        except FileNotFoundError:
            raise NotFound(_UNKNOWN) from None  # its time was over

    def _check_server(self, row: KeptExecution) -> None:
        if row.server != self._server:
            raise ProviderUnavailable("id: this execution is kept by another server of this database; ask that one")

    async def _run(self, running: Running, opening: AbstractAsyncContextManager[Launch]) -> None:
        last: Completed | None = None
        why = _RESTARTED
        row: KeptExecution | None = None
        isolation: Isolation | None = None
        refused: Callable[[SandqlError], None] | None = None
        try:
            async with opening as launch:
                refused = launch.refused
                request = self._as_kept(launch.request, running.id)
                isolation = launch.provider.isolation()
                async with launch.admit(request) as start:
                    row = await self._add_row(running, launch)
                    async with start(request) as program:
                        running.program, running.queued = program, False
                        running.wake()
                        last = await self._take_events(running, program)
        except SandqlError as error:
            why = Problem(error.code, error.message)
            if refused is not None and running.started.done():
                refused(error)
            running.refuse(error)
        except OSError as error:
            running.refuse(unwritten(error))
        except asyncio.CancelledError:
            why = _CANCELLED if running.cancelled else _RESTARTED
            running.refuse(ProviderUnavailable(_ENDING))
        except BaseException as error:
            why = _FAILED
            running.refuse(error)
            _log.exception("an execution failed", execution=running.id)
        running.program, running.queued = None, False
        try:
            if row is not None and isolation is not None:
                ending = Ending(row, isolation, why, Outcome.CANCELLED if why is _CANCELLED else Outcome.SANDBOX_LOST, self._settings.output_bytes)
                log_bytes = await write_end(self._database, running, ending, last, lambda: not self._closing)
                self._on_end(log_bytes)
            elif running.log is not None:
                running.log.close()
                remove_log(running.log.folder)
        finally:
            self._running.pop(running.id, None)
            running.wake()

    def _as_kept(self, request: RunRequest, id_: str) -> RunRequest:
        """A request under the id of the execution, with the bound that its log has."""
        return replace(request, id=id_, limits=replace(request.limits, output_hard_bytes=self._settings.execution_log_bytes))

    async def _add_row(self, running: Running, launch: Launch) -> KeptExecution:
        row = KeptExecution(
            id=running.id,
            owner=running.owner,
            sandbox_id=launch.sandbox_id,
            provider=launch.provider.name,
            language=launch.request.language,
            server=self._server,
            status=ExecutionStatus.RUNNING,
            outcome=None,
            started_at=time.time(),
            ended_at=None,
        )
        running.log = await asyncio.to_thread(EventLog, self._folder / running.id, running.id)
        await self._database.write(lambda connection: execution_rows.add(connection, row))
        running.started.set_result(row)
        return row

    async def _take_events(self, running: Running, program: Program) -> Completed:
        log = running.log
        assert log is not None
        held = {Stream.STDOUT: b"", Stream.STDERR: b""}
        async with aclosing(program.events()) as events:
            async for event in events:
                if isinstance(event, Output):
                    whole, held[event.stream] = whole_characters(held[event.stream], event.data)
                    if whole:
                        running.write(event.stream, whole)
                    if log.size > self._settings.execution_log_bytes:
                        program.stop(Outcome.OUTPUT_LIMIT)
                elif isinstance(event, Completed):
                    for stream, rest in held.items():
                        if rest:
                            running.write(stream, rest)
                    return Completed(log.seq + 1, event.execution)
        raise RuntimeError("a run ended without its last event")
