"""How sandboxes that last end: with all that is in them, whoever has them, and whatever their provider says."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from sandql.core.errors import NotFound, ResourceError
from sandql.core.kept import KeptSandbox, SandboxStatus
from sandql.core.values import Outcome
from sandql.providers.local.provider import LocalProvider
from sandql.resolvers import code, files, sandboxes
from sandql.resolvers.operations import CreateSandbox, ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.notices import NoticeKind
from sandql.sandboxes.states import LIVING
from sandql.store import sandbox_rows
from sandql.store.store import Store
from tests.support.engine import until
from tests.support.house import ALICE, BOB, open_house

_ODD_IDS = ("\ud800", "sb_\0", "sb_" + "A" * 27 + "\n", "sb_" + "ü" * 27, "x" * 100_000)


async def create(house: Sandboxes, **asked: Any) -> KeptSandbox:
    return await sandboxes.create_sandbox(house, ALICE, CreateSandbox(**asked))


async def status_of(house: Sandboxes, id_: str) -> SandboxStatus:
    return (await sandboxes.find_sandbox(house, ALICE, id_)).status


async def becomes(house: Sandboxes, id_: str, status: SandboxStatus) -> bool:
    for _ in range(400):
        if await status_of(house, id_) is status:
            return True
        await asyncio.sleep(0.02)
    return False


def folders(house: Sandboxes) -> set[str]:
    return {path.name for path in (house.settings.state_dir / "homes").iterdir()}


async def test_its_files_go_also_while_somebody_has_it() -> None:
    async with open_house() as house:
        made = await create(house)
        await files.write_file(house, ALICE, "a/b", "c", sandbox_id=made.id)
        async with aclosing(files.watch_files(house, ALICE, "", recursive=True, sandbox_id=made.id)) as changes:
            await anext(changes)
            async with house.borrow(ALICE, made.id) as lease:
                await sandboxes.destroy_sandbox(house, ALICE, made.id)
                assert folders(house) == set()
                with pytest.raises(NotFound):
                    await lease.sandbox.files.list("")
                with pytest.raises(NotFound):
                    await lease.sandbox.files.write("a", b"b")
            async with asyncio.timeout(10):
                async for _ in changes:  # it comes to its end by itself
                    pass
        assert folders(house) == set()


async def test_nothing_is_left_of_those_that_were_destroyed_while_they_ran() -> None:
    async with open_house() as house:
        for _ in range(5):
            made = await create(house)
            runs = [
                asyncio.ensure_future(code.execute(house, ALICE, ExecuteCode("import time\ntime.sleep(60)", "python", sandbox_id=made.id)))
                for _ in range(3)
            ]
            await asyncio.sleep(0.05)
            await sandboxes.destroy_sandbox(house, ALICE, made.id)
            assert folders(house) == set()
            for done in await asyncio.gather(*runs, return_exceptions=True):
                assert isinstance(done, NotFound) or (not isinstance(done, BaseException) and done.outcome is Outcome.CANCELLED)


async def test_destroying_twice_at_once_destroys_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house() as house:
        made = await create(house)
        provider = house.providers["local"]
        destroy, calls, begun, go_on = provider.destroy, list[str](), asyncio.Event(), asyncio.Event()

        async def slowly(ref: str) -> None:
            calls.append(ref)
            begun.set()
            await go_on.wait()
            await destroy(ref)

        monkeypatch.setattr(provider, "destroy", slowly)
        first = asyncio.ensure_future(sandboxes.destroy_sandbox(house, ALICE, made.id))
        await begun.wait()
        second = asyncio.ensure_future(sandboxes.destroy_sandbox(house, ALICE, made.id))
        house.durable.kept.changed.set()  # the reaper has a look, too
        first.cancel()
        await asyncio.sleep(0.2)
        go_on.set()
        await second
        assert calls == [made.id]
        assert await status_of(house, made.id) is SandboxStatus.DESTROYED


async def test_one_that_cannot_be_destroyed_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house() as house:
        stuck, other = await create(house, timeout_ms=200), await create(house, timeout_ms=400)
        provider = house.providers["local"]
        destroy, go_on = provider.destroy, asyncio.Event()

        async def hang(ref: str) -> None:
            if ref == stuck.id:
                await go_on.wait()
            await destroy(ref)

        monkeypatch.setattr(provider, "destroy", hang)
        assert await becomes(house, other.id, SandboxStatus.DESTROYED)
        assert await status_of(house, stuck.id) is not SandboxStatus.DESTROYED
        with pytest.raises(NotFound):
            await files.list_files(house, ALICE, "", sandbox_id=stuck.id)
        go_on.set()
        assert await becomes(house, stuck.id, SandboxStatus.DESTROYED)


async def test_one_that_is_gone_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house() as house:
        made = await create(house)
        async with aclosing(sandboxes.watch_sandbox(house, ALICE, made.id)) as notices:
            waiting = asyncio.ensure_future(anext(notices))
            await asyncio.sleep(0.1)
            shutil.rmtree(house.settings.state_dir / "homes" / made.id)
            with pytest.raises(NotFound):
                await files.list_files(house, ALICE, "", sandbox_id=made.id)
            assert (await asyncio.wait_for(waiting, 5)).kind == "LOST"
        assert await status_of(house, made.id) is SandboxStatus.LOST


async def test_what_nobody_knows_is_destroyed_after_a_start_however_often_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "homes" / "sb_nobodys" / "files").mkdir(parents=True)
    destroy, calls = LocalProvider.destroy, list[str]()

    async def fail_at_first(self: LocalProvider, ref: str) -> None:
        calls.append(ref)
        if len(calls) < 3:
            raise ResourceError("not now")
        await destroy(self, ref)

    monkeypatch.setattr(LocalProvider, "destroy", fail_at_first)
    async with open_house(tmp_path) as house:
        assert await until(lambda: folders(house) == set())
    assert calls == ["sb_nobodys"] * 3


async def test_watching_one_that_has_ended_ends() -> None:
    async with open_house() as house:
        made = await create(house)
        await sandboxes.destroy_sandbox(house, ALICE, made.id)
        async with asyncio.timeout(5), aclosing(sandboxes.watch_sandbox(house, ALICE, made.id)) as notices:
            assert [notice async for notice in notices] == []


async def test_the_reaper_goes_on_when_the_database_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house() as house:
        made = await create(house, timeout_ms=300)
        calls = 0
        note_work = sandbox_rows.note_work

        async def fail_twice(*args: Any) -> None:
            nonlocal calls
            calls += 1
            if calls <= 2:
                raise RuntimeError("nobody thought of this")
            await note_work(*args)

        monkeypatch.setattr(sandbox_rows, "note_work", fail_twice)
        await files.write_file(house, ALICE, "a", "b", sandbox_id=made.id)
        assert await becomes(house, made.id, SandboxStatus.DESTROYED)
        assert calls >= 3, "what was not written down is written down later"


@pytest.mark.parametrize("id_", _ODD_IDS)
async def test_what_is_no_id_is_not_found(id_: str) -> None:
    async with open_house() as house:
        made = await create(house)
        acts: list[Callable[[], Any]] = [
            lambda: sandboxes.find_sandbox(house, BOB, id_),
            lambda: sandboxes.extend_sandbox(house, BOB, id_, 1000),
            lambda: sandboxes.destroy_sandbox(house, BOB, id_),
            lambda: anext(sandboxes.watch_sandbox(house, BOB, id_)),
            lambda: files.list_files(house, BOB, "", sandbox_id=id_),
            lambda: code.execute(house, BOB, ExecuteCode("print(1)", "python", sandbox_id=id_)),
        ]
        for act in acts:
            with pytest.raises(NotFound) as refused:
                await act()
            assert "no sandbox of yours" in refused.value.message
        assert await status_of(house, made.id) is SandboxStatus.RUNNING


@pytest.mark.parametrize("asked", [False, True], ids=["expired", "destroyed"])
async def test_a_disk_that_is_full_of_it_does_not_keep_a_sandbox(monkeypatch: pytest.MonkeyPatch, *, asked: bool) -> None:
    """Played: a database that cannot be written."""

    async def full(*_: object) -> None:
        raise ResourceError("the database cannot be used now")

    async with open_house() as house:
        made = await create(house, timeout_ms=60_000 if asked else 1000)
        with monkeypatch.context() as patched:
            patched.setattr(Store, "write", full)
            if asked:
                with pytest.raises(ResourceError):
                    await sandboxes.destroy_sandbox(house, ALICE, made.id)
            assert await until(lambda: folders(house) == set())
        assert await until(lambda: not house.durable.kept.live)
        assert (await sandboxes.find_sandbox(house, ALICE, made.id)).status is SandboxStatus.DESTROYED


async def test_one_whose_end_a_crash_cut_off_is_destroyed_and_not_lost(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        made = await create(house)
        await house.providers["local"].destroy(made.id)
        await house.durable.store.write(lambda connection: sandbox_rows.change(connection, made.id, LIVING, timeout_ms=0))
    async with open_house(tmp_path) as house:
        assert (await sandboxes.find_sandbox(house, ALICE, made.id)).status is SandboxStatus.DESTROYED


async def test_who_watches_late_is_warned_as_well() -> None:
    async with open_house() as house:
        made = await create(house, timeout_ms=3000)
        async with aclosing(sandboxes.watch_sandbox(house, ALICE, made.id)) as early:
            async for notice in early:
                if notice.kind is NoticeKind.EXPIRING:
                    break
        async with aclosing(sandboxes.watch_sandbox(house, ALICE, made.id)) as late:
            kinds = [notice.kind async for notice in late]
        assert kinds[0] is NoticeKind.EXPIRING
        assert kinds[-1] is NoticeKind.DESTROYED
