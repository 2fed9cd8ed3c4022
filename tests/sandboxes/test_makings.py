"""Making sandboxes that last: once, whoever goes away meanwhile, and whatever fails."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from sandql.core.errors import Conflict, ProviderUnavailable, ResourceError
from sandql.core.kept import KeptSandbox, SandboxSpec, SandboxStatus
from sandql.core.settings import SettingsError
from sandql.resolvers import code, files, sandboxes
from sandql.resolvers.operations import AskedLimits, CreateSandbox, ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from tests.support.engine import until
from tests.support.house import ALICE, open_house


async def create(house: Sandboxes, key: str | None = None, **asked: Any) -> KeptSandbox:
    return await sandboxes.create_sandbox(house, ALICE, CreateSandbox(**asked), key)


async def living(house: Sandboxes) -> list[KeptSandbox]:
    return [item for item in (await sandboxes.list_sandboxes(house, ALICE, 100, None)).items if item.ended_at is None]


def folders(house: Sandboxes) -> set[str]:
    return {path.name for path in (house.settings.state_dir / "homes").iterdir()}


class Slow:
    """Lets a provider's `create` wait until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, house: Sandboxes) -> None:
        provider = house.providers["local"]
        self._create = provider.create
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.calls = 0
        monkeypatch.setattr(provider, "create", self.create)

    async def create(self, sandbox_id: str, spec: SandboxSpec) -> str:
        self.calls += 1
        self.begun.set()
        await self.go_on.wait()
        return await self._create(sandbox_id, spec)


@pytest.mark.parametrize("asked", [{"key": "k"}, {"name": "n"}, {"key": "k", "name": "n"}])
async def test_who_went_away_and_asks_again_gets_the_same(monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]) -> None:
    async with open_house() as house:
        slow = Slow(monkeypatch, house)
        first = asyncio.ensure_future(create(house, **asked))
        await slow.begun.wait()
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        again = asyncio.ensure_future(create(house, **asked))
        await asyncio.sleep(0)
        slow.go_on.set()
        made = await again
        assert made.status is SandboxStatus.RUNNING
        assert slow.calls == 1
        assert [item.id for item in await living(house)] == [made.id]
        assert folders(house) == {made.id}


async def test_who_goes_away_at_any_moment_leaves_nothing_half_made() -> None:
    async with open_house(max_sandboxes=1000) as house:
        for turns in range(60):
            task = asyncio.ensure_future(create(house))
            for _ in range(turns % 20):
                await asyncio.sleep(0)
            if turns >= 20:
                await asyncio.sleep(0.0002 * (turns - 20))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert await until(lambda: {item.row.id for item in house.durable.kept.live.values()} == folders(house))
        assert {item.status for item in await living(house)} <= {SandboxStatus.RUNNING}
        assert {item.id for item in await living(house)} == folders(house)


async def test_what_cannot_be_made_leaves_nothing_and_frees_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(max_sandboxes=1) as house:
        provider = house.providers["local"]

        async def refuse(_id: str, _spec: SandboxSpec) -> str:
            raise ProviderUnavailable("not today")

        with monkeypatch.context() as patched:
            patched.setattr(provider, "create", refuse)
            with pytest.raises(ProviderUnavailable, match="not today"):
                await create(house, key="k", name="n")
        assert folders(house) == set()
        assert await living(house) == []
        made = await create(house, key="k", name="n")
        assert made.status is SandboxStatus.RUNNING


async def test_what_could_not_be_made_and_is_not_gone_yet_is_given_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise ProviderUnavailable("not today")

    async with open_house() as house:
        with monkeypatch.context() as patched:
            patched.setattr(house.providers["local"], "create", fail)
            patched.setattr(house.durable.kept, "_end", fail)  # as while the database is away
            with pytest.raises(ProviderUnavailable, match="not today"):
                await create(house, key="k")
            with pytest.raises(ResourceError, match="not gone yet"):
                await create(house, key="k")
        assert await until(lambda: not house.durable.kept.live)
        made = await create(house, key="k")
        assert made.status is SandboxStatus.RUNNING


async def test_a_key_whose_making_was_cut_off_by_a_crash_makes_one_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(tmp_path) as house:
        kept = house.durable.kept

        async def crash(_row: KeptSandbox) -> KeptSandbox:  # as if the process had ended here
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr(kept, "_make", crash)
            with pytest.raises(asyncio.CancelledError):
                await create(house, key="k", name="n")
        assert [item.status for item in await living(house)] == [SandboxStatus.CREATING]
    async with open_house(tmp_path) as house:
        made = await create(house, key="k", name="n")
        assert made.status is SandboxStatus.RUNNING
        await files.write_file(house, ALICE, "a", "b", sandbox_id=made.id)
        assert (await create(house, key="k", name="n")).id == made.id


async def test_a_key_stands_for_the_one_of_its_name_that_it_was_answered_with() -> None:
    async with open_house() as house:
        named = await create(house, name="n")
        assert (await create(house, key="k", name="n")).id == named.id
        await sandboxes.destroy_sandbox(house, ALICE, named.id)
        again = await create(house, key="k", name="n")
        assert (again.id, again.status) == (named.id, SandboxStatus.DESTROYED)
        assert (await create(house, name="n")).id != named.id


async def test_an_extended_sandbox_is_still_found_by_its_name(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"name": "project", "timeout_ms": 60_000, "metadata": (("a", "1"), ("b", "2"))}
    async with open_house(tmp_path) as house:
        made = await create(house, **asked)
        await sandboxes.extend_sandbox(house, ALICE, made.id, 120_000)
        other_order: dict[str, Any] = {**asked, "metadata": (("b", "2"), ("a", "1"))}
        found = await create(house, **other_order)
        assert (found.id, found.timeout_ms) == (made.id, 120_000)
    async with open_house(tmp_path, memory_bytes=256 << 20) as house:
        assert (await create(house, **asked)).id == made.id, "the server's own defaults may change"
        with pytest.raises(Conflict):
            await create(house, name="project", timeout_ms=120_000, metadata=asked["metadata"])


async def test_finding_it_by_its_name_is_work() -> None:
    async with open_house() as house:
        made = await create(house, name="project", timeout_ms=60_000)
        house.durable.kept.live[made.id].worked_at -= 59
        assert (await create(house, name="project", timeout_ms=60_000)).expires_at > made.expires_at - 1


async def test_a_name_whose_sandbox_is_ending_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house() as house:
        made = await create(house, name="project")
        provider = house.providers["local"]
        destroy, begun, go_on = provider.destroy, asyncio.Event(), asyncio.Event()

        async def slowly(ref: str) -> None:
            begun.set()
            await go_on.wait()
            await destroy(ref)

        monkeypatch.setattr(provider, "destroy", slowly)
        ending = asyncio.ensure_future(sandboxes.destroy_sandbox(house, ALICE, made.id))
        await begun.wait()
        again = asyncio.ensure_future(create(house, name="project"))
        await asyncio.sleep(0)
        go_on.set()
        await ending
        assert (await again).id != made.id
        assert folders(house) == {(await again).id}


async def test_a_server_whose_bounds_were_lowered_keeps_them(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        made = await create(house)
    async with open_house(tmp_path, memory_bytes=64 << 20, workspace_bytes=1 << 20) as house:
        big = await code.execute(house, ALICE, ExecuteCode("x = b'1' * (200 << 20)", "python", sandbox_id=made.id))
        assert big.outcome == "OUT_OF_MEMORY"
        asked = ExecuteCode("1", "python", sandbox_id=made.id, limits=AskedLimits(memory_bytes=128 << 20))
        with pytest.raises(Exception, match=r"limits.memory.*67108864"):
            await code.execute(house, ALICE, asked)
        with pytest.raises(ResourceError, match="1048576"):
            await files.write_file(house, ALICE, "big", b"x" * (2 << 20), sandbox_id=made.id)


async def test_one_state_folder_is_one_servers(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        made = await create(house)
        with pytest.raises(SettingsError, match="SANDQL_STATE_DIR"):
            async with open_house(tmp_path):
                pass
        assert (await sandboxes.find_sandbox(house, ALICE, made.id)).status is SandboxStatus.RUNNING
    async with open_house(tmp_path) as house:
        assert [item.id for item in await living(house)] == [made.id]
