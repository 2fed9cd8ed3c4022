"""What a caller who floods does to another: runs of a quiet caller alone, and beside one who always has many on their way.

Both are in the house itself, without HTTP, in a process of their own: who is who needs no credentials there. The flood's runs are as many as the
quiet caller's are few; neither has a bound of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from benchmarks.failure import Failed
from benchmarks.table import Effort, Row

_AT_ONCE: Final = (64, 200)
_BOUND: Final = 2.0
_RUNS_S: Final = 600


def rows(effort: Effort) -> list[Row]:
    """Alone and beside the flood by turns, in one process. Raises Failed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fairness", str(effort.runs(60)), str(effort.rounds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUNS_S,
    )
    if done.returncode:
        raise Failed(f"fairness: {done.stderr[-1000:]}")
    found: list[Row] = []
    for at_once, alone_s, beside_s, flood_per_s in json.loads(done.stdout):
        ratio = beside_s / alone_s
        what = f"python `print(1)` of a quiet caller, beside another's {at_once} at a time, p50"
        measured = f"{beside_s * 1000:.2f} ms; alone {alone_s * 1000:.2f} ms; the other {flood_per_s:.0f}/s"
        found.append(Row(what, measured, f"≤ {_BOUND:.0f} x alone", ratio <= _BOUND, ratio))
    return found


async def _measure(runs: int, rounds: int) -> list[tuple[int, float, float, float]]:
    from sandql.core.settings import load_settings
    from sandql.core.values import Caller
    from sandql.resolvers.code import execute
    from sandql.resolvers.operations import ExecuteCode
    from sandql.sandboxes.house import open_sandboxes

    asked = ExecuteCode(code="print(1)", language="python")
    with tempfile.TemporaryDirectory(prefix="sandql-fairness-", dir="/var/tmp") as folder:
        async with open_sandboxes(load_settings(state_dir=Path(folder))) as sandboxes:

            async def once(owner: str) -> float:
                began = perf_counter()
                execution = await execute(sandboxes, Caller(owner), asked)
                if not execution.success:
                    raise Failed(f"a run of {owner}'s ended with {execution.outcome}")
                return perf_counter() - began

            flooded = 0

            async def flood() -> None:
                nonlocal flooded
                while True:
                    await once("flood")
                    flooded += 1

            async def quiet() -> float:
                return median([await once("quiet") for _ in range(runs)])

            await quiet()
            found: list[tuple[int, float, float, float]] = []
            for at_once in _AT_ONCE:
                alone: list[float] = []
                beside: list[float] = []
                per_s: list[float] = []
                for _ in range(rounds):
                    alone.append(await quiet())
                    flooded, began = 0, perf_counter()
                    floods = [asyncio.ensure_future(flood()) for _ in range(at_once)]
                    beside.append(await quiet())
                    per_s.append(flooded / (perf_counter() - began))
                    for task in floods:
                        task.cancel()
                    for ended in await asyncio.gather(*floods, return_exceptions=True):
                        if isinstance(ended, Exception):
                            raise ended
                found.append((at_once, median(alone), median(beside), median(per_s)))
            return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(int(sys.argv[1]), int(sys.argv[2])))))
