"""The same asked for twice is done once, however early its client goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from sandql.core.errors import BadRequest, Conflict, NotFound, ResourceError
from sandql.core.executions import KeptExecution
from sandql.core.values import Caller, Completed, Outcome
from sandql.resolvers import code, executions, sandboxes
from sandql.resolvers.operations import CreateSandbox, ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.executions import Executions
from sandql.sandboxes.idempotency import Keys
from sandql.store import key_rows
from sandql.store.store import Store
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


async def test_a_client_that_goes_before_it_is_started_leaves_it_to_whoever_asked_as_well(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    start, begun, go_on = Executions.start, asyncio.Event(), asyncio.Event()

    async def slow(self: Executions, caller: Caller, id_: str, opening: Any) -> KeptExecution:
        begun.set()
        await go_on.wait()
        return await start(self, caller, id_, opening)

    monkeypatch.setattr(Executions, "start", slow)
    asked = ExecuteCode("import time\ntime.sleep(0.5)\nprint('done')", "python")
    first = asyncio.ensure_future(code.execute(house, ALICE, asked, "left to another"))
    await begun.wait()
    second = asyncio.ensure_future(code.execute(house, ALICE, asked, "left to another"))
    await asyncio.sleep(0)  # until its task has begun
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    go_on.set()
    assert (await second).stdout == b"done\n"


async def test_a_key_with_which_another_server_started_something_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers find nothing of the key's at the same time: one starts it, and the other one's failure does not let it be started again."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    asked = ExecuteCode("print('once')", "python")
    async with open_house(database_url=url) as slow, open_house(database_url=url) as quick:
        start, begun, go_on = Executions.start, asyncio.Event(), asyncio.Event()

        async def late(self: Executions, caller: Caller, id_: str, opening: Any) -> KeptExecution:
            if self is slow.durable.executions:
                begun.set()
                await go_on.wait()
            return await start(self, caller, id_, opening)

        monkeypatch.setattr(Executions, "start", late)
        refused = asyncio.ensure_future(code.start(slow, ALICE, asked, "both"))
        await begun.wait()
        id_ = await code.start(quick, ALICE, asked, "both")
        go_on.set()
        with pytest.raises(Conflict, match="another server"):
            await refused
        assert text_of(await watched(quick, id_)) == "once\n"
        for house in (slow, quick):
            assert await code.start(house, ALICE, asked, "both") == id_


async def test_nobody_comes_between_a_failure_and_the_freeing_of_its_key(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    free = Keys._free  # pyright: ignore[reportPrivateUsage]  # a database that takes its time
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> None:
        begun.set()
        await go_on.wait()
        await free(*arguments)

    monkeypatch.setattr(Keys, "_free", slow)
    keys = Keys(house.durable.store)

    async def ask(*, fail: bool) -> bool:
        async with keys.once(ALICE, "failing", "test", (), lambda: "ex_none") as claim:
            if fail:
                raise NotFound("nothing is there")
        return claim.new

    failing = asyncio.ensure_future(ask(fail=True))
    await begun.wait()
    failing.cancel()
    again = asyncio.ensure_future(ask(fail=False))
    await asyncio.wait([again], timeout=0.5)
    go_on.set()
    assert await again, "the key was free again"
    await asyncio.wait([failing])
    assert failing.cancelled()


async def test_a_client_that_goes_later_leaves_it_to_whoever_is_asking(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ExecuteCode("import time\ntime.sleep(1)\nprint('done')", "python")
    going_on, claim = house.durable.executions.going_on, Keys._claim  # pyright: ignore[reportPrivateUsage]  # a database that takes its time
    first = asyncio.ensure_future(code.execute(house, ALICE, asked, "left later"))
    assert await until(lambda: house.durable.executions.going_on > going_on)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await claim(*arguments)

    monkeypatch.setattr(Keys, "_claim", slow)
    second = asyncio.ensure_future(code.execute(house, ALICE, asked, "left later"))
    await begun.wait()
    first.cancel()
    await asyncio.wait([first])
    go_on.set()
    assert (await second).stdout == b"done\n"


async def test_a_start_of_which_the_database_could_not_say_that_it_was_written_is_made_again(
    house: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played: a connection that is lost in a commit."""
    write, lost = Store.write, [True]

    async def unsure(self: Store, work: Any) -> Any:
        found = await write(self, work)
        if "_add_row" in getattr(work, "__qualname__", "") and lost and lost.pop():
            raise ResourceError("the database cannot be used now")
        return found

    monkeypatch.setattr(Store, "write", unsure)
    asked = ExecuteCode("print('once')", "python")
    with pytest.raises(ResourceError):
        await code.execute(house, ALICE, asked, "unsure")
    assert not lost
    assert (await code.execute(house, ALICE, asked, "unsure")).stdout == b"once\n"
