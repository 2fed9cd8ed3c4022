"""Parked cells, cold starts, and the queue in front of them."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from sandql.core.errors import ResourceError
from sandql.core.values import Completed, Limits, Outcome, RunRequest
from sandql.providers.base import Provider
from tests.support.engine import HANG_S, SLEEPER, cells_of, family, open_provider, run, status_of, stream, supervisor_of, until, zygotes_of

pytestmark = pytest.mark.unprivileged

_SMALL: dict[str, Any] = {"pool_size": 1, "node_pool_size": 0, "program_pool_size": 0}
_PARKED_MIB = 4
_TRIES = 3  # the best of them counts: the machine may be busy with something else


async def test_an_empty_pool_means_a_cold_start_and_no_error() -> None:
    async with open_provider(**_SMALL) as provider:
        runs = await asyncio.gather(*(run(provider, f"print({n})") for n in range(24)))
        assert [done.stdout for done in runs] == [b"%d\n" % n for n in range(24)]


async def test_a_hundred_at_once_are_made_and_end_in_their_time() -> None:
    """Then a zygote has more open than a cell may have."""
    async with open_provider(**_SMALL) as provider:
        runs = await asyncio.gather(*(run(provider, SLEEPER, limits=Limits(wall_ms=2000)) for _ in range(100)))
        assert {(done.outcome, done.stdout) for done in runs} == {(Outcome.TIMED_OUT, b"up\n")}
        assert max(done.wall_ms for done in runs) < 4000


async def test_a_pool_refills_beside_the_runs() -> None:
    async with open_provider(pool_size=4, node_pool_size=0, program_pool_size=0) as provider:
        assert await until(lambda: _parked() == 4)
        runs = await asyncio.gather(*(run(provider, "pass") for _ in range(4)))
        assert {done.outcome for done in runs} == {Outcome.COMPLETED}
        assert await until(lambda: _parked() == 4), f"{_parked()} cells are parked"


async def test_a_full_machine_queues_and_then_refuses_with_a_time_to_come_back() -> None:
    async with open_provider(**_SMALL, max_concurrent_runs=2, max_queued_runs=1) as provider:
        running = [asyncio.ensure_future(run(provider, "import time\ntime.sleep(0.7)\nprint('ran')")) for _ in range(4)]
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED, timeout=HANG_S)
        refused = [task.exception() for task in done]
        assert len(refused) == 1
        error = refused[0]
        assert isinstance(error, ResourceError)
        assert "2 programs run and 1 wait" in error.message
        assert error.retry_after_s is not None
        assert error.retry_after_s > 0
        others = [(await task).stdout for task in running if task not in done]
        assert others == [b"ran\n"] * 3
        assert (await run(provider, "print(1)")).stdout == b"1\n"


async def test_who_leaves_the_queue_frees_its_place() -> None:
    async with open_provider(**_SMALL, max_concurrent_runs=1, max_queued_runs=1) as provider, AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(provider.fresh())
        events = await stack.enter_async_context(aclosing(stream(sandbox, RunRequest("python", SLEEPER))))
        await anext(events)
        for _ in range(3):
            queued = asyncio.ensure_future(run(provider, "print(1)"))
            await asyncio.sleep(0)
            queued.cancel()
            await asyncio.wait([queued], timeout=HANG_S)
            assert queued.cancelled()
        queued = asyncio.ensure_future(run(provider, "print(1)"))
        await asyncio.sleep(0)
        await events.aclose()
        assert (await queued).stdout == b"1\n"


async def test_the_queue_is_first_come_first_served() -> None:
    order: list[int] = []

    async def take(provider: Provider, number: int) -> None:
        await run(provider, "pass")
        order.append(number)

    async with open_provider(**_SMALL, max_concurrent_runs=1) as provider:
        await asyncio.gather(*(take(provider, number) for number in range(8)))
    assert order == list(range(8))


async def test_nothing_is_left_when_it_is_closed() -> None:
    async with open_provider(pool_size=3) as provider, provider.fresh() as sandbox:
        events = stream(sandbox, RunRequest("python", SLEEPER))
        assert [(await anext(events)).seq, (await anext(events)).seq] == [1, 2]
        assert await until(lambda: len(family()) >= 2 + 2 * 3), family()  # the pool is filled beside the run
        processes = family(zombies=True)
        await provider.aclose()
        last = [event async for event in events][-1]
    assert isinstance(last, Completed)
    assert last.execution.outcome is Outcome.SANDBOX_LOST
    assert await until(lambda: not any(status_of(pid) for pid in processes)), "processes are left"


async def test_a_parked_cell_is_small() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may look at the memory of cells")
    async with open_provider(pool_size=6, node_pool_size=0, program_pool_size=0):
        assert await until(lambda: _parked() == 6)
        # A cell that is just being made shares less; one that is too large stays so.
        assert await until(lambda: max(_sizes_kib()) <= _PARKED_MIB * 1024), f"PSS of parked cells in KiB: {_sizes_kib()}"
        assert len(_sizes_kib()) == 6


async def test_a_cold_start_is_not_a_slow_one() -> None:
    took: list[float] = []
    async with open_provider(**_SMALL) as provider:
        for _ in range(_TRIES):
            began = time.monotonic()
            runs = await asyncio.gather(*(run(provider, "pass", limits=Limits(wall_ms=10_000)) for _ in range(10)))
            assert all(done.success for done in runs)
            took.append(time.monotonic() - began)
    assert min(took) < 3, took


def _cells() -> list[int]:
    return [pid for zygote in zygotes_of(supervisor_of()) for pid in cells_of(zygote)]


def _parked() -> int:
    return len(_cells())


def _sizes_kib() -> list[int]:
    return [_pss_kib(pid) for pid in _cells()]


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no memory")
