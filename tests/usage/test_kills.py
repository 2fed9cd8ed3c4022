"""Real processes that are killed while they reserve and settle."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import sandql
from tests.usage.ledgers import a_ledger, counted, executions, state

_WORKERS = 5
_KILLS = 4
_START_S = 30.0


def _run_and_kill(folder: Path, url: str, lines: int) -> None:
    """Let a process work until it has said so many lines more, and kill it."""
    path = os.pathsep.join((str(Path(sandql.__file__).parents[1]), str(Path(__file__).parents[2])))
    command = [sys.executable, "-m", "tests.usage.spender", str(folder), url, str(_WORKERS)]
    said = folder / "said"
    before = said.stat().st_size if said.exists() else 0
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    try:
        end = time.monotonic() + _START_S
        while (said.stat().st_size if said.exists() else 0) < before + lines * 9:
            assert process.poll() is None
            assert time.monotonic() < end, "it did not begin to work"
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()


async def test_kill_9_loses_and_doubles_no_more_than_what_was_going_on(database_url: str, tmp_path: Path) -> None:
    chance = random.Random(9)
    for kills in range(1, _KILLS + 1):
        _run_and_kill(tmp_path, database_url, chance.randint(1, 6000))
        words = (tmp_path / "said").read_bytes().split()
        reserved, settling, settled = (words.count(word) for word in (b"reserved", b"settling", b"settled"))
        async with a_ledger(database_url, tmp_path, executions(10**9)) as (_, store):
            count, cpu_ms = await counted(store)
            assert reserved <= count <= reserved + kills * _WORKERS
            assert settled * 10 <= cpu_ms <= settling * 10
            found = await state(store)
            assert (found.used.executions, found.used.cpu_ms) == (count, cpu_ms)
            assert found.reserved.executions == found.reserved.cpu_ms == 0
