"""`kill -9` of the supervisor, a zygote, a template and a cell, again and again under load: each run is answered, and the house is back at once."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Callable

import pytest

from sandql.core.values import Outcome
from sandql.providers.base import Provider
from tests.faults.load import under_load
from tests.support.engine import (
    alive,
    cgroup_folders,
    descendants,
    family,
    identity,
    open_provider,
    run,
    status_of,
    supervisor_of,
    templates_of,
    until,
    zygotes_of,
)

pytestmark = pytest.mark.unprivileged

_TIMES = 20
_BACK_S = 1.0
_BACK_AT_MOST_S = 4.0  # once in a while, when the machine has something else to do


def _a_zygote() -> int:
    return random.choice(zygotes_of(supervisor_of()))


def _a_template() -> int:
    return random.choice([pid for zygote in zygotes_of(supervisor_of()) for pid in templates_of(zygote)])


def _a_cell(inside: str) -> int:
    """A process of a cell that is running or parked: its init, pid 1 inside, or its program, pid 2."""
    pids = [pid for zygote in zygotes_of(supervisor_of()) for pid in descendants(zygote)]
    inner = {pid: status_of(pid).get("NSpid", "").split() for pid in pids}
    depth = max(len(numbers) for numbers in inner.values())
    return random.choice([pid for pid, numbers in inner.items() if len(numbers) == depth and numbers[-1] == inside])


async def _back(provider: Provider) -> float:
    """Seconds until a run succeeds again."""
    began = time.monotonic()
    while time.monotonic() - began < 15:
        try:
            done = await run(provider, "print(1)")
        except Exception as error:
            assert getattr(error, "code", None) in ("RESOURCE_ERROR", "PROVIDER_UNAVAILABLE"), repr(error)
            continue
        if done.outcome is Outcome.COMPLETED:
            return time.monotonic() - began
    raise AssertionError("no run succeeded for 15 s")


@pytest.mark.parametrize(
    "choose",
    [supervisor_of, _a_zygote, _a_template, lambda: _a_cell("1"), lambda: _a_cell("2")],
    ids=["supervisor", "zygote", "template", "init of a cell", "program of a cell"],
)
async def test_kill(choose: Callable[[], int]) -> None:
    groups = cgroup_folders(os.getpid())
    seen: set[tuple[int, str]] = set()
    took: list[float] = []
    async with open_provider(pool_size=4, node_pool_size=0, program_pool_size=2) as provider:
        isolation = provider.isolation()
        async with under_load(provider) as load:
            for _ in range(_TIMES):
                victim = _kill(choose)
                assert await until(lambda victim=victim: status_of(victim).get("State", "Z")[0] in "ZX")
                took.append(await _back(provider))
                seen |= {identity(pid) for pid in family()}
                done = load.answers[Outcome.COMPLETED]
                assert await until(lambda done=done: load.answers[Outcome.COMPLETED] > done + 8, 10), f"callers get no answers: {load.answers}"
        assert provider.health().available
        assert provider.isolation() == isolation, "another isolation than at the start"
        assert (await run(provider, "print(1)")).isolation == isolation
    assert statistics.median(took) < _BACK_S, took
    assert max(took) < _BACK_AT_MOST_S, took
    assert await until(lambda: not alive(seen)), f"processes are left: {alive(seen)}"
    assert await until(lambda: cgroup_folders(os.getpid()) == groups), cgroup_folders(os.getpid()) - groups


def _kill(choose: Callable[[], int]) -> int:
    """End one among what comes and goes; returns its pid. Whoever has gone meanwhile cannot be the victim."""
    for _ in range(100):
        try:
            victim = choose()
            os.kill(victim, signal.SIGKILL)
        except (AssertionError, IndexError, ProcessLookupError):
            continue
        return victim
    raise AssertionError("nobody is there to be killed")
