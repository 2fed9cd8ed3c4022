"""The rows of kept sandboxes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import RowMapping, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.kept import KeptSandbox, SandboxSpec, SandboxStatus
from sandql.core.values import Limits
from sandql.store.inserting import insert_new
from sandql.store.paging import Page, behind, cursor_of
from sandql.store.tables import sandboxes

_EXPIRES_AT: Final = sandboxes.c.worked_at + sandboxes.c.timeout_ms / 1000.0


async def add(connection: AsyncConnection, sandbox: KeptSandbox) -> bool:
    """Add a row; False when its owner has another living sandbox of its name."""
    spec = sandbox.spec
    values = {
        "id": sandbox.id,
        "owner": sandbox.owner,
        "provider": sandbox.provider,
        "server": sandbox.server,
        "ref": sandbox.ref,
        "template": spec.template,
        "name": sandbox.name,
        "status": sandbox.status,
        "created_at": sandbox.created_at,
        "worked_at": sandbox.worked_at,
        "timeout_ms": sandbox.timeout_ms,
        "limits": asdict(spec.limits),
        "metadata": dict(sandbox.metadata),
        "env": dict(spec.env),
        "asked": sandbox.asked,
    }
    return await insert_new(connection, sandboxes, values)


async def find(connection: AsyncConnection, id_: str) -> KeptSandbox | None:
    """The sandbox of that id, of whatever owner."""
    row = (await connection.execute(select(sandboxes).where(sandboxes.c.id == id_))).mappings().first()
    return None if row is None else _sandbox(row)


async def find_named(connection: AsyncConnection, owner: str, name: str) -> KeptSandbox | None:
    """The owner's living sandbox of that name."""
    statement = select(sandboxes).where(sandboxes.c.owner == owner, sandboxes.c.name == name, sandboxes.c.ended_at.is_(None))
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else _sandbox(row)


async def living(connection: AsyncConnection, server: str) -> Sequence[KeptSandbox]:
    """All sandboxes of a server that have not ended."""
    statement = select(sandboxes).where(sandboxes.c.server == server, sandboxes.c.ended_at.is_(None))
    return [_sandbox(row) for row in (await connection.execute(statement)).mappings()]


async def living_refs(connection: AsyncConnection, provider: str) -> Collection[str]:
    """What a provider calls the sandboxes of all servers that have not ended."""
    statement = select(sandboxes.c.ref).where(sandboxes.c.provider == provider, sandboxes.c.ended_at.is_(None))
    return set((await connection.execute(statement)).scalars())


async def wait_for_turn(connection: AsyncConnection, owner: str) -> None:
    """Have an owner's rows to oneself up to the end of the transaction, so that what was counted stays so. In SQLite a writer has them all."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(owner, 0))))


async def count_living(connection: AsyncConnection, owner: str, server: str, now: float) -> int:
    """How many sandboxes of an owner have not ended; where the time of one is over that another server keeps, that server may be gone."""
    statement = select(func.count()).select_from(sandboxes).where(sandboxes.c.owner == owner, sandboxes.c.ended_at.is_(None))
    return (await connection.execute(statement.where((sandboxes.c.server == server) | (now <= _EXPIRES_AT)))).scalar_one()


async def living_elsewhere(connection: AsyncConnection, server: str) -> Sequence[tuple[str, float, int]]:
    """Of other servers' sandboxes that have not ended: the id, when it last had work, and how many milliseconds it lives without."""
    statement = select(sandboxes.c.id, sandboxes.c.worked_at, sandboxes.c.timeout_ms).where(
        sandboxes.c.server != server, sandboxes.c.ended_at.is_(None)
    )
    return [(row.id, row.worked_at, row.timeout_ms) for row in await connection.execute(statement)]


async def page(
    connection: AsyncConnection, owner: str, first: int, after: str | None, statuses: Collection[SandboxStatus], metadata: Mapping[str, str]
) -> Page[KeptSandbox]:
    """Some of an owner's sandboxes, newest first: those of these statuses (of any for none) that have all of this metadata. Raises BadRequest."""
    statement = select(sandboxes).where(sandboxes.c.owner == owner)
    if statuses:
        statement = statement.where(sandboxes.c.status.in_(statuses))
    for name, value in metadata.items():
        statement = statement.where(sandboxes.c.metadata[name].as_string() == value)
    statement = behind(statement, sandboxes.c.created_at, sandboxes.c.id, after, first)
    found = [_sandbox(row) for row in (await connection.execute(statement)).mappings()]
    kept = found[:first]
    return Page(kept, [cursor_of(item.created_at, item.id) for item in kept], len(found) > first)


async def change(connection: AsyncConnection, id_: str, of: Collection[SandboxStatus], **values: Any) -> bool:
    """Change the row of that id, if it has one of these statuses; whether it had."""
    done = await connection.execute(update(sandboxes).where(sandboxes.c.id == id_, sandboxes.c.status.in_(of)).values(**values))
    return done.rowcount == 1


async def note_work(connection: AsyncConnection, worked_at: Mapping[str, float]) -> None:
    """Write down when living sandboxes last had work."""
    statement = update(sandboxes).where(sandboxes.c.id == bindparam("which"), sandboxes.c.ended_at.is_(None)).values(worked_at=bindparam("moment"))
    await connection.execute(statement, [{"which": id_, "moment": moment} for id_, moment in worked_at.items()])


async def forget_ended(connection: AsyncConnection, before: float) -> None:
    """Remove the rows of sandboxes that ended before that time."""
    await connection.execute(delete(sandboxes).where(sandboxes.c.ended_at < before))


def _sandbox(row: RowMapping) -> KeptSandbox:
    return KeptSandbox(
        id=row["id"],
        owner=row["owner"],
        provider=row["provider"],
        server=row["server"],
        ref=row["ref"],
        name=row["name"],
        status=SandboxStatus(row["status"]),
        created_at=row["created_at"],
        worked_at=row["worked_at"],
        timeout_ms=row["timeout_ms"],
        ended_at=row["ended_at"],
        spec=SandboxSpec(row["template"], Limits(**row["limits"]), row["env"]),
        metadata=row["metadata"],
        asked=row["asked"],
    )
