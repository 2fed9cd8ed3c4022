"""Quotas: what runs in parallel starts exactly as often as there is left, by one server and by two."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.amounts import UNBOUNDED, Amounts
from sandql.core.errors import Forbidden, QuotaExceeded
from sandql.core.values import Caller, Limits
from sandql.store import quota_rows
from sandql.store.quota_rows import PeriodKey
from sandql.store.store import open_store
from sandql.store.tables import quota_allotments, quota_periods
from sandql.usage.books import Reserved
from sandql.usage.ledger import Ledger
from sandql.usage.meter import Cost
from sandql.usage.plans import DAY, Quota
from tests.usage.ledgers import ALICE, RUN, a_ledger, counted, executions, state, try_all

COST = Cost(wall_ms=20, cpu_ms=10, memory_kib=10 * 1024)


async def test_two_hundred_at_once_start_a_hundred(database_url: str, tmp_path: Path) -> None:
    async with a_ledger(database_url, tmp_path, executions(100)) as (ledger, store):
        started = await try_all(ledger, 200)
        assert len(started) == 100
        assert (await state(store)).reserved.executions == 100
        for reserved in started:
            reserved.settle(COST)
        with pytest.raises(QuotaExceeded, match=r"quota maxExecutions: at most 100 executions in a day; .* more comes at 20") as refused:
            await ledger.reserve(ALICE, "local", "python", RUN)
        assert sum(ledger.waits.counts) == 201, "each of them, refused or not, has waited once"
        assert refused.value.retry_after_s is not None
        assert 0 < refused.value.retry_after_s <= 86_400
        await ledger.tell()
        assert (await state(store)).used == Amounts(100, 1000, 100 * 200)
        assert await counted(store) == (100, 1000)
    async with a_ledger(database_url, tmp_path, executions(100)) as (ledger, store):
        assert (await state(store)).reserved == Amounts()
        with pytest.raises(QuotaExceeded):
            await ledger.reserve(ALICE, "local", "python", RUN)


async def test_two_servers_start_a_hundred_together(database_url: str, tmp_path: Path) -> None:
    async with (
        a_ledger(database_url, tmp_path / "a", executions(100), "a") as (first, store),
        a_ledger(database_url, tmp_path / "b", executions(100), "b") as (second, _),
    ):
        both = await asyncio.gather(try_all(first, 100), try_all(second, 100))
        assert sum(map(len, both)) == 100
        assert (await state(store)).reserved.executions == 100
        for reserved in [*both[0], *both[1]]:
            reserved.settle(COST)
    async with a_ledger(database_url, tmp_path / "a", executions(100), "a") as (_, store):
        assert await state(store) == (Amounts(100, 1000, 20_000), Amounts())


async def test_what_did_not_start_is_there_for_others(database_url: str, tmp_path: Path) -> None:
    async with a_ledger(database_url, tmp_path, executions(10)) as (ledger, store):
        for _ in range(3):
            for reserved in await try_all(ledger, 10):
                reserved.refund()
        assert len(await try_all(ledger, 20)) == 10
        assert await counted(store) == (0, 0)


async def test_time_that_was_not_used_comes_back(database_url: str, tmp_path: Path) -> None:
    async with a_ledger(database_url, tmp_path, Quota(DAY, Amounts(UNBOUNDED, 1500, UNBOUNDED))) as (ledger, store):
        for _ in range(50):  # each may need 1000 ms, and takes 10
            (await ledger.reserve(ALICE, "local", "python", RUN)).settle(COST)
        with pytest.raises(QuotaExceeded, match=r"maxCpuSeconds: at most 1 CPU seconds .* 0.500 are used"):
            await asyncio.gather(*(ledger.reserve(ALICE, "local", "python", RUN) for _ in range(2)))
        assert (await state(store)).used.plus((await state(store)).reserved).cpu_ms <= 1500


async def test_a_run_is_charged_no_more_than_was_set_aside_and_counted_as_it_was(database_url: str, tmp_path: Path) -> None:
    async with a_ledger(database_url, tmp_path, executions(10)) as (ledger, store):
        (await ledger.reserve(ALICE, "local", "python", RUN)).settle(Cost(wall_ms=1200, cpu_ms=1300, memory_kib=1))
        await ledger.tell()
        assert (await state(store)).used == Amounts(1, 1000, 1)
        assert await counted(store) == (1, 1300)


async def test_what_was_not_set_aside_is_counted_and_may_pass_the_quota(database_url: str, tmp_path: Path) -> None:
    quota = Quota(DAY, Amounts(UNBOUNDED, 3000, UNBOUNDED))
    async with a_ledger(database_url, tmp_path, quota) as (ledger, store):
        await ledger.check(ALICE)
        ledger.charge(ALICE, "local", "python", Cost(wall_ms=2000, cpu_ms=1500, memory_kib=10 * 1024))  # before anything was set aside
        await ledger.check(ALICE)
        (one,) = await try_all(ledger, 1)
        ledger.charge(ALICE, "local", "python", Cost(wall_ms=1000, cpu_ms=4000, memory_kib=0))
        with pytest.raises(QuotaExceeded, match=r"maxCpuSeconds: at most 3 CPU seconds in a day; 5.500 are used and 0.000 set aside") as refused:
            await ledger.check(ALICE)
        assert refused.value.retry_after_s is not None
        assert await try_all(ledger, 5) == []
        one.settle(COST)
        await ledger.tell()
        assert (await state(store)).used == Amounts(1, 5510, 20_000 + 200)
        assert await counted(store) == (1, 5510)
        await ledger.check(Caller("alice", plan="unlimited"))
        with pytest.raises(Forbidden, match="plan: 'gold' is not known here"):
            await ledger.check(Caller("alice", plan="gold"))
        ledger.charge(Caller("eve", plan="gold"), "local", "python", Cost(1, 1, 1))  # what was used is counted all the same
        await ledger.tell()
        assert await counted(store) == (1, 5511)
    async with a_ledger(database_url, tmp_path, quota) as (_, store):
        assert (await state(store)).reserved == Amounts()


async def test_who_went_away_while_waiting_keeps_nothing(database_url: str, tmp_path: Path) -> None:
    async with a_ledger(database_url, tmp_path, executions(10)) as (ledger, _):
        gone = [asyncio.create_task(ledger.reserve(ALICE, "local", "python", RUN)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        assert len(await try_all(ledger, 20)) == 10


async def test_credentials_of_one_subject_keep_each_within_its_own_plan(database_url: str, tmp_path: Path) -> None:
    rich = Caller("alice", plan="large")

    async def started(caller: Caller, count: int) -> int:
        runs = await asyncio.gather(*(ledger.reserve(caller, "local", "python", RUN) for _ in range(count)), return_exceptions=True)
        assert all(isinstance(run, Reserved | QuotaExceeded) for run in runs)
        for run in runs:
            if isinstance(run, Reserved):
                run.settle(COST)
        return sum(isinstance(run, Reserved) for run in runs)

    async with a_ledger(database_url, tmp_path, executions(10), large=executions(5000)) as (ledger, store):
        assert await started(ALICE, 8) == 8
        assert await started(rich, 1) == 1, "it was set aside within the larger quota, with some more"
        assert await started(ALICE, 5) == 1, "nine were used"
        assert sum(await asyncio.gather(started(rich, 300), started(ALICE, 50))) == 300
        for _ in range(5):
            assert await started(rich, 1) == 1
            assert await started(ALICE, 1) == 0
        await ledger.tell()
        assert (await state(store)).used.executions == 315
    async with a_ledger(database_url, tmp_path, executions(10), large=executions(5000)) as (_, store):
        assert (await state(store)).reserved == Amounts()


async def test_plans_that_bound_different_things_keep_each_within_its_own(tmp_path: Path) -> None:
    few, slow, rich = Quota(DAY, Amounts(10, 100_000, UNBOUNDED)), Quota(DAY, Amounts(1000, 20_000, UNBOUNDED)), Caller("alice", plan="large")
    short = Limits(wall_ms=500, cpu_ms=500, memory_bytes=RUN.memory_bytes)
    async with a_ledger(None, tmp_path, few, large=slow) as (ledger, _):
        ledger.refund(await ledger.reserve(ALICE, "local", "python", Limits(wall_ms=30_000, cpu_ms=30_000, memory_bytes=RUN.memory_bytes)))
        for reserved in await asyncio.gather(*(ledger.reserve(rich, "local", "python", short) for _ in range(40)), return_exceptions=True):
            if isinstance(reserved, Reserved):
                ledger.refund(reserved)
        runs = await asyncio.gather(*(ledger.reserve(ALICE, "local", "python", short) for _ in range(40)), return_exceptions=True)
        assert sum(isinstance(run, Reserved) for run in runs) == 10


async def test_without_a_quota_the_database_is_not_asked(tmp_path: Path) -> None:
    async with a_ledger(None, tmp_path, None) as (ledger, store):
        asked: list[object] = []
        store.write = store.read = lambda work: asked.append(work)  # type: ignore[method-assign,assignment]
        reserved = await ledger.reserve(Caller(), "local", "python", RUN)
        assert not asked
        del store.write, store.read
        reserved.settle(COST)
        await ledger.tell()
        assert await counted(store) == (1, 10)


async def test_of_a_plan_that_nobody_knows_nothing_is_used(tmp_path: Path) -> None:
    async with a_ledger(None, tmp_path, None) as (ledger, store):
        with pytest.raises(Forbidden, match="plan: 'gold' is not known here"):
            await ledger.reserve(Caller("eve", plan="gold"), "local", "python", RUN)
        await ledger.tell()
        assert await counted(store) == (0, 0)


async def test_servers_and_callers_that_cross_do_not_wait_for_each_other(database_url: str, tmp_path: Path) -> None:
    async def spend(ledger: Ledger, names: list[str]) -> int:
        for name in names * 15:
            (await ledger.reserve(Caller(name, plan="small"), "local", "python", RUN)).settle(COST)
            await ledger.tell()
        return len(names) * 15

    async with (
        a_ledger(database_url, tmp_path / "a", executions(10_000), "a") as (first, store),
        a_ledger(database_url, tmp_path / "b", executions(10_000), "b") as (second, _),
    ):
        there, back = ["ann", "bob", "eve"], ["eve", "bob", "ann"]
        done = await asyncio.gather(*(spend(ledger, names) for ledger in (first, second) for names in (there, back)))
        assert (await counted(store))[0] == sum(done)


async def test_rows_of_periods_that_are_over_are_removed(database_url: str, tmp_path: Path) -> None:
    now, day_s = 1_700_000_000, 86_400
    some, keys = Amounts(1, 1, 1), {days: PeriodKey("alice", DAY, now - days * day_s) for days in (0, 1, 5, 6, 100, 101)}

    async def fill(connection: AsyncConnection) -> None:
        for days, key in keys.items():
            await quota_rows.ensure(connection, key)
            assert await quota_rows.reserve(connection, "here", key, some, Amounts(9, 9, 9))
            if days not in (6, 101):  # of these days something is set aside still
                await quota_rows.settle(connection, "here", key, some, Amounts())

    async def left(connection: AsyncConnection) -> tuple[set[int], set[int]]:
        found = [(await connection.execute(select(table.c.starts_at))).scalars() for table in (quota_allotments, quota_periods)]
        allotments, periods = ({(now - int(starts_at)) // day_s for starts_at in rows} for rows in found)
        return allotments, periods

    async with open_store(database_url, tmp_path) as store:
        await store.write(fill)
        await store.write(lambda connection: quota_rows.forget(connection, now))
        assert await store.read(left) == ({0, 1, 6, 101}, {0, 1, 5, 6, 101})
