"""What is paid for what ran: by whom, for which time, and for how much memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandql.core.values import Caller, Compilation, Execution, Isolation, Limits, MiB, Outcome
from sandql.sandboxes.account import Account
from sandql.usage.meter import Cost, Unmetered
from tests.support.house import ALICE, open_house

_LIMITS = Limits(wall_ms=10_000, cpu_ms=10_000, memory_bytes=100 * MiB)


class _Noted(Unmetered):
    """Usage that notes what is paid."""

    def __init__(self) -> None:
        self.costs: list[Cost] = []

    async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> _Noted:
        return self

    def settle(self, cost: Cost) -> None:
        self.costs.append(cost)

    def refund(self) -> None:
        self.costs.append(Cost(0, 0, 0))


@pytest.mark.unit
async def test_what_is_cut_off_pays_for_the_memory_that_it_may_have_had() -> None:
    usage = _Noted()
    bill = await Account(usage, ALICE, "local").bill("python", _LIMITS)
    bill.start()
    bill.close()
    assert [cost.memory_kib for cost in usage.costs] == [100 << 10]


@pytest.mark.unit
async def test_compiling_is_paid_for() -> None:
    usage = _Noted()
    bill = await Account(usage, ALICE, "local").bill("cpp", _LIMITS)
    isolation = Isolation("none", (), False, 0, "none", "none")
    ran = Execution("ex", Outcome.COMPLETED, 0, None, b"", b"", False, 10, 4000, 50_000, "local", "cpp", None, isolation)
    bill.pay_for(replace(ran, compilation=Compilation(True, b"", 4000)))
    assert usage.costs == [Cost(4010, 4000, 50_000)]


async def test_an_administrator_pays_itself_and_brings_nobody_its_own_plan(tmp_path: Path) -> None:
    access_file = tmp_path / "access.toml"
    access_file.write_text("[plans.big.quota]\nmaxStorageMB = 100\n[plans.small.quota]\nmaxStorageMB = 1\n")
    async with open_house(access_file=access_file) as house:
        bob, acting = Caller("bob", plan="big"), Caller("bob", plan="small", acting="root")
        assert house.storage_of(acting) is None, "what bob may keep is not known yet"
        storage = house.storage_of(bob)
        assert storage is not None
        for caller in (acting, bob):
            assert house.storage_of(caller) is storage
            assert storage.most_bytes == 100 * MiB
        assert [house.account(caller, "local").caller.subject for caller in (bob, acting)] == ["bob", "root"]
