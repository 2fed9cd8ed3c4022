"""Ledgers for tests: a real database, a real journal, and what stands in the tables."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.amounts import UNBOUNDED, Amounts
from sandql.core.errors import QuotaExceeded
from sandql.core.values import Caller, Limits, MiB
from sandql.store.quota_rows import PeriodState
from sandql.store.store import Store, open_store
from sandql.store.tables import quota_periods, usage
from sandql.usage.books import Reserved
from sandql.usage.ledger import Ledger, keep_ledger
from sandql.usage.plans import DAY, Quota
from sandql.usage.recovery import recover

RUN = Limits(wall_ms=1000, cpu_ms=1000, memory_bytes=100 * MiB)
ALICE = Caller("alice", plan="small")


def executions(most: int) -> Quota:
    """A quota of executions only."""
    return Quota(DAY, Amounts(most, UNBOUNDED, UNBOUNDED))


@asynccontextmanager
async def a_ledger(
    url: str | None, folder: Path, quota: Quota | None, server: str = "here", large: Quota | None = None
) -> AsyncGenerator[tuple[Ledger, Store]]:
    """A ledger with the plans "small" and "large", and its database."""
    os.makedirs(folder, exist_ok=True)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(url, folder))
        journal, position = await recover(store, server, folder / "usage.journal")
        ledger = Ledger(store, server, journal, position, {"small": quota, "large": large, "unlimited": None})
        yield await stack.enter_async_context(keep_ledger(ledger, journal)), store


async def state(store: Store) -> PeriodState:
    """What is used and set aside, of all quotas together."""
    columns = [column for column in quota_periods.c if column.name.startswith(("used_", "reserved_"))]
    row = await store.read(lambda connection: _one(connection, select(*(func.coalesce(func.sum(column), 0) for column in columns))))
    values = [int(value) for value in row]
    return PeriodState(Amounts(*values[:3]), Amounts(*values[3:]))


async def counted(store: Store) -> tuple[int, int]:
    """Executions and CPU milliseconds that are in the table of usage."""
    row = await store.read(
        lambda connection: _one(connection, select(func.coalesce(func.sum(usage.c.executions), 0), func.coalesce(func.sum(usage.c.cpu_ms), 0)))
    )
    return int(row[0]), int(row[1])


async def _one(connection: AsyncConnection, statement: Select[*tuple[Any, ...]]) -> Any:
    return (await connection.execute(statement)).one()


async def try_all(ledger: Ledger, count: int) -> list[Reserved]:
    """Reserve for so many runs at one time; those that are set aside. Others must have been refused for their quota."""
    answers = await asyncio.gather(*(ledger.reserve(ALICE, "local", "python", RUN) for _ in range(count)), return_exceptions=True)
    assert all(isinstance(answer, Reserved | QuotaExceeded) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Reserved)]
