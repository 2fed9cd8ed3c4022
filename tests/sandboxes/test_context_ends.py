"""Contexts that end: closed in the middle of something, and in sandboxes that would expire."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from sandql.core.errors import Conflict, NotFound
from sandql.core.kept import SandboxStatus
from sandql.core.values import Caller, Completed, Limits, Outcome, Signal
from sandql.resolvers import code, contexts, executions, sandboxes
from sandql.resolvers.operations import CreateContext, CreateSandbox, ExecuteCode
from sandql.sandboxes import contexts as contexts_module
from sandql.sandboxes.account import Account, Bill
from sandql.sandboxes.contexts import Opening
from tests.support.engine import until
from tests.support.executions import end_of, watched
from tests.support.house import ALICE, BOB, open_house


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
        assert isinstance(restarting.exception(), Conflict)
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


async def test_who_reads_on_after_closing_gets_nothing_of_the_next_context() -> None:
    """The next one may have the same descriptor for its answers."""
    async with open_house() as house:
        hers = await contexts.create_context(house, ALICE, CreateContext("python"))
        async with aclosing(code.stream_code(house, ALICE, ExecuteCode("import time\ntime.sleep(60)", "python", context_id=hers.id))) as events:
            await anext(events)  # she reads no more
            await contexts.close_context(house, ALICE, hers.id)
            his = await contexts.create_context(house, BOB, CreateContext("python"))
            running = asyncio.ensure_future(code.execute(house, BOB, ExecuteCode("'the secret of Bob'", "python", context_id=his.id)))
            last = await asyncio.wait_for(anext(events), 10)
            assert isinstance(last, Completed)
            assert (last.execution.outcome, last.execution.results) == (Outcome.CANCELLED, ())
            answer = await asyncio.wait_for(running, 10)
            assert [item.data for item in answer.results] == ["'the secret of Bob'"]


@pytest.mark.parametrize("stubborn", [False, True])
async def test_nothing_of_code_whose_caller_left_becomes_part_of_the_next(*, stubborn: bool) -> None:
    async with open_house() as house:
        context = await contexts.create_context(house, ALICE, CreateContext("python"))
        old = "import time\nn = 0\nwhile True:\n    n += 1\n    print('old', n, flush=True)\n    time.sleep(0.01)"
        if stubborn:
            old = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
        async with aclosing(code.stream_code(house, ALICE, ExecuteCode(old, "python", context_id=context.id))) as events:
            await anext(events)
            if not stubborn:
                await anext(events)
        if stubborn:
            with pytest.raises(Conflict, match="ended"):  # there is no other way to end that
                await code.execute(house, ALICE, ExecuteCode("print('mine')", "python", context_id=context.id))
            return
        ran = await code.execute(house, ALICE, ExecuteCode("print('mine', n > 0)", "python", context_id=context.id))
        assert (ran.outcome, ran.stdout) == (Outcome.COMPLETED, b"mine True\n")


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
async def test_what_is_said_to_code_before_it_begins_reaches_it(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    bill, asked, go_on = Account.bill, asyncio.Event(), asyncio.Event()

    async def slow(self: Account, language: str, limits: Limits, stored: int = 0) -> Bill:
        asked.set()
        await go_on.wait()
        return await bill(self, language, limits, stored)

    async with open_house() as house:
        context = await contexts.create_context(house, ALICE, CreateContext("python"))
        monkeypatch.setattr(Account, "bill", slow)
        id_ = await code.start(house, ALICE, ExecuteCode("import time\ntime.sleep(60)", "python", context_id=context.id))
        await asked.wait()
        if how == "cancel":
            assert await executions.cancel_execution(house, ALICE, id_, Signal.KILL)
        else:
            assert await contexts.interrupt_context(house, ALICE, context.id)
        go_on.set()
        ended = end_of(await watched(house, id_)).execution
        assert ended.outcome is (Outcome.CANCELLED if how == "cancel" else Outcome.FAILED)


async def test_a_context_that_ends_while_its_storage_is_looked_at_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        asked.set()
        await go_on.wait()

    async with open_house() as house:
        context = await contexts.create_context(house, ALICE, CreateContext("python"))
        monkeypatch.setattr(contexts_module, "check_room", slow)
        running = asyncio.ensure_future(code.execute(house, ALICE, ExecuteCode("1", "python", context_id=context.id)))
        await asked.wait()
        await contexts.close_context(house, ALICE, context.id)
        go_on.set()
        with pytest.raises(Conflict, match="ended"):
            await running


async def test_output_that_its_caller_left_is_not_the_next_ones() -> None:
    async with open_house() as house:
        context = await contexts.create_context(house, ALICE, CreateContext("python"))
        many = "import sys, threading\nprint('old', flush=True)\nprint('old', file=sys.stderr, flush=True)\n"
        many += "threading.Timer(0.3, lambda: open('answered', 'w').close()).start()"
        async with aclosing(code.stream_code(house, ALICE, ExecuteCode(many, "python", context_id=context.id))) as events:
            await anext(events)
            assert await until(lambda: list(house.settings.state_dir.glob("homes/*/files/answered")))
            await anext(events)  # the rest is there, and its reader leaves
        ran = await code.execute(house, ALICE, ExecuteCode("print('mine')", "python", context_id=context.id))
        assert (ran.stdout, ran.stderr) == (b"mine\n", b"")
