"""Who pays for contexts and terminals, for what, and what ends when nothing is left to pay with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from sandql.core.contexts import ContextStatus
from sandql.core.errors import Conflict, Forbidden, QuotaExceeded
from sandql.core.permissions import EVERYTHING, ResourceLimits
from sandql.core.spent import Spent
from sandql.core.values import Caller, Execution, MiB, Outcome, Output, Started
from sandql.providers.local.terminal import LocalTerminal
from sandql.resolvers import code, contexts, files, terminals
from sandql.resolvers.operations import AskedLimits, CreateContext, CreateTerminal, ExecuteCode
from sandql.resolvers.prices import AskedPrice, price_of
from sandql.sandboxes import metered_context
from sandql.sandboxes.borrow import Sandboxes
from sandql.store.usage_rows import Used
from sandql.usage.ledger import Ledger
from tests.support.engine import HANG_S, until
from tests.support.house import open_house

pytestmark = pytest.mark.unprivileged

ALICE = Caller("alice")
_TINY = replace(ALICE, plan="tiny")
_ONE = replace(ALICE, plan="one")
_BURN = """
import threading, time
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
"""
_HOLD = "import time\nx = bytearray(b'x') * 100_000_000\ntime.sleep(1)\nprint('held')"  # for longer than it takes to be seen
_BESIDE = "beside = threading.Thread(target=burn, args=({},), daemon=True)\nbeside.start()"


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Sandboxes]:
    """A house whose contexts are looked at often, with a plan of four CPU seconds."""
    monkeypatch.setattr(metered_context, "CHARGE_S", 0.05)
    access = tmp_path / "access.toml"
    access.write_text(
        "[plans.tiny.quota]\nmaxCpuSeconds = 4\n[plans.large.quota]\nperiod = 'month'\nmaxCpuSeconds = 10000\n[plans.one.rates]\nconcurrency = 1\n"
    )
    async with open_house(access_file=access) as opened:
        yield opened


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts are looked at so seldom that only executions and their ends are seen."""
    monkeypatch.setattr(metered_context, "CHARGE_S", 1000.0)


async def _used(house: Sandboxes) -> dict[str, Used]:
    ledger = house.usage
    assert isinstance(ledger, Ledger)
    return {key[0]: used for key, used in await ledger.sums("alice", "2000-01-01", "3000-01-01", ("language",)) if key[0] != "files"}


async def _python(house: Sandboxes, caller: Caller = ALICE, limits: AskedLimits | None = None) -> str:
    id_ = (await contexts.create_context(house, caller, CreateContext("python", limits=limits))).id
    await _run(house, id_, _BURN, caller)
    return id_


async def _run(house: Sandboxes, id_: str, source: str, caller: Caller = ALICE, timeout_ms: int | None = 3000) -> Execution:
    async with asyncio.timeout(HANG_S):
        return await code.execute(house, caller, ExecuteCode(source, "python", timeout_ms=timeout_ms, context_id=id_))


@pytest.mark.usefixtures("seldom")
async def test_an_execution_pays_for_what_went_on_before_it_and_the_end_for_the_rest(house: Sandboxes) -> None:
    id_ = await _python(house)
    ran = await _run(house, id_, "burn(0.3)")
    assert ran.cpu_ms >= 290
    before = (await _used(house))["python"]
    assert before.cpu_ms >= 290
    assert before.executions == 2
    await _run(house, id_, _BESIDE.format(0.4))
    last = await _run(house, id_, "beside.join()")
    assert last.cpu_ms < 1000
    between = (await _used(house))["python"]
    assert between.cpu_ms >= before.cpu_ms + 390
    assert between.executions == 4
    await _run(house, id_, _BESIDE.format(0.4) + "\nthreading.Thread(target=lambda: (beside.join(), open('over', 'w').close())).start()")
    async with asyncio.timeout(HANG_S):
        while not await files.list_files(house, ALICE, "", glob="over"):
            pass
    await contexts.close_context(house, ALICE, id_)
    after = (await _used(house))["python"]
    assert after.cpu_ms >= between.cpu_ms + 250, "without a control group the last tenth of a second is not seen"
    assert after.executions == 5, "what goes on beside is no execution"
    assert after.memory_mb_ms > between.memory_mb_ms


@pytest.mark.usefixtures("seldom")
@pytest.mark.parametrize("end", ["import os\nos._exit(3)", "import os\nos.kill(os.getpid(), 9)"])
async def test_a_context_that_ends_itself_has_paid(house: Sandboxes, end: str) -> None:
    id_ = await _python(house)
    before = (await _used(house))["python"].cpu_ms
    await _run(house, id_, _BESIDE.format(1000))
    await _run(house, id_, f"burn(0.3)\n{end}")
    assert await until(lambda: house.durable.contexts.find(ALICE, id_).status is ContextStatus.DEAD)
    assert (await _used(house))["python"].cpu_ms >= before + 290


async def test_what_goes_on_in_a_context_that_nobody_uses_is_counted_as_it_goes_on(house: Sandboxes) -> None:
    id_ = await _python(house)
    await _run(house, id_, _BESIDE.format(1000))
    before = (await _used(house))["python"].cpu_ms
    async with asyncio.timeout(HANG_S):
        while (await _used(house))["python"].cpu_ms < before + 300:
            pass


async def test_code_that_is_left_is_paid_for_by_what_it_used(house: Sandboxes) -> None:
    id_ = await _python(house)
    working = ExecuteCode("time.sleep(1)\nprint('now', flush=True)\ntime.sleep(60)", "python", context_id=id_)
    async with aclosing(code.stream_code(house, ALICE, working)) as events:
        assert [type(await anext(events)) for _ in range(2)] == [Started, Output]
    used = (await _used(house))["python"]
    assert used.executions == 2
    assert used.cpu_ms < used.wall_ms


async def test_a_context_whose_quota_is_used_up_ends_and_none_is_opened(house: Sandboxes) -> None:
    id_ = await _python(house, _TINY)
    await _run(house, id_, _BESIDE.format(1000), _TINY)
    assert await until(lambda: house.durable.contexts.find(ALICE, id_).status is ContextStatus.DEAD)
    with pytest.raises(QuotaExceeded, match="maxCpuSeconds: at most 4 CPU seconds"):
        await _run(house, id_, "1", _TINY)
    with pytest.raises(QuotaExceeded):
        await contexts.restart_context(house, _TINY, id_)
    with pytest.raises(QuotaExceeded):
        await contexts.create_context(house, _TINY, CreateContext("python"))
    assert [info.id for info in house.durable.contexts.list(ALICE, None)] == [id_]
    used = (await _used(house))["python"]
    assert used.cpu_ms >= 4000
    assert used.executions == 2
    assert (await code.execute(house, ALICE, ExecuteCode("print(1)", "python"))).success, "another plan is another's matter"


async def test_an_execution_that_uses_more_than_was_set_aside_for_it_is_ended_by_the_quota(house: Sandboxes) -> None:
    id_ = await _python(house, _TINY)
    threads = "for _ in range(8): threading.Thread(target=burn, args=(1000,), daemon=True).start()\nburn(1000)"
    ended = await code.execute(house, _TINY, ExecuteCode(threads, "python", timeout_ms=3000, context_id=id_))
    assert ended.outcome in (Outcome.CANCELLED, Outcome.TIMED_OUT)
    assert await until(lambda: house.durable.contexts.find(ALICE, id_).status is ContextStatus.DEAD)


async def test_who_runs_something_pays_as_it_is_then(house: Sandboxes) -> None:
    id_ = await _python(house, replace(ALICE, plan="large"))
    with pytest.raises(QuotaExceeded, match="maxCpuSeconds: at most 4 CPU seconds"):
        await _run(house, id_, "1", _TINY, timeout_ms=None)  # 30 s are more than this plan ever has
    with pytest.raises(Forbidden, match="plan: 'gold'"):
        await _run(house, id_, "1", replace(ALICE, plan="gold"))
    await _run(house, id_, _BESIDE.format(1000), _TINY)  # from now on this plan pays for what goes on
    assert await until(lambda: house.durable.contexts.find(ALICE, id_).status is ContextStatus.DEAD)


async def test_a_role_that_became_smaller_runs_nothing_in_what_was_larger_and_a_restart_makes_it_small(house: Sandboxes) -> None:
    small = replace(ALICE, role="small", permissions=replace(EVERYTHING, limits=ResourceLimits(memory_bytes=64 * MiB, processes=8)))
    for asked in (None, AskedLimits(memory_bytes=256 * MiB)):
        id_ = await _python(house, limits=asked)
        with pytest.raises(Forbidden, match=r"limits.memory of \d+, and the role 'small' grants at most 67108864 now; use restartContext"):
            await _run(house, id_, "open('mark', 'w')", small)
        with pytest.raises(Forbidden):
            await price_of(house, small, AskedPrice(context_id=id_))
        for role in (
            replace(small, permissions=replace(EVERYTHING, languages=frozenset({"bash"}))),
            replace(small, permissions=replace(EVERYTHING, providers=frozenset({"e2b"}))),
        ):
            with pytest.raises(Forbidden):
                await _run(house, id_, "open('mark', 'w')", role)
            with pytest.raises(Forbidden):
                await contexts.restart_context(house, role, id_)
        assert (await _run(house, id_, "burn is not None")).outcome is Outcome.COMPLETED, "it is as it was"
        await contexts.restart_context(house, small, id_)
        assert house.durable.contexts.find(ALICE, id_).limits.memory_bytes == 64 * MiB
        assert b"held" not in (await _run(house, id_, _HOLD, small)).stdout
        await contexts.restart_context(house, ALICE, id_)
        assert b"held" in (await _run(house, id_, _HOLD)).stdout, "and it grows with its owner"
        await contexts.close_context(house, ALICE, id_)
    assert await files.list_files(house, ALICE, "", glob="mark") == []


async def test_an_execution_sets_aside_what_its_context_may_use(house: Sandboxes) -> None:
    id_ = await _python(house, limits=AskedLimits(memory_bytes=64 * MiB))
    assert (await price_of(house, ALICE, AskedPrice(context_id=id_, timeout_ms=2000))).memory_mb_ms == 64 * 2000


async def test_a_terminal_pays_for_all_that_it_started(house: Sandboxes) -> None:
    program = f"{_BURN}\nimport os\nif os.fork() == 0:\n    burn(0.4)\n    open('over', 'w').close()\n    os._exit(0)\nos.read(0, 1)"
    terminal = await terminals.create_terminal(house, ALICE, CreateTerminal(command=("python3", "-c", program)))
    async with asyncio.timeout(HANG_S):
        while not await files.list_files(house, ALICE, "", glob="over"):
            pass
    await terminals.close_terminal(house, ALICE, terminal.id)
    used = (await _used(house))["terminal"]
    assert used.executions == 1
    assert used.cpu_ms >= 250, "without a control group the last tenth of a second is not seen"
    assert used.memory_mb_ms > 0


async def test_a_terminal_of_which_nobody_can_say_what_it_used_pays_for_its_time_and_gives_its_place_back(
    house: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(_: LocalTerminal) -> Spent:
        raise OSError

    monkeypatch.setattr(LocalTerminal, "spent", unknown)
    for count in (1, 2):
        terminal = await terminals.create_terminal(house, _ONE, CreateTerminal(command=("sleep", "1000")))
        await terminals.close_terminal(house, _ONE, terminal.id)
        used = (await _used(house))["terminal"]
        assert used.executions == count
        assert used.cpu_ms == used.wall_ms


async def test_what_is_open_when_the_house_closes_is_paid(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await _run(house, await _python(house), "burn(0.3)\n" + _BESIDE.format(1000))
        await terminals.create_terminal(house, ALICE, CreateTerminal(command=("sleep", "1000")))
    async with open_house(tmp_path) as house:
        used = await _used(house)
        assert used["python"].cpu_ms >= 290
        assert used["terminal"].executions == 1
        assert used["terminal"].cpu_ms < used["terminal"].wall_ms, "it slept"


async def test_a_dead_context_says_so(house: Sandboxes) -> None:
    id_ = await _python(house)
    await _run(house, id_, "import os\nos._exit(0)")
    assert await until(lambda: house.durable.contexts.find(ALICE, id_).status is ContextStatus.DEAD)
    with pytest.raises(Conflict, match="ended"):
        await _run(house, id_, "1")
