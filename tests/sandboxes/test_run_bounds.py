"""How much a caller may run at one time, and that its places are free again on every way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import pytest

from sandql.access.access import Access
from sandql.access.plans import read_plans
from sandql.access.rate_limits import RateLimits
from sandql.core.errors import Forbidden, QuotaExceeded, RateLimited, SandqlError
from sandql.core.settings import load_settings
from sandql.core.values import Caller, Limits, Signal
from sandql.resolvers import code, contexts, executions, terminals
from sandql.resolvers.operations import CreateContext, CreateTerminal, ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.run_bounds import RunBounds
from sandql.sandboxes.turns import Turns
from sandql.usage.meter import Reservation, Unmetered
from tests.support.house import open_house
from tests.support.twin import TwinProvider

_ALICE, _BOB = Caller("alice", plan="two"), Caller("bob", plan="two")


class _Empty(Unmetered):
    async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> Reservation:
        """Grants nothing."""
        raise QuotaExceeded("nothing is left")


def _open(usage: Unmetered | None = None) -> tuple[TwinProvider, Sandboxes]:
    settings = load_settings()
    twin = TwinProvider(settings)
    rates = RateLimits(read_plans({"two": {"concurrency": 2}}))
    return twin, Sandboxes(settings, {twin.name: twin}, None, Access(rates), usage, RunBounds(rates, Turns(settings.max_queued_runs)))


def _asked(script: str) -> ExecuteCode:
    return ExecuteCode(code=script, language="script")


@asynccontextmanager
async def _hanging(twin: TwinProvider, sandboxes: Sandboxes, caller: Caller, most: int) -> AsyncGenerator[None]:
    tasks = [asyncio.ensure_future(code.execute(sandboxes, caller, _asked("hang"))) for _ in range(most)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert twin.running == most
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_one_run_too_many_is_refused_and_does_not_begin() -> None:
    twin, sandboxes = _open()
    async with _hanging(twin, sandboxes, _ALICE, 2):
        with pytest.raises(RateLimited, match="the plan 'two' has 2 runs at one time") as refused:
            await code.execute(sandboxes, _ALICE, _asked("out 1"))
        assert refused.value.retry_after_s == 1
        with pytest.raises(RateLimited):
            async with aclosing(code.stream_code(sandboxes, _ALICE, _asked("out 1"))) as events:
                await anext(events)
        assert twin.runs == 2
        assert (await code.execute(sandboxes, _BOB, _asked("out 1"))).success
    assert (await code.execute(sandboxes, _ALICE, _asked("out 1"))).success


@pytest.mark.parametrize("script", ["out 1", "exit 3", "lost", "refuse", "defect"])
async def test_a_place_is_free_again_however_a_run_ends(script: str) -> None:
    _, sandboxes = _open()
    for _ in range(5):
        with suppress(SandqlError, RuntimeError):
            await code.execute(sandboxes, _ALICE, _asked(script))
        with suppress(SandqlError, RuntimeError):
            async with aclosing(code.stream_code(sandboxes, _ALICE, _asked(script))) as events:
                async for _ in events:
                    pass
    assert (await code.execute(sandboxes, _ALICE, _asked("out 1"))).success


async def test_a_place_is_free_again_when_a_stream_is_left() -> None:
    _, sandboxes = _open()
    for _ in range(5):
        async with aclosing(code.stream_code(sandboxes, _ALICE, _asked("hang"))) as events:
            await anext(events)


async def test_a_place_is_free_again_when_nothing_could_be_set_aside() -> None:
    twin, sandboxes = _open(_Empty())
    for _ in range(5):
        with pytest.raises(QuotaExceeded):
            await code.execute(sandboxes, _ALICE, _asked("out 1"))
    assert twin.runs == 0


async def test_a_plan_that_is_not_known_runs_nothing() -> None:
    twin, sandboxes = _open()
    with pytest.raises(Forbidden):
        await code.execute(sandboxes, Caller("alice", plan="gold"), _asked("out 1"))
    assert twin.runs == 0


@pytest.mark.unprivileged
async def test_everything_that_runs_takes_a_place(tmp_path: Path) -> None:
    """In a real house: an execution that goes on, code in a context, and a terminal for as long as it is open."""
    access = tmp_path / "access.toml"
    access.write_text('[plans.two.rates]\nexecute = "100000/minute"\nconcurrency = 1\n')
    async with open_house(access_file=access) as house:

        async def refused() -> None:
            with pytest.raises(RateLimited, match="1 runs at one time"):
                await code.execute(house, _ALICE, ExecuteCode("print(1)", "python"))

        async def free() -> None:
            async with asyncio.timeout(20):
                while True:
                    with suppress(RateLimited):
                        await code.execute(house, _ALICE, ExecuteCode("print(1)", "python"))
                        return
                    await asyncio.sleep(0.01)

        started = await code.start(house, _ALICE, ExecuteCode("import time; time.sleep(60)", "python"))
        await refused()
        with pytest.raises(RateLimited, match="1 runs at one time"):
            await code.start(house, _ALICE, ExecuteCode("print(1)", "python"), key="again")
        assert [item.id for item in (await executions.list_executions(house, _ALICE, 10, None, None, None)).items] == [started]
        await executions.cancel_execution(house, _ALICE, started, Signal.KILL)
        await free()
        assert await code.start(house, _ALICE, ExecuteCode("print(2)", "python"), key="again"), "it was not used up"
        await free()
        context = await contexts.create_context(house, _ALICE, CreateContext("python"))
        await free()  # one that waits for code takes none
        in_context = ExecuteCode("import time; time.sleep(60)", "python", context_id=context.id)
        async with aclosing(code.stream_code(house, _ALICE, in_context)) as events:
            await anext(events)
            await refused()
        await free()
        terminal = await terminals.create_terminal(house, _ALICE, CreateTerminal())
        await refused()
        with pytest.raises(RateLimited):
            await terminals.create_terminal(house, _ALICE, CreateTerminal())
        await terminals.close_terminal(house, _ALICE, terminal.id)
        await free()
