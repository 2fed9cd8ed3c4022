"""Running programs: to their end, or as a stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import asdict, replace
from functools import partial

from sandql.core.errors import NotFound, SandqlError
from sandql.core.permissions import Kind, Permission
from sandql.core.values import Caller, Completed, Event, Execution, RunRequest
from sandql.providers.base import Provider
from sandql.resolvers.bounds import COMMAND, check_in_context, check_run, limits_in_context
from sandql.resolvers.guard import guarded, guarded_stream, refused_later
from sandql.resolvers.operations import ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.launch import Launch, Start
from sandql.sandboxes.lease import Lease
from sandql.sandboxes.new_ids import execution_id


@guarded(Kind.EXECUTE, Permission.EXECUTE_CODE)
async def execute(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode | RunCommand, key: str | None = None) -> Execution:
    """Run a program to its end. A program that fails is an answer, not an error. With a key the same is answered again, and run once.

    Raises:
        SandqlError: an argument is not acceptable, or the house could not run it.
    """
    if key is not None:
        return await _execute_once(sandboxes, caller, asked, key)
    if isinstance(asked, ExecuteCode) and asked.context_id is not None:
        return await _last_of(_stream(sandboxes, caller, asked))
    async with _borrow(sandboxes, caller, asked) as lease:
        return await lease.sandbox.run(check_run(caller, asked, lease.provider, sandboxes.settings, lease.kept))


def _borrow(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode | RunCommand) -> AbstractAsyncContextManager[Lease]:
    language = COMMAND if isinstance(asked, RunCommand) else asked.language
    return sandboxes.borrow(caller, asked.sandbox_id, asked.provider, template=asked.template, running=language)


@guarded_stream(Kind.EXECUTE, Permission.EXECUTE_CODE)
async def stream_code(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode) -> AsyncGenerator[Event]:
    """Run a program and yield its events as they come; closing the generator ends the run.

    Raises:
        SandqlError: an argument is not acceptable, or the house could not run it.
    """
    async with aclosing(_stream(sandboxes, caller, asked)) as events:
        async for event in events:
            yield event


async def _stream(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode) -> AsyncGenerator[Event]:
    async with _launch(sandboxes, caller, asked) as launch, launch.start(launch.request) as program, aclosing(program.events()) as events:
        async for event in events:
            yield event


async def _last_of(events: AsyncGenerator[Event]) -> Execution:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completed):
                return event.execution
    raise RuntimeError("an execution ended without its last event")


@asynccontextmanager
async def _launch(
    sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode | RunCommand, refused: Callable[[SandqlError], None] | None = None
) -> AsyncGenerator[Launch]:
    """A program that is to be started, checked, in the sandbox or context that was asked for."""
    if isinstance(asked, ExecuteCode) and asked.context_id is not None:
        check_in_context(asked)
        contexts = sandboxes.durable.contexts
        context = contexts.find(caller, asked.context_id)
        kept = await sandboxes.find_kept(caller, context.sandbox_id)
        provider = sandboxes.provider(caller, asked.provider if kept is None else kept.provider)
        request = check_run(caller, asked, provider, sandboxes.settings)
        request = replace(request, id=execution_id(), limits=limits_in_context(caller, request.limits, context.limits))
        async with contexts.queue(caller, context.id, request.language, sandboxes.account(caller, provider.name)) as start:
            yield Launch(provider, context.sandbox_id, request, start, partial(_admit_in_context, sandboxes, caller, provider, start), refused)
    else:
        async with _borrow(sandboxes, caller, asked) as lease:
            request = check_run(caller, asked, lease.provider, sandboxes.settings, lease.kept)
            yield Launch(lease.provider, lease.sandbox.id, request, lease.sandbox.start, lease.admit, refused)


@asynccontextmanager
async def _admit_in_context(sandboxes: Sandboxes, caller: Caller, provider: Provider, start: Start, request: RunRequest) -> AsyncGenerator[Start]:
    """Refuse code that could not run now. What it may cost is set aside when its turn has come, since until then it has no place among the runs."""
    await sandboxes.check_left(caller, provider, request)
    yield start


@guarded(Kind.EXECUTE, Permission.EXECUTE_CODE)
async def start(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode | RunCommand, key: str | None = None) -> str:
    """Start a program that goes on when its caller is gone; returns its id at once.

    Raises:
        SandqlError: an argument is not acceptable, or the house could not start it.
    """
    return await asyncio.shield(sandboxes.durable.executions.go_on(_start(sandboxes, caller, asked, key)))


async def _start(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode | RunCommand, key: str | None, *, join: bool = False) -> str:
    """Start a program once for a key; to `join` is for whoever waits for its end. It must not be given up half-way: nobody would know of it."""
    executions, operation = sandboxes.durable.executions, "execute" if join else "start"
    async with sandboxes.durable.keys.once(caller, key, f"{operation} {type(asked).__name__}", asdict(asked), execution_id) as claim:
        if claim.new or not await _is_known(sandboxes, caller, claim.id):
            refused = partial(refused_later, sandboxes, caller, operation, asked)
            await executions.start(caller, claim.id, _launch(sandboxes, caller, asked, refused))
        if join:
            executions.join(claim.id)
    return claim.id


async def _is_known(sandboxes: Sandboxes, caller: Caller, id_: str) -> bool:
    """Whether what a key was used for was really started, and not cut off before."""
    try:
        await sandboxes.durable.executions.find(caller, id_)
    except NotFound:
        return False
    return True


async def _execute_once(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode | RunCommand, key: str) -> Execution:
    executions = sandboxes.durable.executions
    starting = executions.go_on(_start(sandboxes, caller, asked, key, join=True))
    try:
        id_ = await asyncio.shield(starting)
    except asyncio.CancelledError:  # whoever asked is gone before it was started
        executions.go_on(_leave_started(sandboxes, caller, key, starting))
        raise
    try:
        return (await executions.answer(caller, id_)).execution
    finally:
        executions.go_on(_leave_started(sandboxes, caller, key, starting))


async def _leave_started(sandboxes: Sandboxes, caller: Caller, key: str, starting: asyncio.Task[str]) -> None:
    """Wait for the end of an execution no more, once all who ask for it by the same key have joined."""
    id_ = await starting
    await sandboxes.durable.keys.all_asked(caller, key)
    sandboxes.durable.executions.leave(id_)
