"""A database that cannot be used now is said to be so, and used again when it can."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.errors import BadRequest, ResourceError
from sandql.core.settings import SettingsError
from sandql.store import database as store_database
from sandql.store import sandbox_rows
from sandql.store import store as module
from sandql.store.database import Database, open_database
from sandql.store.paging import cursor_of
from sandql.store.store import open_store
from tests.support.engine import until
from tests.support.postgres import running_postgres


async def ask(database: Database) -> int:
    async with database.read() as connection:
        return (await connection.execute(text("SELECT 1"))).scalar_one()


async def test_a_server_that_went_away(tmp_path: Path) -> None:
    with running_postgres() as url:
        opened = open_database(url, tmp_path)
        database = await opened.__aenter__()
        assert await ask(database) == 1
    try:
        for _ in range(3):
            with pytest.raises(ResourceError, match="database"):
                await ask(database)
    finally:
        await opened.__aexit__(None, None, None)


async def test_connections_that_were_cut(postgres: str, tmp_path: Path) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'sandql'"
    async with open_database(postgres, tmp_path) as database, open_database(postgres, tmp_path) as other:

        async def be_cut() -> None:
            async with database.write() as connection:
                await connection.execute(text("SELECT 1"))
                async with other.read() as killer:
                    await killer.execute(text(cut))
                await connection.execute(text("SELECT 1"))

        with pytest.raises(ResourceError, match="database"):
            await be_cut()
        assert await ask(database) == 1


async def test_a_server_that_says_no_more_in_a_transaction_keeps_no_lock(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_database, "_IDLE_MS", 500)
    lock = text("SELECT pg_advisory_xact_lock(4711)")

    async def ask_again_after_somebody_else() -> None:
        async with open_database(postgres, tmp_path) as silent, open_database(postgres, tmp_path) as other, silent.write() as connection:
            await connection.execute(lock)
            async with asyncio.timeout(20), other.write() as next_one:
                await next_one.execute(lock)
            await connection.execute(lock)

    with pytest.raises(ResourceError, match="database"):
        await ask_again_after_somebody_else()


@pytest.mark.parametrize("state", ["53100", "53300", "40001", "40P01", "57P03", "58030", "25006"])
async def test_what_a_server_cannot_do_now(state: str, postgres: str, tmp_path: Path) -> None:
    async with open_database(postgres, tmp_path) as database:
        with pytest.raises(ResourceError, match="database"):
            async with database.write() as connection:
                await connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))
        assert await ask(database) == 1


async def test_one_that_lets_nobody_in_any_more(database_url: str, postgres: str, tmp_path: Path) -> None:
    if not database_url.startswith("postgresql"):
        return  # a file lets everybody in
    name = database_url.rpartition("/")[2]
    async with open_database(database_url, tmp_path) as database, open_database(postgres, tmp_path) as other:
        async with other.write() as killer:
            await killer.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        async with other.write() as killer:
            await killer.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        with pytest.raises(ResourceError, match="database"):
            await ask(database)


async def test_more_at_one_time_than_there_are_connections(postgres: str, tmp_path: Path) -> None:
    async with open_database(postgres, tmp_path) as database:
        assert await asyncio.gather(*(ask(database) for _ in range(200))) == [1] * 200


@pytest.mark.parametrize("name", ["no_such_database", "postgres?user=nobody_known"])
async def test_a_server_that_refuses(name: str, postgres: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"SANDQL_DATABASE_URL.*cannot be used"):
        async with open_database(postgres.rpartition("/")[0] + "/" + name, tmp_path):
            pass


async def test_a_disk_that_is_full(tmp_path: Path) -> None:
    async with open_database(None, tmp_path) as database:

        async def fill() -> None:
            async with database.write() as connection:
                pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
                await connection.execute(text(f"PRAGMA max_page_count={pages}"))
                await connection.execute(text("CREATE TABLE more AS SELECT hex(randomblob(1000000)) AS more"))

        with pytest.raises(ResourceError, match="database"):
            await fill()
        assert await ask(database) == 1


@pytest.mark.parametrize("after", [cursor_of(1.0, "sb_\0"), cursor_of(float("nan"), "sb_1"), cursor_of(1.0, "ü"), "\ud800", "é", "", "a" * 100_000])
async def test_what_is_no_cursor_is_refused(after: str, database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url, tmp_path) as database, database.read() as connection:
        with pytest.raises(BadRequest, match="after"):
            await sandbox_rows.page(connection, "alice", 10, after, (), {})


async def test_errors_that_nobody_waits_for_any_more(tmp_path: Path) -> None:
    """Whoever asked is gone, and the store's end waits: neither makes the loop complain of an error that nobody took."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    begun, go = threading.Event(), threading.Event()

    async def fail(_connection: AsyncConnection) -> None:
        begun.set()
        await asyncio.to_thread(go.wait)
        raise ResourceError("no")

    async with open_store(None, tmp_path) as store:
        asking = asyncio.create_task(store.read(fail))
        await asyncio.to_thread(begun.wait)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        settling = asyncio.create_task(store.settled())
        await asyncio.sleep(0)
        go.set()
        await settling
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_a_database_that_never_answers_does_not_keep_a_server_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_PATIENCE_S", "_SETTLE_S"):
        monkeypatch.setattr(module, name, 0.2)

    async def hang(_: AsyncConnection) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with open_store(None, tmp_path) as store:
            begun_before = asyncio.ensure_future(store.read(hang))
            assert await until(lambda: store._waits)  # pyright: ignore[reportPrivateUsage]  # that it waits shows nowhere else
            store.hurry()
            for waiting in (begun_before, store.read(hang)):
                with pytest.raises(ResourceError, match="does not answer"):
                    await waiting
