"""Sandboxes that last: made, found, lent, kept alive by work, and ended."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from sandql.core.errors import BadRequest, Conflict, NotFound, ResourceError
from sandql.core.kept import KeptSandbox, SandboxStatus
from sandql.core.values import Outcome
from sandql.resolvers import code, files, sandboxes
from sandql.resolvers.operations import AskedLimits, CreateSandbox, ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.notices import Notice
from tests.support.engine import until
from tests.support.house import ALICE, BOB, open_house

_UNKNOWN_IDS = ("sb_", "sb_" + "A" * 27, "HOME", "", "..", "sb_%00", "x" * 4000)


async def create(house: Sandboxes, **asked: object) -> KeptSandbox:
    return await sandboxes.create_sandbox(house, ALICE, CreateSandbox(**asked))  # pyright: ignore[reportArgumentType]  (each test gives what it is about)


async def status_of(house: Sandboxes, id_: str) -> SandboxStatus:
    return (await sandboxes.find_sandbox(house, ALICE, id_)).status


async def becomes(house: Sandboxes, id_: str, status: SandboxStatus) -> bool:
    for _ in range(400):
        if await status_of(house, id_) is status:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_sandbox_keeps_its_files_its_limits_and_its_environment() -> None:
    async with open_house() as house:
        made = await create(house, env=(("COLOUR", "blue"),), limits=AskedLimits(memory_bytes=64 << 20), metadata=(("for", "a test"),))
        assert made.status is SandboxStatus.RUNNING
        await files.write_file(house, ALICE, "a.txt", "kept", sandbox_id=made.id)
        look = "import os\nprint(open('a.txt').read(), os.environ['COLOUR'])\nopen('b.txt', 'w').write('made')"
        ran = await code.execute(house, ALICE, ExecuteCode(look, "python", sandbox_id=made.id))
        assert (ran.stdout, ran.sandbox_id) == (b"kept blue\n", made.id)
        own = await code.execute(
            house, ALICE, ExecuteCode("import os\nprint(os.environ['COLOUR'])", "python", sandbox_id=made.id, env=(("COLOUR", "red"),))
        )
        assert own.stdout == b"red\n"
        assert (await files.read_file(house, ALICE, "b.txt", sandbox_id=made.id)).content.content == b"made"
        big = await code.execute(house, ALICE, ExecuteCode("x = b'1' * (200 << 20)", "python", sandbox_id=made.id))
        assert big.outcome is Outcome.OUT_OF_MEMORY
        with pytest.raises(BadRequest, match=r"limits.memory.*67108864"):
            await code.execute(house, ALICE, ExecuteCode("1", "python", sandbox_id=made.id, limits=AskedLimits(memory_bytes=65 << 20)))
        found = await sandboxes.find_sandbox(house, ALICE, made.id)
        assert (found.metadata, found.spec.env) == ({"for": "a test"}, {"COLOUR": "blue"})
        assert await files.list_files(house, ALICE, "") == [], "the home is another one"


async def test_its_quota_is_its_own() -> None:
    async with open_house() as house:
        made = await create(house, limits=AskedLimits(workspace_bytes=128 << 10, workspace_inodes=16))
        with pytest.raises(ResourceError, match="131072"):
            await files.write_file(house, ALICE, "big", b"x" * (256 << 10), sandbox_id=made.id)
        await files.write_file(house, ALICE, "small", b"x" * (64 << 10), sandbox_id=made.id)
        ran = await code.execute(
            house, ALICE, ExecuteCode("open('more', 'wb').write(bytes(300 << 10))\nimport time\ntime.sleep(20)", "python", sandbox_id=made.id)
        )
        assert ran.outcome is Outcome.KILLED or b"File too large" in ran.stderr


async def test_another_callers_id_is_like_one_that_never_was() -> None:
    async with open_house() as house:
        made = await create(house, name="alice-s")
        messages: set[str] = set()
        for id_ in (made.id, *_UNKNOWN_IDS):
            for act in (
                lambda id_=id_: sandboxes.find_sandbox(house, BOB, id_),
                lambda id_=id_: sandboxes.extend_sandbox(house, BOB, id_, 1000),
                lambda id_=id_: sandboxes.destroy_sandbox(house, BOB, id_),
                lambda id_=id_: anext(sandboxes.watch_sandbox(house, BOB, id_)),
                lambda id_=id_: files.list_files(house, BOB, "", sandbox_id=id_ or "-"),
                lambda id_=id_: files.write_file(house, BOB, "a", "b", sandbox_id=id_ or "-"),
                lambda id_=id_: code.execute(house, BOB, ExecuteCode("print(1)", "python", sandbox_id=id_)),
                lambda id_=id_: code.start(house, BOB, ExecuteCode("print(1)", "python", sandbox_id=id_)),
            ):
                with pytest.raises(NotFound) as refused:
                    await act()
                messages.add(refused.value.message)
        assert len(messages) == 1, "nothing tells the one from the other"
        assert (await sandboxes.list_sandboxes(house, BOB, 10, None)).items == []
        other = await sandboxes.create_sandbox(house, BOB, CreateSandbox(name="alice-s"))
        assert other.id != made.id
        assert await status_of(house, made.id) is SandboxStatus.RUNNING
        assert await files.list_files(house, ALICE, "", sandbox_id=made.id) == []


async def test_ids_are_unguessable() -> None:
    async with open_house() as house:
        ids = [(await create(house)).id for _ in range(20)]
        assert len({id_[:8] for id_ in ids}) == 20
        assert min(map(len, ids)) >= 3 + 27, "160 bits"


async def test_a_name_gives_one_sandbox_however_many_ask_for_it() -> None:
    async with open_house() as house:
        made = await asyncio.gather(*(create(house, name="shared", timeout_ms=60_000) for _ in range(20)))
        assert len({item.id for item in made}) == 1
        assert len((await sandboxes.list_sandboxes(house, ALICE, 100, None)).items) == 1
        for other in ({"timeout_ms": 60_001}, {"metadata": (("a", "b"),)}, {"env": (("A", "b"),)}, {"limits": AskedLimits(processes=3)}):
            with pytest.raises(Conflict, match="name"):
                await create(house, name="shared", **{"timeout_ms": 60_000, **other})
        await sandboxes.destroy_sandbox(house, ALICE, made[0].id)
        assert (await create(house, name="shared")).id != made[0].id, "the name is free again"


async def test_time_runs_from_the_last_work_and_not_while_there_is_some() -> None:
    async with open_house() as house:
        made = await create(house, timeout_ms=700)
        began = time.monotonic()
        ran = await code.execute(house, ALICE, ExecuteCode("import time\ntime.sleep(1.5)\nprint('done')", "python", sandbox_id=made.id))
        assert ran.stdout == b"done\n", "a sandbox at work does not expire"
        while time.monotonic() - began < 3:  # each write is work
            await files.write_file(house, ALICE, "a", "b", sandbox_id=made.id)
            await asyncio.sleep(0.2)
        assert await becomes(house, made.id, SandboxStatus.DESTROYED)
        with pytest.raises(NotFound):
            await files.list_files(house, ALICE, "", sandbox_id=made.id)
        assert not list((house.settings.state_dir / "homes").glob("sb_*"))


@pytest.mark.parametrize("set_by_s", [3600, -3600])
async def test_a_clock_that_is_set_ends_nothing_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch, set_by_s: int) -> None:
    async with open_house() as house:
        stays, goes = await create(house, timeout_ms=60_000), await create(house, timeout_ms=1500)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + set_by_s)
        assert await becomes(house, goes.id, SandboxStatus.DESTROYED)
        found = await sandboxes.find_sandbox(house, ALICE, stays.id)
        assert found.status is not SandboxStatus.DESTROYED
        assert 0 < found.expires_at - time.time() <= 61, "it is said by the clock as it is now"


async def test_watching_is_no_work_and_is_told_of_everything() -> None:
    async with open_house() as house:
        made = await create(house, timeout_ms=1200)
        seen: list[Notice] = []
        async with aclosing(sandboxes.watch_sandbox(house, ALICE, made.id)) as notices:
            waiting = asyncio.ensure_future(anext(notices))
            await asyncio.sleep(0)
            await sandboxes.extend_sandbox(house, ALICE, made.id, 1000)
            seen.append(await waiting)
            seen += [notice async for notice in notices]
        assert [notice.kind for notice in seen] == ["EXTENDED", "IDLE", "EXPIRING", "DESTROYED"]
        assert seen[2].at < seen[3].at - 0.3, "there is time to do something about it"


async def test_an_idle_sandbox_runs_again_when_it_gets_work() -> None:
    async with open_house() as house:
        made = await create(house, timeout_ms=3000)
        assert await becomes(house, made.id, SandboxStatus.IDLE)
        await files.write_file(house, ALICE, "a", "b", sandbox_id=made.id)
        assert await becomes(house, made.id, SandboxStatus.RUNNING)


async def test_destroying_ends_what_runs() -> None:
    async with open_house() as house:
        made = await create(house)
        running = asyncio.ensure_future(
            code.execute(house, ALICE, ExecuteCode("open('up', 'w')\nimport time\ntime.sleep(60)", "python", sandbox_id=made.id))
        )
        assert await until_written(house, made.id)
        await sandboxes.destroy_sandbox(house, ALICE, made.id)
        done = await asyncio.wait_for(running, 10)
        assert done.outcome is Outcome.CANCELLED
        assert done.problem is not None
        assert "destroyed" in done.problem.message
        await sandboxes.destroy_sandbox(house, ALICE, made.id)  # a second time is fine
        assert await status_of(house, made.id) is SandboxStatus.DESTROYED


async def until_written(house: Sandboxes, id_: str) -> bool:
    for _ in range(500):
        if await files.list_files(house, ALICE, "", glob="up", sandbox_id=id_):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_there_are_no_more_than_may_be() -> None:
    async with open_house(max_sandboxes=3) as house:
        made = [await create(house) for _ in range(3)]
        with pytest.raises(ResourceError, match="at most 3"):
            await create(house)
        await sandboxes.create_sandbox(house, BOB, CreateSandbox())
        await sandboxes.destroy_sandbox(house, ALICE, made[0].id)
        await create(house)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"template": "no-such"}, "template"),
        ({"provider": "no-such"}, "provider"),
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"timeout_ms": 0}, "timeout: must be from 1 to"),
        ({"timeout_ms": 1 << 40}, "timeout"),
        ({"limits": AskedLimits(memory_bytes=1 << 50)}, "limits.memory"),
        ({"metadata": (("a b", "c"),)}, "metadata"),
        ({"metadata": tuple((f"n{number}", "v") for number in range(33))}, "metadata: at most 32"),
        ({"env": (("A=B", "c"),)}, "env"),
    ],
)
async def test_what_is_not_acceptable_makes_nothing(asked: dict[str, object], says: str) -> None:
    async with open_house() as house:
        with pytest.raises(BadRequest, match=says):
            await create(house, **asked)
        assert not list((house.settings.state_dir / "homes").glob("sb_*"))
        assert [item for item in (await sandboxes.list_sandboxes(house, ALICE, 10, None)).items if item.ended_at is None] == []


async def test_the_home_is_a_sandbox_with_no_lifetime_of_its_own() -> None:
    async with open_house() as house:
        home = await sandboxes.find_sandbox(house, ALICE, "home")
        assert (home.id, home.status) == ("home", SandboxStatus.RUNNING)
        for act in (sandboxes.destroy_sandbox(house, ALICE, "home"), sandboxes.extend_sandbox(house, ALICE, "home", 1000)):
            with pytest.raises(BadRequest, match="home"):
                await act


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        made = await create(house, name="kept", metadata=(("a", "b"),))
        await files.write_file(house, ALICE, "a.txt", "still here", sandbox_id=made.id)
    async with open_house(tmp_path) as house:
        found = await sandboxes.find_sandbox(house, ALICE, made.id)
        assert (found.status, found.metadata, found.name) == (SandboxStatus.RUNNING, {"a": "b"}, "kept")
        assert (await files.read_file(house, ALICE, "a.txt", sandbox_id=made.id)).content.content == b"still here"


async def test_rows_and_what_there_is_are_brought_together_at_a_start(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        gone, expired, kept = await create(house), await create(house, timeout_ms=100_000), await create(house)
        house.durable.kept.live[expired.id].worked_at -= 1000
        house.durable.kept.live[expired.id].unwritten = True
    homes = tmp_path / "homes"
    shutil.rmtree(homes / gone.id)
    (homes / "sb_nobodys" / "files").mkdir(parents=True)
    async with open_house(tmp_path) as house:
        assert await status_of(house, gone.id) is SandboxStatus.LOST
        assert await becomes(house, expired.id, SandboxStatus.DESTROYED)
        assert await status_of(house, kept.id) is SandboxStatus.RUNNING
        assert await until(lambda: {path.name for path in homes.iterdir()} == {kept.id})
        with pytest.raises(NotFound):
            await files.list_files(house, ALICE, "", sandbox_id=gone.id)


async def test_a_provider_that_cannot_destroy_now_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house() as house:
        made = await create(house, timeout_ms=300)
        provider = house.providers["local"]
        destroy, calls = provider.destroy, list[str]()

        async def fail_twice(ref: str) -> None:
            calls.append(ref)
            if len(calls) < 3:
                raise ResourceError("not now")
            await destroy(ref)

        monkeypatch.setattr(provider, "destroy", fail_twice)
        assert await becomes(house, made.id, SandboxStatus.DESTROYED)
        assert calls == [made.id] * 3


async def test_a_thousand_are_listed_page_by_page() -> None:
    async with open_house(max_sandboxes=2000) as house:
        ids = {(await create(house, metadata=(("half", str(number % 2)),))).id for number in range(1000)}
        seen: list[str] = []
        after = None
        while True:
            page = await sandboxes.list_sandboxes(house, ALICE, 100, after, (), (("half", "1"),))
            seen += [item.id for item in page.items]
            after = page.end_cursor
            if not page.has_next:
                break
        assert len(seen) == 500
        assert set(seen) < ids
        assert (await code.execute(house, ALICE, ExecuteCode("print(1)", "python"))).stdout == b"1\n"
