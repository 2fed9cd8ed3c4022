"""What an attack must not do to the runs that come after it in the same house: be blamed on them, or make them wait."""

from __future__ import annotations

import asyncio
import time

import pytest

from sandql.core.values import Limits, MiB, Outcome, RunRequest
from tests.attacks.house import PROMPT_S, House

pytestmark = pytest.mark.unprivileged

_LIMITS = Limits(wall_ms=5000, cpu_ms=5000, memory_bytes=96 * MiB)
_HUNGRY = RunRequest("python", b"held = []\nwhile True:\n    held.append(bytearray(8 << 20))", limits=_LIMITS)
_KILLED = RunRequest("python", b"import os\nos.kill(os.getpid(), 9)", limits=_LIMITS)


async def test_memory_that_another_run_took_is_not_blamed_on_a_killed_one(house: House) -> None:
    """Whatever is used again for the next cell, its count of kills for memory is not."""
    outcomes: list[Outcome] = []
    for request in (_HUNGRY, _KILLED) * 20:
        async with house.provider.fresh() as sandbox:
            outcomes.append((await sandbox.run(request)).outcome)
    assert set(outcomes[::2]) == {Outcome.OUT_OF_MEMORY}
    assert set(outcomes[1::2]) == {Outcome.KILLED}


async def test_a_small_run_is_prompt_beside_bombs(house: House) -> None:
    """Forks, memory and output at their bounds, all at once: `print(1)` still comes."""
    limits = Limits(wall_ms=3000, cpu_ms=3000, memory_bytes=96 * MiB, processes=24, output_bytes=65_536, output_hard_bytes=256 * MiB)
    bombs = [
        RunRequest("python", b"import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass", limits=limits),
        RunRequest("python", b"import os\nwhile True:\n    os.write(1, b'x' * 65536)", limits=limits),
        RunRequest("bash", b"while :; do head -c 64M /dev/zero >/tmp/x; done", limits=limits),
    ]

    async def run(request: RunRequest) -> Outcome:
        async with house.provider.fresh() as sandbox:
            return (await sandbox.run(request)).outcome

    running = [asyncio.ensure_future(run(bomb)) for bomb in bombs]
    try:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            began = time.monotonic()
            assert await run(RunRequest("python", b"print(1)")) is Outcome.COMPLETED
            assert time.monotonic() - began < PROMPT_S
    finally:
        await asyncio.gather(*running)
    await house.assert_well()
