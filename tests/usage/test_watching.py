"""Watching what is used: everybody is told, and the database is asked once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from sandql.core.values import Caller
from sandql.usage.ledger import Ledger
from sandql.usage.meter import Cost
from tests.usage.ledgers import ALICE, RUN, a_ledger

_MANY = 50


async def _run(ledger: Ledger, caller: Caller = ALICE) -> None:
    (await ledger.reserve(caller, "local", "python", RUN)).settle(Cost(wall_ms=10, cpu_ms=10, memory_kib=0))


async def test_many_who_watch_one_caller_cost_one_look_for_each_piece_of_news(tmp_path: Path) -> None:
    async with a_ledger(None, tmp_path, None) as (ledger, store), AsyncExitStack() as stack, asyncio.timeout(60):
        looks: list[str] = []
        watching = [await stack.enter_async_context(aclosing(ledger.watch("alice"))) for _ in range(_MANY)]
        other = await stack.enter_async_context(aclosing(ledger.watch("bob")))

        async def seen() -> set[int]:
            return {used.executions for _, used in await asyncio.gather(*(anext(one) for one in watching))}

        await _run(ledger)
        assert await seen() == {1}, "with what ended just now"
        assert (await anext(other))[1].executions == 0
        store.worked = lambda kind, _: looks.append(kind)
        for executions in (2, 3):
            looks.clear()
            await _run(ledger)
            assert await seen() == {executions}
            assert looks.count("read") == 1
        looks.clear()
        late = await stack.enter_async_context(aclosing(ledger.watch("alice")))
        assert (await anext(late))[1].executions == 3
        assert looks.count("read") == 1, "another server may have counted something"
        await _run(ledger, Caller("bob", plan="small"))
        assert (await anext(other))[1].executions == 1


async def test_what_ends_while_the_first_sum_is_on_its_way_is_told(tmp_path: Path) -> None:
    async with a_ledger(None, tmp_path, None) as (ledger, _), aclosing(ledger.watch("alice")) as sums, asyncio.timeout(60):
        assert (await anext(sums))[1].executions == 0
        await _run(ledger)
        await ledger.tell()  # nobody asks for the next sum yet
        assert (await anext(sums))[1].executions == 1


async def test_who_goes_away_while_it_is_looked_up_takes_it_from_nobody(tmp_path: Path) -> None:
    async with (
        a_ledger(None, tmp_path, None) as (ledger, _),
        aclosing(ledger.watch("alice")) as gone,
        aclosing(ledger.watch("alice")) as there,
        asyncio.timeout(60),
    ):
        first, second = asyncio.ensure_future(anext(gone)), asyncio.ensure_future(anext(there))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)[1].executions == 0
        await asyncio.wait([first])
        assert first.cancelled()
