"""The same asked for twice is done once, however early its client goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from sandql.core.errors import BadRequest, Conflict, NotFound
from sandql.core.values import Caller, Completed, Outcome
from sandql.resolvers import code, executions, sandboxes
from sandql.resolvers.operations import CreateSandbox, ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.executions import Executions
from sandql.store import key_rows
from tests.support.engine import until
from tests.support.executions import text_of, until_printed, watched
from tests.support.house import ALICE, BOB, open_house


@pytest.fixture(scope="module")
async def house() -> AsyncGenerator[Sandboxes]:
    """A house for all tests of this file."""
    async with open_house() as opened:
        yield opened


async def test_the_same_key_gives_the_same_answer(house: Sandboxes) -> None:
    asked = ExecuteCode("import random\nprint(random.random())", "python")
    first = await code.execute(house, ALICE, asked, "once")
    assert [await code.execute(house, ALICE, asked, "once") for _ in range(3)] == [first] * 3
    assert (await code.execute(house, BOB, asked, "once")).stdout != first.stdout, "a key is its caller's"
    with pytest.raises(Conflict, match="idempotencyKey"):
        await code.execute(house, ALICE, ExecuteCode("print(2)", "python"), "once")
    with pytest.raises(Conflict):
        await code.start(house, ALICE, RunCommand(line="echo"), "once")
    ids = await asyncio.gather(*(code.start(house, ALICE, asked, "many") for _ in range(12)))
    assert len(set(ids)) == 1
    for bad in ("", "x" * 256, "a\nb"):
        with pytest.raises(BadRequest, match="idempotencyKey"):
            await code.execute(house, ALICE, asked, bad)


async def test_a_start_that_failed_frees_its_key(house: Sandboxes) -> None:
    with pytest.raises(BadRequest):
        await code.start(house, ALICE, ExecuteCode("print(1)", "no-language"), "failed")
    with pytest.raises(NotFound):
        await code.start(house, ALICE, ExecuteCode("print(1)", "python", sandbox_id="sb_none"), "failed")
    id_ = await code.start(house, ALICE, ExecuteCode("print(1)", "python"), "failed")
    assert text_of(await watched(house, id_)) == "1\n"
    made = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(), "made")
    assert (await sandboxes.create_sandbox(house, ALICE, CreateSandbox(), "made")).id == made.id
    with pytest.raises(Conflict):
        await sandboxes.create_sandbox(house, ALICE, CreateSandbox(name="other"), "made")


async def test_a_client_that_goes_takes_what_it_waits_for_with_it_and_leaves_what_it_started(house: Sandboxes) -> None:
    sleeper = ExecuteCode("import time\nprint('up', flush=True)\ntime.sleep(1)\nprint('done')", "python")
    waiting = asyncio.ensure_future(code.execute(house, ALICE, sleeper, "gone"))
    started = asyncio.ensure_future(code.start(house, ALICE, sleeper, "stays"))
    stays = await started
    await until_printed(house, stays, b"up")
    waiting.cancel()
    await asyncio.wait([waiting])
    gone = await code.execute(house, ALICE, sleeper, "gone")
    assert gone.outcome is Outcome.CANCELLED
    assert text_of(await watched(house, stays)) == "up\ndone\n"


async def test_a_start_goes_on_when_its_client_goes(house: Sandboxes) -> None:
    """However early it goes: the key is not free again while the program runs."""
    asked = ExecuteCode("print('once')", "python")
    for steps in range(12):
        starting = asyncio.ensure_future(code.start(house, ALICE, asked, f"cut {steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        before = {item.id for item in (await executions.list_executions(house, ALICE, 100, None, None, None)).items}
        id_ = await code.start(house, ALICE, asked, f"cut {steps}")
        assert text_of(await watched(house, id_)) == "once\n"
        after = {item.id for item in (await executions.list_executions(house, ALICE, 100, None, None, None)).items}
        assert after - before <= {id_}, "it was started twice"


async def test_what_is_asked_for_with_a_key_is_cancelled_however_early_its_client_goes(house: Sandboxes) -> None:
    sleeper, before = ExecuteCode("import time\ntime.sleep(60)", "python"), house.durable.executions.going_on
    for steps in (1, 3, 10):
        asking = asyncio.ensure_future(code.execute(house, ALICE, sleeper, f"left {steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
    assert await until(lambda: house.durable.executions.going_on == before)


async def test_who_asks_again_with_the_key_gets_the_answer_though_the_first_one_goes(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, asking = Executions.answer, list[str]()

    async def counted(self: Executions, caller: Caller, id_: str) -> Completed:
        asking.append(id_)
        return await answer(self, caller, id_)

    monkeypatch.setattr(Executions, "answer", counted)
    asked = ExecuteCode("import time\ntime.sleep(0.5)\nprint('done')", "python")
    first, second = (asyncio.ensure_future(code.execute(house, ALICE, asked, "twice")) for _ in range(2))
    assert await until(lambda: len(asking) == 2)
    first.cancel()
    assert (await second).stdout == b"done\n"
    assert len(set(asking)) == 1


async def test_a_key_of_a_start_is_not_one_of_a_run(house: Sandboxes) -> None:
    asked = ExecuteCode("print(1)", "python")
    await watched(house, await code.start(house, ALICE, asked, "started"))
    with pytest.raises(Conflict, match="idempotencyKey"):
        await code.execute(house, ALICE, asked, "started")


async def test_a_key_that_another_server_lets_go_of_meanwhile_is_taken(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played: between the two questions of a claim another server would have to free the key."""
    claim, taken = key_rows.claim, [True]

    async def once_taken(*arguments: Any) -> bool:
        return False if taken and taken.pop() else await claim(*arguments)

    monkeypatch.setattr(key_rows, "claim", once_taken)
    asked = ExecuteCode("import random\nprint(random.random())", "python")
    first = await code.execute(house, ALICE, asked, "freed")
    assert await code.execute(house, ALICE, asked, "freed") == first
