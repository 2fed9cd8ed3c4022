"""What callers keep: however it is written and however many write at once, no more of it than the plan gives."""

from __future__ import annotations

import asyncio
import io
import random
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandql.core.errors import QuotaExceeded, SandqlError
from sandql.core.values import HOME, Caller, MiB, Outcome, Signal
from sandql.resolvers import code, contexts, executions, files, sandboxes, terminals, usage
from sandql.resolvers.operations import AskedFile, CreateContext, CreateSandbox, CreateTerminal, ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from tests.support.executions import until_printed, watched
from tests.support.house import open_house

ALICE = Caller("alice", plan="small")
_MOST_MB = 4
_HOME = {"provider": None, "sandbox_id": None}
_REFUSAL = (
    r"quota maxStorageMB: at most 4 MB are kept in all sandboxes of yours together; \d\.\d+ are used and this takes .* remove files or a sandbox"
)


@asynccontextmanager
async def _house(folder: Path) -> AsyncGenerator[Sandboxes]:
    access, state = folder / "access.toml", folder / "state"
    await asyncio.to_thread(access.write_text, f"[plans.small.quota]\nmaxStorageMB = {_MOST_MB}\n")
    await asyncio.to_thread(state.mkdir, exist_ok=True)
    async with open_house(state, access_file=access) as house:
        yield house


async def _used_mb(house: Sandboxes, caller: Caller = ALICE) -> float:
    (part,) = await usage.find_quota(house, caller)
    assert (part.resource, part.limit, part.reserved, part.resets_at) == ("maxStorageMB", _MOST_MB, 0, None)
    return part.used


def _on_disk_mb(house: Sandboxes) -> float:
    """What lies in all workspaces together, as the file system says."""
    found = (house.settings.state_dir / "homes").glob("*/files/**/*")
    return sum(path.lstat().st_blocks for path in found) * 512 / MiB


def _archive(size: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("large")
        entry.size = size
        archive.addfile(entry, io.BytesIO(bytes(size)))
    return made.getvalue()


def _folders(count: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for number in range(count):
            entry = tarfile.TarInfo(f"folder {number}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
    return made.getvalue()


async def _unpack(house: Sandboxes, archive: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield archive

    await files.unpack_files(house, ALICE, "unpacked", pieces(), **_HOME)


async def _upload(house: Sandboxes, size: int, *, announced: bool) -> None:
    async with files.upload_file(house, ALICE, "uploaded", key=None, offset=0, size=size if announced else None, **_HOME) as upload:
        for _ in range(size // MiB):
            await upload.write(bytes(MiB))
        await upload.commit(lambda _tag: True)


async def _names(house: Sandboxes) -> list[str]:
    return [entry.path for entry in await files.list_files(house, ALICE, "", recursive=True)]


async def test_no_way_of_writing_leads_beyond_what_may_be_kept(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        assert await _used_mb(house) == 0
        kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
        await files.write_file(house, ALICE, "a", bytes(MiB))
        await files.write_file(house, ALICE, "b", bytes(MiB), sandbox_id=kept.id)
        assert await _used_mb(house) == 2
        large = "x" * (3 * MiB)
        asked = ExecuteCode("open('ran', 'w')", "python", sandbox_id=HOME, files=(AskedFile("given", large),))
        for work in (
            files.write_file(house, ALICE, "c", large),
            files.write_file(house, ALICE, "a", large, append=True),
            _upload(house, 3 * MiB, announced=True),
            _upload(house, 3 * MiB, announced=False),
            _unpack(house, _archive(3 * MiB)),
            _unpack(house, _folders(1000)),
            code.execute(house, ALICE, asked),
            code.start(house, ALICE, asked, key="once"),
        ):
            with pytest.raises(QuotaExceeded, match=_REFUSAL) as refused:
                await work
            assert refused.value.retry_after_s is None
            assert await _names(house) == ["a"]
            assert await _used_mb(house) == 2
        await files.copy_file(house, ALICE, "a", "c", overwrite=False, recursive=False)
        await files.copy_file(house, ALICE, "a", "d", overwrite=False, recursive=False)
        assert await _used_mb(house) == 4
        for source, target in (("a", "e"), ("", "folder")):
            with pytest.raises(SandqlError):
                await files.copy_file(house, ALICE, source, target, overwrite=False, recursive=True)
        with pytest.raises(QuotaExceeded, match=_REFUSAL):
            await files.write_file(house, ALICE, "one byte", "1", sandbox_id=kept.id)
        await files.make_directory(house, ALICE, "folder")  # takes a block, so that there is no room for the next
        with pytest.raises(QuotaExceeded):
            await files.make_directory(house, ALICE, "another")
        assert (await executions.list_executions(house, ALICE, 10, None, None, None)).items == []
        assert _on_disk_mb(house) <= 4 + 4096 / MiB


async def test_what_is_removed_or_destroyed_is_there_again(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
        await files.write_file(house, ALICE, "folder/a", bytes(2 * MiB))
        await files.write_file(house, ALICE, "b", bytes(MiB), sandbox_id=kept.id)
        await files.write_file(house, ALICE, "b", bytes(MiB), sandbox_id=kept.id)  # in the place of the first
        await files.remove_file(house, ALICE, "folder", recursive=True)
        assert await _used_mb(house) == 1
        await files.write_file(house, ALICE, "c", bytes(3 * MiB))
        await sandboxes.destroy_sandbox(house, ALICE, kept.id)
        assert await _used_mb(house) == 3
        await files.write_file(house, ALICE, "d", bytes(MiB))
        with pytest.raises(QuotaExceeded):
            await files.write_file(house, ALICE, "e", "1")
        await files.remove_file(house, ALICE, "d", recursive=False)
        await files.write_file(house, ALICE, "e", "1")


async def test_programs_are_ended_and_none_begins_when_all_is_used(tmp_path: Path) -> None:
    grow = "import os, time\nwhile True:\n    open('grown', 'ab').write(b'x' * 65536)\n    os.sync()\n    time.sleep(0.01)\n"
    async with _house(tmp_path) as house:
        kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
        await files.write_file(house, ALICE, "a", bytes(MiB), sandbox_id=kept.id)
        both = await asyncio.gather(*(code.execute(house, ALICE, ExecuteCode(grow, "python", sandbox_id=id_)) for id_ in (HOME, kept.id)))
        for ended in both:
            assert ended.outcome is Outcome.KILLED
            assert ended.problem is not None
            assert (ended.problem.code, "maxStorageMB" in ended.problem.message) == ("QUOTA_EXCEEDED", True)
        assert await _used_mb(house) > _MOST_MB
        rows = (await executions.list_executions(house, ALICE, 10, None, None, None)).items
        for work in (
            code.execute(house, ALICE, RunCommand(argv=("touch", "b"), sandbox_id=HOME)),
            code.start(house, ALICE, RunCommand(argv=("touch", "b"), sandbox_id=HOME)),
            contexts.create_context(house, ALICE, CreateContext("python")),
            terminals.create_terminal(house, ALICE, CreateTerminal()),
        ):
            with pytest.raises(QuotaExceeded, match="maxStorageMB"):
                await work
        assert await _names(house) == ["grown"]
        assert (await executions.list_executions(house, ALICE, 10, None, None, None)).items == rows
        fresh = await code.execute(house, ALICE, ExecuteCode("open('free', 'w').write('x' * 5_000_000); print('done')", "python"))
        assert fresh.stdout == b"done\n", "what is not kept is not bounded"
        await files.remove_file(house, ALICE, "grown", recursive=False, sandbox_id=kept.id)
        await files.remove_file(house, ALICE, "grown", recursive=False)
        assert (await code.execute(house, ALICE, RunCommand(argv=("touch", "b"), sandbox_id=HOME))).exit_code == 0


async def test_what_a_program_wrote_counts_for_who_writes_elsewhere(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
        await files.write_file(house, ALICE, "a", "1", sandbox_id=kept.id)
        write = "open('b', 'wb').write(b'x' * (3 << 20)); print('up', flush=True); __import__('time').sleep(60)"
        await code.execute(house, ALICE, ExecuteCode("open('b', 'wb').write(b'x' * (3 << 20))", "python", sandbox_id=HOME))
        with pytest.raises(QuotaExceeded):
            await files.write_file(house, ALICE, "c", bytes(2 * MiB), sandbox_id=kept.id)
        await files.remove_file(house, ALICE, "b", recursive=False)
        id_ = await code.start(house, ALICE, ExecuteCode(write, "python", sandbox_id=HOME))
        await until_printed(house, id_, b"up")
        await executions.cancel_execution(house, ALICE, id_, Signal.KILL)
        await watched(house, id_)
        with pytest.raises(QuotaExceeded):
            await files.write_file(house, ALICE, "c", bytes(2 * MiB), sandbox_id=kept.id)
        assert [entry.path for entry in await files.list_files(house, ALICE, "", sandbox_id=kept.id)] == ["a"]


async def test_who_starts_again_knows_what_is_kept_and_others_are_not_counted(tmp_path: Path) -> None:
    async with _house(tmp_path) as house:
        kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
        await files.write_file(house, ALICE, "a", bytes(3 * MiB), sandbox_id=kept.id)
        await files.write_file(house, Caller("bob", plan="unlimited"), "large", bytes(8 * MiB))
    async with _house(tmp_path) as house:
        with pytest.raises(QuotaExceeded):
            await files.write_file(house, ALICE, "b", bytes(2 * MiB))
        assert await _used_mb(house) == 3
        assert await _used_mb(house, Caller("carol", plan="small")) == 0
        assert await usage.find_quota(house, Caller("bob", plan="unlimited")) == []
        await files.write_file(house, ALICE, "b", bytes(MiB))


@pytest.mark.parametrize("seed", range(3))
async def test_many_who_write_at_once_keep_no_more_together(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with _house(tmp_path) as house:
        places = [HOME, *[(await sandboxes.create_sandbox(house, ALICE, CreateSandbox())).id for _ in range(3)]]

        async def work(number: int) -> bool:
            place, size = chance.choice(places), chance.randrange(1, 600_000)
            try:
                if chance.random() < 0.2:
                    await files.remove_file(house, ALICE, f"{number // 2}", recursive=False, sandbox_id=place)
                else:
                    await files.write_file(house, ALICE, f"{number}", bytes(size), append=chance.random() < 0.5, sandbox_id=place)
            except QuotaExceeded:
                return False
            except SandqlError as error:
                assert error.code == "NOT_FOUND"
            return True

        done: list[bool] = []
        for _ in range(3):
            done += await asyncio.gather(*(work(number % 40) for number in range(60)))
            assert _on_disk_mb(house) <= _MOST_MB
            assert await _used_mb(house) == _on_disk_mb(house), "what is counted is what is there"
        assert not all(done)
        assert any(done)
