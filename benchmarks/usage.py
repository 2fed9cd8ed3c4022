"""What it costs to count a run: CPU time of reserving and settling, with the database's part, beside the same without counting."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from time import process_time
from typing import Final

from benchmarks.table import Effort, Row
from sandql.core.amounts import Amounts
from sandql.core.values import Caller, Limits
from sandql.store.store import open_store
from sandql.usage.ledger import Ledger, keep_ledger
from sandql.usage.meter import Cost, Unmetered, Usage
from sandql.usage.plans import DAY, Quota
from sandql.usage.recovery import recover

_BOUND_S: Final = 0.3e-3
_RUNS: Final = 500
_EACH_S: Final = 0.01  # what a run takes: about a hundred a second
_COST: Final = Cost(wall_ms=10, cpu_ms=5, memory_kib=10_000)
_QUOTAS: Final = {"counted": None, "limited": Quota(DAY, Amounts(10**9, 10**12, 10**15))}


def rows(effort: Effort) -> list[Row]:
    """A row for callers without a quota, and one for callers with one."""
    runs = max(20, effort.runs(_RUNS))
    found: dict[str, list[float]] = {plan: [] for plan in _QUOTAS}
    for _ in range(effort.rounds):
        bare = asyncio.run(_spend(Unmetered(), "counted", runs))
        for plan, costs in found.items():
            costs.append(asyncio.run(_counted(plan, runs)) - bare)
    names = {"counted": "without a quota", "limited": "with a quota"}
    return [
        Row(f"CPU time of counting a run, {names[plan]}, SQLite, 100 runs/s", f"{cost * 1e6:.0f} µs", f"≤ {_BOUND_S * 1e6:.0f} µs", cost <= _BOUND_S)
        for plan, cost in ((plan, median(costs)) for plan, costs in found.items())
    ]


async def _counted(plan: str, runs: int) -> float:
    with tempfile.TemporaryDirectory(prefix="sandql-bench-usage-") as folder:
        async with _ledger(Path(folder)) as ledger:
            return await _spend(ledger, plan, runs, ledger)


@asynccontextmanager
async def _ledger(folder: Path) -> AsyncGenerator[Ledger]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(None, folder))
        journal, position = await recover(store, "bench", folder / "usage.journal")
        yield await stack.enter_async_context(keep_ledger(Ledger(store, "bench", journal, position, _QUOTAS), journal))


async def _spend(usage: Usage, plan: str, runs: int, ledger: Ledger | None = None) -> float:
    """CPU seconds a run of this process, all its threads together."""
    caller = Caller("bench", plan=plan)
    (await usage.reserve(caller, "local", "python", Limits())).settle(_COST)
    began = process_time()
    for _ in range(runs):
        reserved = await usage.reserve(caller, "local", "python", Limits())
        await asyncio.sleep(_EACH_S)
        reserved.settle(_COST)
    if ledger is not None:
        await ledger.tell()
    return (process_time() - began) / runs
