"""A database that cannot be used for a while: what ended meanwhile is told by itself when it can.

Its failures are played: the real one does not fail when a test wants it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandql.core.errors import ResourceError
from sandql.store.store import Store
from sandql.usage.ledger import Ledger
from sandql.usage.meter import Cost
from tests.support.engine import HANG_S
from tests.usage.ledgers import ALICE, RUN, a_ledger, counted

_COST = Cost(wall_ms=20, cpu_ms=10, memory_kib=1024)


def fail(store: Store, monkeypatch: pytest.MonkeyPatch, times: int, failed: Callable[[int], None] = lambda _left: None) -> None:
    """Let so many writes fail; `failed` is told how many are left."""
    write, left = store.write, times

    async def played(work: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            failed(left)
            raise ResourceError("played")
        return await write(work)

    monkeypatch.setattr(store, "write", played)


async def run_one(ledger: Ledger) -> None:
    (await ledger.reserve(ALICE, "local", "python", RUN)).settle(_COST)


async def until_counted(store: Store, executions: int) -> None:
    found = 0
    for _ in range(round(HANG_S / 0.05)):
        found = (await counted(store))[0]
        if found == executions:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{found} executions are counted, not {executions}")


async def test_what_ended_while_something_older_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_ledger(None, tmp_path, None) as (ledger, store):
        begun: list[asyncio.Task[None]] = []
        fail(store, monkeypatch, 3, lambda left: begun.append(asyncio.create_task(run_one(ledger))) if left == 2 else None)
        await run_one(ledger)
        await until_counted(store, 2)
        await asyncio.gather(*begun)


async def test_what_somebody_asked_for_in_vain_is_told_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_ledger(None, tmp_path, None) as (ledger, store):
        fail(store, monkeypatch, 1)
        await run_one(ledger)
        with pytest.raises(ResourceError):
            await ledger.tell()
        await until_counted(store, 1)
