"""Several servers, one database: what one leaves that never comes back keeps its callers from nothing, and is not shown for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sandql.core.clock import ticks
from sandql.core.errors import ResourceError
from sandql.core.executions import ExecutionStatus
from sandql.core.kept import SandboxStatus
from sandql.core.values import Outcome
from sandql.resolvers import code, executions, sandboxes
from sandql.resolvers.operations import CreateSandbox, ExecuteCode
from sandql.sandboxes import execution_upkeep, reaper
from tests.support.engine import until
from tests.support.executions import watched
from tests.support.house import ALICE, open_house

_HOUR_S = 3600.0


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the time of the house's own clock pass, that of the wall untouched."""
    passed = [0.0]
    for module in (reaper, execution_upkeep):
        monkeypatch.setattr(module, "ticks", lambda: ticks() + passed[0])
    for module, name in ((reaper, "_FORGET_EVERY_S"), (execution_upkeep, "_EVERY_S")):
        monkeypatch.setattr(module, name, 0.1)

    def later(seconds: float) -> None:
        passed[0] += seconds

    return later


def _change(file: Path, statement: str, *values: object) -> None:
    rows = sqlite3.connect(file)
    with rows:
        rows.execute(statement, values)
    rows.close()


async def _becomes(look: Callable[[], Awaitable[bool]]) -> bool:
    for _ in range(400):
        if await look():
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("over_s", [-_HOUR_S, 60, 30 * _HOUR_S])
async def test_a_sandbox_of_another_server_counts_until_its_time_is_over(tmp_path: Path, over_s: float) -> None:
    file = tmp_path / "shared.db"
    async with open_house(database_url=f"sqlite:///{file}") as gone:
        left = await sandboxes.create_sandbox(gone, ALICE, CreateSandbox(name="mine"))
    _change(file, "UPDATE sandboxes SET worked_at = ? - timeout_ms / 1000.0", time.time() - over_s)
    async with open_house(database_url=f"sqlite:///{file}", max_sandboxes=1) as house:
        if over_s < 0:
            with pytest.raises(ResourceError, match="at most 1"):
                await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
        else:
            assert (await sandboxes.create_sandbox(house, ALICE, CreateSandbox())).id != left.id
        house.durable.kept.changed.set()
        found = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(name="mine"))
        assert (found.id, found.status) == (left.id, SandboxStatus.RUNNING), "it may be there still, whatever the clocks say"


async def test_a_sandbox_whose_server_is_gone_is_lost(tmp_path: Path, later: Callable[[float], None]) -> None:
    file = tmp_path / "shared.db"
    async with open_house(database_url=f"sqlite:///{file}") as gone:
        left = await sandboxes.create_sandbox(gone, ALICE, CreateSandbox(name="mine"))
        made = await sandboxes.create_sandbox(gone, ALICE, CreateSandbox(), "key")
    _change(file, "UPDATE sandboxes SET status = 'CREATING' WHERE id = ?", made.id)
    async with open_house(database_url=f"sqlite:///{file}") as house:

        async def is_lost() -> bool:
            later(_HOUR_S)
            house.durable.kept.changed.set()
            return (await sandboxes.find_sandbox(house, ALICE, left.id)).status is SandboxStatus.LOST

        assert await _becomes(is_lost)
        assert (await sandboxes.create_sandbox(house, ALICE, CreateSandbox(name="mine"))).id != left.id, "its name is free again"
        again = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(), "key")
        assert (again.id != made.id, again.status) == (True, SandboxStatus.RUNNING), "so is the key of what was being made"


async def test_executions_of_a_server_that_is_gone(tmp_path: Path, later: Callable[[float], None]) -> None:
    file, day_s = tmp_path / "shared.db", 24 * _HOUR_S
    async with open_house(database_url=f"sqlite:///{file}") as gone:
        ids = [await code.start(gone, ALICE, ExecuteCode("print(1)", "python")) for _ in range(3)]
        for id_ in ids:
            await watched(gone, id_)
        assert await until(lambda: not gone.durable.executions.going_on)
    running, ended, recent = ids
    _change(
        file,
        "UPDATE executions SET status = 'RUNNING', outcome = NULL, ended_at = NULL, started_at = ? WHERE id = ?",
        time.time() - 2 * day_s,
        running,
    )
    _change(file, "UPDATE executions SET ended_at = ? WHERE id = ?", time.time() - 3 * day_s, ended)
    async with open_house(database_url=f"sqlite:///{file}") as house:

        async def is_forgotten() -> bool:
            return ended not in {item.id for item in (await executions.list_executions(house, ALICE, 100, None, None, None)).items}

        async def is_lost() -> bool:
            later(_HOUR_S)
            return (await executions.find_execution(house, ALICE, running)).status is ExecutionStatus.ENDED

        assert await _becomes(is_forgotten)
        assert await _becomes(is_lost)
        lost = await executions.find_execution(house, ALICE, running)
        assert (lost.status, lost.outcome) == (ExecutionStatus.ENDED, Outcome.SANDBOX_LOST)
        assert (await executions.find_execution(house, ALICE, recent)).outcome is Outcome.COMPLETED
