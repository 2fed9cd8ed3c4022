"""The rows of executions that outlive their client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import RowMapping, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.errors import Conflict
from sandql.core.executions import ExecutionStatus, KeptExecution
from sandql.core.values import Outcome
from sandql.store.inserting import insert_new
from sandql.store.paging import Page, behind, cursor_of
from sandql.store.tables import executions

_AT_ONCE: Final = 500  # parameters in one statement: a database takes only so many


async def add(connection: AsyncConnection, execution: KeptExecution) -> None:
    """Add a row. Raises Conflict: another server has started it, for whoever came to that one with the same key."""
    values = {
        "id": execution.id,
        "owner": execution.owner,
        "sandbox_id": execution.sandbox_id,
        "provider": execution.provider,
        "language": execution.language,
        "server": execution.server,
        "status": execution.status,
        "started_at": execution.started_at,
    }
    if not await insert_new(connection, executions, values):
        raise Conflict("idempotencyKey: is being used at another server of this database; try again")


async def end(connection: AsyncConnection, id_: str, outcome: Outcome, now: float) -> None:
    """Write down how an execution ended."""
    statement = update(executions).where(executions.c.id == id_, executions.c.status == ExecutionStatus.RUNNING)
    await connection.execute(statement.values(status=ExecutionStatus.ENDED, outcome=outcome, ended_at=now))


async def running_elsewhere(connection: AsyncConnection, server: str) -> Sequence[str]:
    """The ids of other servers' executions that have no end."""
    statement = select(executions.c.id).where(executions.c.server != server, executions.c.status == ExecutionStatus.RUNNING)
    return list((await connection.execute(statement)).scalars())


async def forget_elsewhere(connection: AsyncConnection, server: str, before: float) -> None:
    """Remove the rows of executions of other servers that ended before that time."""
    await connection.execute(delete(executions).where(executions.c.server != server, executions.c.ended_at < before))


async def find(connection: AsyncConnection, owner: str, id_: str) -> KeptExecution | None:
    """The owner's execution of that id."""
    row = (await connection.execute(select(executions).where(executions.c.id == id_, executions.c.owner == owner))).mappings().first()
    return None if row is None else _execution(row)


async def forget_running(connection: AsyncConnection, id_: str, owner: str) -> KeptExecution | None:
    """Remove the row of an execution that has no end; what is there then."""
    await connection.execute(delete(executions).where(executions.c.id == id_, executions.c.status == ExecutionStatus.RUNNING))
    return await find(connection, owner, id_)


async def running(connection: AsyncConnection, server: str) -> Sequence[KeptExecution]:
    """All executions of a server whose end was not written down."""
    statement = select(executions).where(executions.c.server == server, executions.c.status == ExecutionStatus.RUNNING)
    return [_execution(row) for row in (await connection.execute(statement)).mappings()]


async def page(
    connection: AsyncConnection, owner: str, first: int, after: str | None, sandbox_id: str | None, status: ExecutionStatus | None
) -> Page[KeptExecution]:
    """Some of an owner's executions, newest first. Raises BadRequest."""
    statement = select(executions).where(executions.c.owner == owner)
    if sandbox_id is not None:
        statement = statement.where(executions.c.sandbox_id == sandbox_id)
    if status is not None:
        statement = statement.where(executions.c.status == status)
    statement = behind(statement, executions.c.started_at, executions.c.id, after, first)
    found = [_execution(row) for row in (await connection.execute(statement)).mappings()]
    kept = found[:first]
    return Page(kept, [cursor_of(item.started_at, item.id) for item in kept], len(found) > first)


async def ended_before(connection: AsyncConnection, server: str, moment: float) -> Sequence[str]:
    """The ids of a server's executions that ended before that time, the oldest first."""
    statement = select(executions.c.id).where(executions.c.server == server, executions.c.ended_at < moment).order_by(executions.c.ended_at)
    return list((await connection.execute(statement)).scalars())


async def forget(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Remove rows."""
    for begin in range(0, len(ids), _AT_ONCE):
        await connection.execute(delete(executions).where(executions.c.id.in_(ids[begin : begin + _AT_ONCE])))


async def known(connection: AsyncConnection, server: str) -> set[str]:
    """The ids of all executions of a server."""
    return set((await connection.execute(select(executions.c.id).where(executions.c.server == server))).scalars())


def _execution(row: RowMapping) -> KeptExecution:
    return KeptExecution(
        id=row["id"],
        owner=row["owner"],
        sandbox_id=row["sandbox_id"],
        provider=row["provider"],
        language=row["language"],
        server=row["server"],
        status=ExecutionStatus(row["status"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
