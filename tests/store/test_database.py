"""The database, SQLite and PostgreSQL alike: its tables come and go by migrations, and what is written together is there together."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from sandql.core.errors import BadRequest
from sandql.core.executions import ExecutionStatus, KeptExecution
from sandql.core.kept import KeptSandbox, SandboxSpec, SandboxStatus
from sandql.core.settings import SettingsError
from sandql.core.values import Limits, Outcome
from sandql.sandboxes.states import move
from sandql.store import execution_rows, key_rows, sandbox_rows
from sandql.store.database import open_database
from sandql.store.migrate import migrate
from sandql.store.tables import metadata


def a_sandbox(number: int, **changes: Any) -> KeptSandbox:
    made = KeptSandbox(
        id=f"sb_{number}",
        owner="alice",
        provider="local",
        server="here",
        ref=f"sb_{number}",
        name=None,
        status=SandboxStatus.RUNNING,
        created_at=1000.0 + number,
        worked_at=1000.0 + number,
        timeout_ms=5000,
        ended_at=None,
        spec=SandboxSpec("default", Limits(memory_bytes=1 << 40), {"NAME": "ü ☃"}),
        metadata={"kind": "even" if number % 2 == 0 else "odd"},
    )
    return replace(made, **changes)


def an_execution(number: int) -> KeptExecution:
    return KeptExecution(f"ex_{number}", "alice", "sb_1", "local", "python", "here", ExecutionStatus.RUNNING, None, 2000.0 + number, None)


async def test_the_migrations_make_the_tables_as_they_are_declared(database_url: str, tmp_path: Path) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with open_database(database_url, tmp_path) as database, database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_down_and_up_again(database_url: str, tmp_path: Path) -> None:
    def tables(connection: Connection) -> set[str]:
        return set(connection.dialect.get_table_names(connection))

    async with open_database(database_url, tmp_path) as database:
        async with database.write() as connection:
            await connection.run_sync(migrate, "base")
            assert await connection.run_sync(tables) == {"alembic_version"}
        async with database.write() as connection:
            await connection.run_sync(migrate)
            assert await connection.run_sync(tables) == {"alembic_version", *metadata.tables}


async def test_servers_that_start_together_migrate_once(database_url: str, tmp_path: Path) -> None:
    async def start() -> None:
        async with open_database(database_url, tmp_path) as database, database.read() as connection:
            assert await sandbox_rows.living(connection, "here") == []

    await asyncio.gather(*(start() for _ in range(6)))


async def test_a_newer_database_is_refused(database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url, tmp_path) as database, database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match=r"9999.*newer"):
        async with open_database(database_url, tmp_path):
            pass


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://user:s3cret@host/name", "must begin with sqlite: or postgresql:"),
        ("nonsense", "is not a database URL"),
        ("postgresql://user:s3cret@127.0.0.1:1/name", "cannot be used"),
        ("postgresql://127.0.0.1:1/name?user=user&password=s3cret", "cannot be used"),
        ("postgresql://user:s3cret@[bad/name", "cannot be used"),
        ("sqlite:////no/such/folder/a.db", "cannot be used"),
    ],
)
async def test_what_cannot_be_opened_is_said_without_the_password(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=says) as refused:
        async with open_database(url, tmp_path):
            pass
    assert "s3cret" not in str(refused.value)


async def test_rows_come_back_as_they_were(database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url, tmp_path) as database:
        async with database.write() as connection:
            assert await sandbox_rows.add(connection, a_sandbox(1, name="one"))
            await execution_rows.add(connection, an_execution(1))
        async with database.read() as connection:
            assert await sandbox_rows.find(connection, "sb_1") == a_sandbox(1, name="one")
            assert await sandbox_rows.find_named(connection, "alice", "one") == a_sandbox(1, name="one")
            assert await sandbox_rows.find_named(connection, "bob", "one") is None
            assert await execution_rows.find(connection, "alice", "ex_1") == an_execution(1)
            assert await execution_rows.find(connection, "bob", "ex_1") is None
        async with database.write() as connection:
            await execution_rows.end(connection, "ex_1", Outcome.FAILED, 3000.5)
            await execution_rows.end(connection, "ex_1", Outcome.COMPLETED, 4000.5)  # an end is told once
        async with database.read() as connection:
            found = await execution_rows.find(connection, "alice", "ex_1")
    assert found is not None
    assert (found.status, found.outcome, found.ended_at) == (ExecutionStatus.ENDED, Outcome.FAILED, 3000.5)


async def test_a_name_belongs_to_one_living_sandbox_of_an_owner(database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url, tmp_path) as database, database.write() as connection:
        assert await sandbox_rows.add(connection, a_sandbox(1, name="n"))
        assert not await sandbox_rows.add(connection, a_sandbox(2, name="n"))
        assert await sandbox_rows.add(connection, a_sandbox(3, name="n", owner="bob"))
        assert await move(connection, "sb_1", SandboxStatus.DESTROYED, 5000.0)
        assert await sandbox_rows.add(connection, a_sandbox(4, name="n"))


async def test_only_states_that_may_follow_follow(database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url, tmp_path) as database, database.write() as connection:
        await sandbox_rows.add(connection, a_sandbox(1, status=SandboxStatus.CREATING))
        assert not await move(connection, "sb_1", SandboxStatus.IDLE, 1.0)
        assert not await move(connection, "sb_1", SandboxStatus.LOST, 1.0)
        assert await move(connection, "sb_1", SandboxStatus.RUNNING, 1.0)
        assert await move(connection, "sb_1", SandboxStatus.IDLE, 1.0)
        assert await move(connection, "sb_1", SandboxStatus.RUNNING, 1.0)
        assert await move(connection, "sb_1", SandboxStatus.LOST, 7.0)
        for status in SandboxStatus:
            assert not await move(connection, "sb_1", status, 9.0), "what has ended stays so"
        found = await sandbox_rows.find(connection, "sb_1")
    assert found is not None
    assert (found.status, found.ended_at) == (SandboxStatus.LOST, 7.0)


async def test_pages_cover_everything_once_while_rows_come_and_go(database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url, tmp_path) as database:
        async with database.write() as connection:
            for number in range(25):
                await sandbox_rows.add(connection, a_sandbox(number, created_at=1000.0 + number // 3))
            await sandbox_rows.add(connection, a_sandbox(100, owner="bob"))
        seen: list[str] = []
        after = None
        for turn in range(10):
            async with database.write() as connection:
                page = await sandbox_rows.page(connection, "alice", 4, after, (), {})
                await sandbox_rows.add(connection, a_sandbox(200 + turn, created_at=9000.0 + turn))  # newer: on none of the pages to come
            seen += [item.id for item in page.items]
            after = page.end_cursor
            if not page.has_next:
                break
        assert sorted(seen) == sorted(f"sb_{number}" for number in range(25))
        async with database.read() as connection:
            odd = await sandbox_rows.page(connection, "alice", 100, None, (SandboxStatus.RUNNING,), {"kind": "odd"})
            none = await sandbox_rows.page(connection, "alice", 100, None, (SandboxStatus.LOST,), {})
            with pytest.raises(BadRequest, match="after"):
                await sandbox_rows.page(connection, "alice", 4, "no cursor", (), {})
    assert {item.metadata["kind"] for item in odd.items} == {"odd"}
    assert none.items == []


async def test_a_key_is_claimed_once(database_url: str, tmp_path: Path) -> None:
    row = key_rows.KeyRow("f", "ex_1")
    async with open_database(database_url, tmp_path) as database:

        async def claim(owner: str) -> bool:
            async with database.write() as connection:
                return await key_rows.claim(connection, owner, "k", row, 1000.0)

        assert sum(await asyncio.gather(*(claim("alice") for _ in range(20)))) == 1
        assert await claim("bob")
        async with database.write() as connection:
            assert await key_rows.find(connection, "alice", "k") == row
            await key_rows.free(connection, "alice", "k", "ex_2")  # not what it stands for
            assert await key_rows.find(connection, "alice", "k") == row
            await key_rows.free(connection, "alice", "k", "ex_1")
            assert await key_rows.find(connection, "alice", "k") is None


async def test_a_write_that_fails_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url, tmp_path) as database:

        async def fail() -> None:
            async with database.write() as connection:
                await sandbox_rows.add(connection, a_sandbox(1))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        async with database.read() as connection:
            assert await sandbox_rows.find(connection, "sb_1") is None


_COUNT = """
import asyncio, sys
from pathlib import Path
from sqlalchemy import text
from sandql.store.database import open_database
async def main():
    async with open_database(sys.argv[1], Path(sys.argv[2])) as database:
        for _ in range(50):
            async with database.write() as connection:
                value = (await connection.execute(text("SELECT worked_at FROM sandboxes WHERE id = 'sb_1'" + sys.argv[3]))).scalar_one()
                await connection.execute(text("UPDATE sandboxes SET worked_at = :value"), {"value": value + 1})
asyncio.run(main())
"""


async def test_processes_that_read_and_then_write_do_not_undo_each_other(database_url: str, tmp_path: Path) -> None:
    lock = " FOR UPDATE" if database_url.startswith("postgresql") else ""
    async with open_database(database_url, tmp_path) as database:
        async with database.write() as connection:
            await sandbox_rows.add(connection, a_sandbox(1, worked_at=0.0))
        command = [sys.executable, "-c", _COUNT, database_url, str(tmp_path), lock]
        processes = [await asyncio.create_subprocess_exec(*command) for _ in range(3)]
        assert [await process.wait() for process in processes] == [0, 0, 0]
        async with database.read() as connection:
            found = await sandbox_rows.find(connection, "sb_1")
    assert found is not None
    assert found.worked_at == 150.0
