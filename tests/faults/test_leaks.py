"""Three hundred runs of all kinds leave as many descriptors, processes, mounts and control groups as there were before."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from sandql.core.errors import NotFound
from sandql.core.values import Limits, MiB, Outcome, RunRequest
from sandql.providers.base import Provider
from tests.support.engine import (
    SLEEPER,
    cgroup_folders,
    family,
    open_descriptors,
    open_provider,
    run,
    settled,
    stream,
    supervisor_of,
    until,
    zygotes_of,
)

pytestmark = pytest.mark.unprivileged

_RUNS = 300
_AT_ONCE = 6
_POOL = 4


async def _well(provider: Provider, number: int) -> None:
    assert (await run(provider, f"print({number})", stdin=b"x" * 100_000)).success


async def _failed(provider: Provider, number: int) -> None:
    assert (await run(provider, "import os\nos.fork()\nraise SystemExit(3)")).outcome is Outcome.FAILED


async def _timed_out(provider: Provider, number: int) -> None:
    assert (await run(provider, SLEEPER, limits=Limits(wall_ms=30))).outcome is Outcome.TIMED_OUT


async def _wrote_too_much(provider: Provider, number: int) -> None:
    limits = Limits(output_bytes=10, output_hard_bytes=MiB)
    assert (await run(provider, "while True:\n    print('x' * 9999)", limits=limits)).outcome is Outcome.OUTPUT_LIMIT


async def _cancelled(provider: Provider, number: int) -> None:
    running = asyncio.ensure_future(run(provider, SLEEPER))
    await asyncio.wait([running], timeout=0.001 * (number % 30))
    running.cancel()
    await asyncio.wait([running], timeout=10)
    assert running.cancelled()


async def _left(provider: Provider, number: int) -> None:
    async with provider.fresh() as sandbox, aclosing(stream(sandbox, RunRequest("python", SLEEPER))) as events:
        for _ in range(number % 3):
            await anext(events)


async def _kept(provider: Provider, number: int) -> None:
    owner = f"owner {number % 3}"
    assert (await run(provider, "open('a', 'w').write('1')", home=owner, artifacts=("a",))).artifacts
    async with provider.home(owner) as sandbox:
        await sandbox.files.write(f"{number}.txt", b"1")
        with pytest.raises(NotFound):
            await sandbox.files.read("missing", max_bytes=1)


async def _other(provider: Provider, number: int) -> None:
    assert (await run(provider, "echo 1", "bash")).stdout == b"1\n"


_KINDS: tuple[Callable[[Provider, int], Awaitable[None]], ...] = (_well, _failed, _timed_out, _wrote_too_much, _cancelled, _left, _kept, _other)


async def _run_all(provider: Provider, count: int) -> None:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> None:
        async with places:
            await _KINDS[number % len(_KINDS)](provider, number)

    await asyncio.gather(*(one(number) for number in range(count)))


def _mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


async def test_nothing_leaks() -> None:
    async with open_provider(pool_size=_POOL, node_pool_size=0, program_pool_size=_POOL) as provider:
        await _run_all(provider, 60)  # what is kept for later use is there from now on
        supervisor = supervisor_of()
        helpers = [supervisor, *zygotes_of(supervisor)]
        assert len(helpers) == 3, "one zygote is for fresh sandboxes, one for homes"
        processes = len(helpers) + 3 + 2 * 2 * _POOL  # three templates, and each cell's init and first program
        assert await until(lambda: len(family()) == processes), family()
        # A cell's process is there before it has handed over its pipes.
        before, mounts, groups = await settled(_held), _mounts(), len(cgroup_folders(os.getpid()))
        of_helpers = _descriptors_of(helpers)

        await _run_all(provider, _RUNS)

        assert await until(lambda: len(family()) == processes), family()
        assert [supervisor, *zygotes_of(supervisor)] == helpers, "a helper was started anew"
        assert await until(lambda: _held() == before), (before, _held())
        assert _mounts() == mounts
        # Groups and networks of ended cells are kept for others: as many as ever ran at once, and those that are just ending.
        assert len(cgroup_folders(os.getpid())) <= groups + 2 * _AT_ONCE
        for pid, most in of_helpers.items():
            assert len(open_descriptors(pid)) <= most + 14 * _AT_ONCE, open_descriptors(pid)
        assert len(family(zombies=True)) <= processes + 2 * _AT_ONCE, "zombies are not reaped"


def _held() -> Counter[str]:
    """How many descriptors of each kind this process has open, but for those that earlier tests have left to the garbage collector."""
    gc.collect()
    return Counter(target.partition(":")[0] for target in open_descriptors().values())


def _descriptors_of(pids: list[int]) -> dict[int, int]:
    """How many each has open; nothing where this user may not look."""
    found: dict[int, int] = {}
    for pid in pids:
        try:
            found[pid] = len(open_descriptors(pid))
        except PermissionError:
            continue
    return found
