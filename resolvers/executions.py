"""Executions that outlive their client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from sandql.core.errors import BadRequest
from sandql.core.executions import ExecutionStatus, KeptExecution
from sandql.core.permissions import Kind, Permission
from sandql.core.values import Caller, Event, Execution, Signal
from sandql.resolvers.bounds import decode_content
from sandql.resolvers.guard import guarded, guarded_stream
from sandql.resolvers.sandboxes import check_first
from sandql.sandboxes.borrow import Sandboxes
from sandql.store.paging import Page

MAX_EVENTS: Final = 10_000


@guarded(Kind.QUERY)
async def find_execution(sandboxes: Sandboxes, caller: Caller, id_: str) -> KeptExecution:
    """The caller's execution of that id. Raises NotFound."""
    return await sandboxes.durable.executions.find(caller, id_)


@guarded(Kind.QUERY)
async def list_executions(
    sandboxes: Sandboxes, caller: Caller, first: int, after: str | None, sandbox_id: str | None, status: ExecutionStatus | None
) -> Page[KeptExecution]:
    """Some of the caller's executions, newest first. Raises BadRequest."""
    return await sandboxes.durable.executions.page(caller, check_first(first), after, sandbox_id, status)


@guarded(None)
async def result_of(sandboxes: Sandboxes, caller: Caller, id_: str) -> Execution | None:
    """How an execution ended, None while it runs. Raises NotFound."""
    last = await sandboxes.durable.executions.result(caller, id_)
    return None if last is None else last.execution


@guarded(None)
async def last_seq_of(sandboxes: Sandboxes, caller: Caller, id_: str) -> int:
    """The number of the last event that there is. Raises NotFound."""
    return await sandboxes.durable.executions.last_seq(caller, id_)


@guarded(Kind.QUERY)
async def some_events(sandboxes: Sandboxes, caller: Caller, id_: str, after: int, first: int) -> Sequence[Event]:
    """Some of the events that there are. Raises NotFound, BadRequest."""
    if not 1 <= first <= MAX_EVENTS:
        raise BadRequest(f"first: must be from 1 to {MAX_EVENTS}, got {first}")
    return await sandboxes.durable.executions.some_events(caller, id_, _check_after(after), first)


@guarded_stream(Kind.QUERY)
async def watch_execution(sandboxes: Sandboxes, caller: Caller, id_: str, after: int) -> AsyncGenerator[Event]:
    """The events behind number `after`, each once and in order, up to the last. Raises NotFound, BadRequest."""
    async with aclosing(sandboxes.durable.executions.events(caller, id_, _check_after(after))) as events:
        async for event in events:
            yield event


@guarded(Kind.QUERY, Permission.EXECUTE_CODE)
async def send_input(sandboxes: Sandboxes, caller: Caller, id_: str, data: str, encoding: str) -> None:
    """Give bytes to a program's input. Raises NotFound, Conflict, PayloadTooLarge, ResourceError."""
    await sandboxes.durable.executions.send_input(caller, id_, decode_content("data", data, encoding, sandboxes.settings.stdin_bytes))


@guarded(Kind.QUERY, Permission.EXECUTE_CODE)
async def close_input(sandboxes: Sandboxes, caller: Caller, id_: str) -> None:
    """Let a program read the end of its input. Raises NotFound, Conflict."""
    await sandboxes.durable.executions.close_input(caller, id_)


@guarded(Kind.QUERY, Permission.EXECUTE_CODE)
async def cancel_execution(sandboxes: Sandboxes, caller: Caller, id_: str, signal: Signal) -> bool:
    """Send a signal to a program; KILL ends it as cancelled. Whether it still ran. Raises NotFound."""
    return await sandboxes.durable.executions.cancel(caller, id_, signal)


def _check_after(after: int) -> int:
    if after < 0:
        raise BadRequest(f"after: must be the number of an event, or 0, got {after}")
    return after
