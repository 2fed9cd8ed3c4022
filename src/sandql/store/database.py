"""Opening the database, and the one way to read it and to write it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sandql.core.errors import ResourceError
from sandql.core.settings import SettingsError
from sandql.store.migrate import NewerDatabaseError, OlderDatabaseError, migrate

SQLITE_FILE: Final = "sandql.db"  # in the state folder

_WRITES: Final = "sandql_writes"
_BUSY_MS: Final = 10_000
_AGAIN_S: Final = 0.02
_RETRY_S: Final = 1.0
# Of PostgreSQL's error codes: connections, conflicts, resources, operators, disks.
_PASSING: Final = ("08", "25006", "25P03", "40", "53", "55", "57", "58")
_CONNECT_S: Final = 10.0
_STATEMENT_S: Final = 60.0
_IDLE_MS: Final = 30_000  # after which PostgreSQL ends a transaction in which nothing is asked: whoever began it may be gone without a word
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


class Database:
    """A pool of connections. Made by `open_database`, which also closes it. `failures` are the times that it could not be used."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.failures = 0
        # SQLite has one writer at a time: those of this process wait in order here, not by trying again.
        self._writing = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection for reading; what is written by it is not kept. Raises ResourceError."""
        with self._told():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in a transaction, which is committed when the block ends and undone when it raises. Raises ResourceError."""
        with self._told():
            async with self._writing, self._engine.execution_options(**{_WRITES: True}).begin() as connection:
                yield connection

    @contextmanager
    def _told(self) -> Generator[None]:
        """Say what the database cannot do now in the words of the house."""
        try:
            yield
        except (DBAPIError, NoConnectionError, OSError) as error:
            if isinstance(error, DBAPIError) and not _may_pass(error):
                raise
            self.failures += 1
            raise ResourceError(f"the database cannot be used now ({type(error).__name__}); try again later", retry_after_s=_RETRY_S) from error


@asynccontextmanager
async def open_database(url: str | None, folder: Path, *, upgrade: bool = True) -> AsyncGenerator[Database]:
    """Open the database of that URL, or the file in `folder` for None, bring its tables up to date, and close it on every way out.

    Raises:
        SettingsError: it cannot be opened, or is of a newer version; or of an older one, and is not to be upgraded.
    """
    target = _target(url, folder)
    if target.get_backend_name() == "sqlite":
        engine = create_async_engine(target, hide_parameters=True)  # an error's text must not show what a caller sent
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:  # a server that does not answer holds nobody for ever
        engine = create_async_engine(
            target, pool_pre_ping=True, hide_parameters=True, connect_args={"timeout": _CONNECT_S, "command_timeout": _STATEMENT_S}
        )
        event.listen(engine.sync_engine, "connect", _prepare_postgresql)
    try:
        try:
            if target.get_backend_name() == "sqlite" and target.database:
                # Where that fails, aiosqlite's own thread would still speak to this loop when it is closed.
                sqlite3.connect(target.database).close()
            await _bring_up_to_date(engine, upgrade=upgrade)
        except (SQLAlchemyError, sqlite3.Error, OSError, NewerDatabaseError, OlderDatabaseError) as error:
            reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
            raise SettingsError(f"SANDQL_DATABASE_URL: {_shown(target)} cannot be used: {reason}") from None
        yield Database(engine)
    finally:
        await engine.dispose()


async def _bring_up_to_date(engine: AsyncEngine, *, upgrade: bool) -> None:
    give_up_at = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            async with engine.execution_options(**{_WRITES: True}).begin() as connection:
                await connection.run_sync(partial(migrate, upgrade=upgrade))
            return
        except OperationalError as error:
            # The first change to WAL asks no busy timeout, and fails beside another server that starts on the same new file.
            if getattr(error.orig, "sqlite_errorname", "") != "SQLITE_BUSY" or time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(_AGAIN_S)


def _target(url: str | None, folder: Path) -> URL:
    if url is None:
        return URL.create("sqlite+aiosqlite", database=str(folder / SQLITE_FILE))
    try:
        given = make_url(url)
        target = given.set(drivername=_DRIVERS.get(given.drivername, given.drivername))
        if target.drivername not in _DRIVERS.values():
            raise SettingsError(f"SANDQL_DATABASE_URL: must begin with sqlite: or postgresql:, got {given.drivername!r}")
        if target.get_backend_name() == "sqlite" and target.database and not Path(target.database).parent.is_dir():
            raise SettingsError(f"SANDQL_DATABASE_URL: {_shown(target)} cannot be used: there is no such folder")
    except (ArgumentError, NoSuchModuleError):  # the message would show the password
        raise SettingsError("SANDQL_DATABASE_URL: is not a database URL; use postgresql://user:password@host/name, or leave it out") from None
    return target


def _shown(target: URL) -> str:
    """The address without its password, which may stand in the query too."""
    return target.set(query={}).render_as_string()


def _may_pass(error: DBAPIError) -> bool:
    """Whether the same may be done later, and is not wrong in itself."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated or state.startswith(_PASSING)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions by itself, and too late
    cursor = connection.cursor()
    # With WAL a commit is in the file before it returns, so it survives the end of this process; `NORMAL` may lose the last ones when power fails.
    for pragma in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(connection: Any, _record: object) -> None:
    """Have the locks of a server that is gone let go. Asked for here, since poolers refuse what they don't know when a connection is made."""
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_MS}")
    cursor.execute("SET tcp_keepalives_idle = 60")
    cursor.close()
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once where there is something to write: who reads first could find that it may not write any more."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
