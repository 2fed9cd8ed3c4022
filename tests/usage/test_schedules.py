"""Random schedules of reserving, settling, refunding and charging, with crashes and a database that fails: nothing is lost, or counted twice.

Nothing is set aside beyond a quota either.

A crash is here that the ledger is left as it is, and another opened on its journal; `test_kills` kills real processes. The database's
failures are played: the real one does not fail when a test wants it to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandql.core.amounts import UNBOUNDED, Amounts
from sandql.core.errors import QuotaExceeded, ResourceError
from sandql.core.values import Caller
from sandql.store.store import Store, open_store
from sandql.usage.books import Reserved
from sandql.usage.journal import Journal
from sandql.usage.ledger import Ledger
from sandql.usage.meter import Cost
from sandql.usage.plans import DAY, Quota
from sandql.usage.recovery import recover
from tests.usage.ledgers import RUN, counted, state

_MOST = Amounts(60, 20_000, UNBOUNDED)


class _Failing:
    """A store whose next writes fail: before anything is done, or when all is done and nobody knows it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fail = ""

    async def read(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await self._store.read(work)

    async def write(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        fail, self.fail = self.fail, ""
        if fail == "before":
            raise ResourceError("played")
        done = await self._store.write(work)
        if fail == "after":
            raise ResourceError("played")
        return done


@dataclass
class _Model:
    """What must be in the tables in the end."""

    executions: int = 0
    cpu_ms: int = 0
    charged_ms: int = 0  # of them, without having been set aside
    open: list[Reserved] = field(default_factory=list[Reserved])


async def _schedule(store: Store, path: Path, seed: int) -> None:
    chance = random.Random(seed)
    failing, model, caller = _Failing(store), _Model(), Caller("alice", plan="small")
    quota = Quota(DAY, _MOST)

    async def opened() -> Ledger:
        journal, position = await recover(store, "here", path)
        return Ledger(failing, "here", journal, position, {"small": quota})  # type: ignore[arg-type]  # plays a store

    async def reserve() -> None:
        turns = asyncio.create_task(_turns(ledger))
        wanted = await asyncio.gather(*(ledger.reserve(caller, "local", "python", RUN) for _ in range(chance.randint(1, 8))), return_exceptions=True)
        turns.cancel()
        await asyncio.wait([turns])
        for one in wanted:
            assert isinstance(one, Reserved | QuotaExceeded | ResourceError), one
            if isinstance(one, Reserved):
                model.open.append(one)
            elif isinstance(one, QuotaExceeded):  # with one server it is not said too early
                assert model.executions + len(model.open) >= 60 - 8 or model.cpu_ms + 1000 * len(model.open) > 20_000 - 8_000

    ledger = await opened()
    for _ in range(chance.randint(5, 60)):
        step = chance.choice(["reserve", "reserve", "settle", "settle", "settle", "refund", "charge", "tell", "before", "after", "crash"])
        if step == "reserve":
            await reserve()
        elif step in ("settle", "refund") and model.open:
            for _ in range(chance.randint(1, 4)):
                if not model.open:
                    break
                one = model.open.pop(chance.randrange(len(model.open)))
                if step == "refund":
                    one.refund()
                    continue
                cpu_ms = chance.randint(0, 1000)
                one.settle(Cost(1, cpu_ms, 1))
                model.executions += 1
                model.cpu_ms += cpu_ms
        elif step == "charge":
            cpu_ms = chance.choice([0, 300, 9000])
            ledger.charge(caller, "local", "python", Cost(1, cpu_ms, 1))
            model.cpu_ms += cpu_ms
            model.charged_ms += cpu_ms
        elif step == "tell":
            try:
                await ledger.turn(now=True)
            except ResourceError as error:
                assert error.message == "played"
        elif step in ("before", "after"):
            failing.fail = step
        elif step == "crash":
            ledger = await opened()
            model.executions += len(model.open)
            model.open.clear()
        found = await state(store)
        assert found.taken.fits(_MOST.plus(Amounts(cpu_ms=model.charged_ms))), (seed, found)
        assert (await counted(store))[0] <= model.executions, seed
    failing.fail = ""
    for _ in range(3):  # what was begun, what is in doubt, and the rest
        await ledger.turn(now=True, last=True)
    found = await state(store)
    assert (found.used.executions, found.used.cpu_ms) == (model.executions, model.cpu_ms) == await counted(store), seed
    assert found.reserved.executions == len(model.open), seed
    await opened()
    found = await state(store)
    assert (found.reserved, found.used.executions) == (Amounts(), model.executions + len(model.open)), seed


async def _turns(ledger: Ledger) -> None:
    """What serves those who wait, as `Ledger.run` does, but going on at once when the database failed."""
    while True:
        try:
            await ledger.turn()
        except ResourceError as error:
            assert error.message == "played"
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", [0, 8, 16, 48])
async def test_nothing_is_lost_doubled_or_beyond_the_quota(tmp_path: Path, seed: int) -> None:
    for one in range(seed, seed + 8):
        folder = tmp_path / str(one)
        folder.mkdir()
        async with open_store(None, folder) as store:
            await _schedule(store, folder / "usage.journal", one)


async def test_who_dies_while_settling_the_last_process_is_settled_once(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "usage.journal"
    async with open_store(database_url, tmp_path) as store:
        journal, position = await recover(store, "here", path)
        ledger = Ledger(store, "here", journal, position, {"small": None})
        (await ledger.reserve(Caller("alice", plan="small"), "local", "python", RUN)).settle(Cost(5, 7, 1))
        for _ in range(3):
            await ledger.reserve(Caller("alice", plan="small"), "local", "python", RUN)
        journal.close()
        with path.open("ab") as file:
            file.write(b'["S",99,1,')  # cut off in the middle
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "renew", _die)
            with pytest.raises(OSError, match="killed"):
                await recover(store, "here", path)
        assert await counted(store) == (4, 7)
        assert len(path.read_bytes().splitlines()) == 8
        (await recover(store, "here", path))[0].close()
        assert await counted(store) == (4, 7)
        assert path.read_bytes() == b""


def _die(_journal: Journal, _entries: object) -> None:
    raise OSError("killed")
