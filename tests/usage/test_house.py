"""Usage in the house: whatever runs is counted, and what a plan does not give does not run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from sandql.core.errors import QuotaExceeded
from sandql.core.settings import SettingsError
from sandql.core.values import Caller
from sandql.resolvers import code, contexts, executions, files
from sandql.resolvers.operations import AskedFile, CreateContext, ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.store.tables import usage
from sandql.usage.ledger import Ledger
from tests.support.engine import until
from tests.support.house import open_house

ALICE = Caller("alice", plan="tiny")
_REFUSAL = "quota maxExecutions: at most 3 executions in a month; 3 are used"


def _access_file(folder: Path, text: str) -> Path:
    path = folder / "access.toml"
    path.write_text(text)
    return path


async def _rows(sandboxes: Sandboxes) -> dict[str, int]:
    ledger = sandboxes.usage
    assert isinstance(ledger, Ledger)
    await ledger.tell()
    found = await ledger.store.read(lambda connection: connection.execute(select(usage.c.language, usage.c.executions)))
    return {row.language: row.executions for row in found}


async def test_runs_are_counted_and_a_fourth_does_not_start(tmp_path: Path) -> None:
    path = _access_file(tmp_path, "[plans.tiny.quota]\nmaxExecutions = 3\nperiod = 'month'\n")
    async with open_house(access_file=path) as sandboxes:
        home = ExecuteCode("open('ran', 'a').write('x'); print(open('ran').read())", "python", sandbox_id="home")
        for _ in range(2):
            await code.execute(sandboxes, ALICE, home)
        async with aclosing(code.stream_code(sandboxes, ALICE, home)) as events:
            async for _ in events:
                pass
        with pytest.raises(QuotaExceeded, match=_REFUSAL):
            await code.execute(sandboxes, ALICE, home)
        with pytest.raises(QuotaExceeded, match=_REFUSAL):
            await anext(code.stream_code(sandboxes, ALICE, home))
        free = await code.execute(sandboxes, Caller("alice"), home)
        assert free.stdout == b"xxxx\n"
        assert await _rows(sandboxes) == {"python": 4}


@pytest.mark.parametrize("streamed", [False, True])
async def test_who_goes_away_while_a_run_waits_for_its_turn_pays_nothing_for_it(tmp_path: Path, *, streamed: bool) -> None:
    path = _access_file(tmp_path, "[plans.tiny.quota]\nmaxExecutions = 3\n")
    async with open_house(access_file=path, max_concurrent_runs=1) as sandboxes:
        running = asyncio.ensure_future(code.execute(sandboxes, Caller("bob"), ExecuteCode("import time\ntime.sleep(60)", "python")))
        load = sandboxes.providers["local"].load
        assert await until(lambda: load().running == 1)
        asked = ExecuteCode("print(1)", "python")

        async def ask() -> None:
            if streamed:
                async with aclosing(code.stream_code(sandboxes, ALICE, asked)) as events:
                    await anext(events)
            else:
                await code.execute(sandboxes, ALICE, asked)

        waiting = asyncio.ensure_future(ask())
        assert await until(lambda: load().queued == 1)
        for gone in (waiting, running):
            gone.cancel()
            await asyncio.wait([gone])
        assert (await _counted(sandboxes, "alice"), (await _counted(sandboxes, "bob")) > 0) == (0, True)


async def _counted(sandboxes: Sandboxes, owner: str) -> int:
    """CPU milliseconds and executions of an owner, together."""
    ledger = sandboxes.usage
    assert isinstance(ledger, Ledger)
    sums = await ledger.sums(owner, "2000-01-01", "2999-01-01", ("language",))
    return sum(used.cpu_ms + used.executions for _, used in sums)


async def test_what_is_kept_is_refused_before_anything_is_written_of_it(tmp_path: Path) -> None:
    path = _access_file(tmp_path, "[plans.tiny.quota]\nmaxExecutions = 1\n")
    async with open_house(access_file=path) as sandboxes:
        context = await contexts.create_context(sandboxes, ALICE, CreateContext("python"))
        program = ExecuteCode("print(1)", "python")
        answers = await asyncio.gather(*(code.start(sandboxes, ALICE, program, f"key {number}") for number in range(8)), return_exceptions=True)
        (started,) = [answer for answer in answers if isinstance(answer, str)]
        assert sum(isinstance(answer, QuotaExceeded) and answer.retry_after_s is not None for answer in answers) == 7
        with pytest.raises(QuotaExceeded, match="at most 1 executions in a day"):
            await code.execute(sandboxes, ALICE, program, key="once")
        for asked in (program, ExecuteCode("print(2)", "python"), ExecuteCode("print(2)", "python", context_id=context.id)):
            with pytest.raises(QuotaExceeded):  # and no conflict: what was refused has not used the key
                await code.start(sandboxes, ALICE, asked, key="once")
        assert [item.id for item in (await executions.list_executions(sandboxes, ALICE, 100, None, None, None)).items] == [started]
        assert {folder.name for folder in (sandboxes.settings.state_dir / "executions").iterdir()} == {started}
        unbounded = replace(ALICE, plan="unlimited")
        assert (await code.execute(sandboxes, unbounded, program, key="once")).stdout == b"1\n"


async def test_bytes_of_files_are_counted_on_every_way(tmp_path: Path) -> None:
    caller, where = Caller("alice"), {"provider": None, "sandbox_id": None}
    async with open_house() as sandboxes:
        await files.write_file(sandboxes, caller, "a", "12345")
        assert (await files.read_file(sandboxes, caller, "a", offset=2)).content.content == b"345"
        assert await _bytes(sandboxes) == (5, 3)
        async with files.open_file(sandboxes, caller, "a", **where) as reader:
            assert await reader.read(0, 100) == b"12345"
        async with files.upload_file(sandboxes, caller, "b", key=None, offset=0, size=None, **where) as upload:
            await upload.write(b"123")
            await upload.commit(lambda _tag: True)
        assert await _bytes(sandboxes) == (8, 8)
        async with aclosing(files.pack_files(sandboxes, caller, "", **where)) as packed:
            archive = b"".join([piece async for piece in packed])
        assert await _bytes(sandboxes) == (8, 8 + len(archive))

        async def again() -> AsyncIterator[bytes]:
            yield archive

        await files.unpack_files(sandboxes, caller, "c", again(), **where)
        assert await _bytes(sandboxes) == (8 + len(archive), 8 + len(archive))
        run = ExecuteCode("", "python", files=(AskedFile("d", "1234567"),), artifacts=("d",))
        await code.execute(sandboxes, caller, run)  # of a fresh sandbox nothing is stored
        assert await _bytes(sandboxes) == (8 + len(archive), 15 + len(archive))
        at_home = replace(run, sandbox_id="home")
        await code.execute(sandboxes, caller, at_home)
        await _run_to_its_end(sandboxes, caller, at_home)
        assert await _bytes(sandboxes) == (22 + len(archive), 29 + len(archive))


async def _run_to_its_end(sandboxes: Sandboxes, caller: Caller, run: ExecuteCode) -> None:
    async with aclosing(code.stream_code(sandboxes, caller, run)) as events:
        async for _ in events:
            pass


async def _bytes(sandboxes: Sandboxes) -> tuple[int, int]:
    ledger = sandboxes.usage
    assert isinstance(ledger, Ledger)
    sums = dict(await ledger.sums("alice", "2000-01-01", "3000-01-01", ("language",)))
    used = sums.pop(("files",))
    assert not any(other.bytes_stored or other.bytes_sent for other in sums.values())
    return used.bytes_stored, used.bytes_sent


async def test_what_goes_on_when_the_house_closes_is_counted(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    async with open_house(tmp_path / "state") as sandboxes:
        id_ = await code.start(sandboxes, Caller(), ExecuteCode("import time; time.sleep(20)", "python"))
        await executions.find_execution(sandboxes, Caller(), id_)
    async with open_house(tmp_path / "state") as sandboxes:
        assert await _rows(sandboxes) == {"python": 1}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("maxExecutions = -1", r"plans\.tiny\.quota\.maxExecutions must be a whole number from 0 to 1000000000000, got -1"),
        ("maxCpuSeconds = 'all'", r"plans\.tiny\.quota\.maxCpuSeconds must be .* got 'all'"),
        ("maxStorageMB = 1.5", r"plans\.tiny\.quota\.maxStorageMB must be .* got 1\.5"),
        ("period = 'week'", r"plans\.tiny\.quota\.period must be 'day' or 'month', got 'week'"),
        (
            "maxRuns = 1",
            r"plans\.tiny\.quota\.maxRuns is not known; known are period, maxExecutions, maxCpuSeconds, maxMemoryMBSeconds, maxStorageMB",
        ),
    ],
)
async def test_a_quota_that_is_not_one_is_named_at_the_start(tmp_path: Path, table: str, message: str) -> None:
    path = _access_file(tmp_path, f"[plans.tiny.quota]\n{table}\n")
    with pytest.raises(SettingsError, match=message):
        async with open_house(access_file=path):
            pytest.fail("it started")


async def test_an_access_file_that_can_be_read_only_once_is_read_whole() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"[roles.student]\ncanExecuteCode = true\n[plans.tiny.rates]\nexecute = '5/minute'\n[plans.tiny.quota]\nmaxExecutions = 0\n")
    os.close(writing)
    try:
        async with open_house(access_file=Path(f"/proc/self/fd/{reading}")) as sandboxes:
            assert sandboxes.access.roles.permissions_of("student") is not None
            with pytest.raises(QuotaExceeded, match="at most 0 executions in a day"):
                await code.execute(sandboxes, ALICE, ExecuteCode("print(1)", "python"))
    finally:
        os.close(reading)


async def test_a_journal_that_cannot_be_read_is_named_at_the_start(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "usage.journal").write_bytes, b"no journal\n")
    with pytest.raises(SettingsError, match=r"SANDQL_STATE_DIR: the usage journal .*usage.journal' cannot be read"):
        async with open_house(tmp_path):
            pytest.fail("it started")
