"""Running code: to its end, or as a stream of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sandql.core.values import Caller, Event, Execution
from sandql.resolvers.bounds import check_run
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.borrow import Sandboxes


async def execute_code(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode) -> Execution:
    """Run a program to its end. A program that fails is an answer, not an error.

    Raises:
        SandqlError: an argument is not acceptable, or the house could not run it.
    """
    provider = sandboxes.provider(asked.provider)
    request = check_run(asked, provider, sandboxes.settings)
    async with sandboxes.borrow(caller, provider, asked.sandbox_id) as sandbox:
        return await sandbox.run(request)


async def stream_code(sandboxes: Sandboxes, caller: Caller, asked: ExecuteCode) -> AsyncGenerator[Event]:
    """Run a program and yield its events as they come; closing the generator ends the run.

    Raises:
        SandqlError: an argument is not acceptable, or the house could not run it.
    """
    provider = sandboxes.provider(asked.provider)
    request = check_run(asked, provider, sandboxes.settings)
    async with sandboxes.borrow(caller, provider, asked.sandbox_id) as sandbox, aclosing(sandbox.stream(request)) as events:
        async for event in events:
            yield event
