"""Contexts that end: closed in the middle of something, and in sandboxes that would expire."""

from __future__ import annotations

import asyncio

import pytest

from sandql.core.errors import Conflict, NotFound
from sandql.core.kept import SandboxStatus
from sandql.core.values import Caller, Outcome
from sandql.resolvers import code, contexts, sandboxes
from sandql.resolvers.operations import CreateContext, CreateSandbox, ExecuteCode
from sandql.sandboxes.contexts import Opening
from tests.support.engine import until
from tests.support.house import ALICE, open_house


async def test_a_sandbox_lives_for_as_long_as_quiet_code_runs_in_a_context_of_it() -> None:
    async with open_house() as house:
        made = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(timeout_ms=500))
        context = await contexts.create_context(house, ALICE, CreateContext("python", sandbox_id=made.id))
        quiet = ExecuteCode("import time\ntime.sleep(2)\nprint('done')", "python", context_id=context.id)
        ran = await code.execute(house, ALICE, quiet)
        assert (ran.outcome, ran.stdout) == (Outcome.COMPLETED, b"done\n")
        notices = [notice.kind async for notice in sandboxes.watch_sandbox(house, ALICE, made.id)]
        assert notices[-1].value == SandboxStatus.DESTROYED.value, "an open context alone keeps it from nothing"


async def test_closing_while_it_is_restarted_ends_it() -> None:
    async with open_house() as house:
        context = await contexts.create_context(house, ALICE, CreateContext("python"))
        opened = house.durable.contexts._open[context.id]  # pyright: ignore[reportPrivateUsage]  # how far a restart is shows nowhere else
        restarting = asyncio.ensure_future(contexts.restart_context(house, ALICE, context.id))
        assert await until(lambda: opened.again is not None)
        async with asyncio.timeout(20):
            await contexts.close_context(house, ALICE, context.id)
            await asyncio.wait([restarting])
        assert isinstance(restarting.exception(), Conflict | None)
        with pytest.raises(NotFound):
            await contexts.find_context(house, ALICE, context.id)


async def test_restarting_one_that_is_closed_meanwhile_says_so() -> None:
    async with open_house() as house:
        context = await contexts.create_context(house, ALICE, CreateContext("python"))
        opened = house.durable.contexts._open[context.id]  # pyright: ignore[reportPrivateUsage]  # as above
        asked, closed = asyncio.Event(), asyncio.Event()
        reopen = opened.reopen

        async def slow(caller: Caller) -> Opening:
            asked.set()
            await closed.wait()
            return await reopen(caller)

        opened.reopen = slow
        restarting = asyncio.ensure_future(contexts.restart_context(house, ALICE, context.id))
        await asked.wait()
        await contexts.close_context(house, ALICE, context.id)
        closed.set()
        with pytest.raises(NotFound):
            async with asyncio.timeout(20):
                await restarting
