"""The rows of idempotency keys: what was started by which key."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.store.inserting import insert_new
from sandql.store.tables import executions, sandboxes
from sandql.store.tables import idempotency_keys as keys


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What a key was used for: the fingerprint of the operation and its arguments, and the id of what was started."""

    fingerprint: str
    target: str


async def claim(connection: AsyncConnection, owner: str, key: str, row: KeyRow, now: float) -> bool:
    """Take a key; False when it is taken."""
    values = {"owner": owner, "key": key, "fingerprint": row.fingerprint, "target": row.target, "created_at": now}
    return await insert_new(connection, keys, values)


async def find(connection: AsyncConnection, owner: str, key: str) -> KeyRow | None:
    """What a key was used for."""
    row = (await connection.execute(select(keys.c.fingerprint, keys.c.target).where(keys.c.owner == owner, keys.c.key == key))).first()
    return None if row is None else KeyRow(row.fingerprint, row.target)


async def point(connection: AsyncConnection, owner: str, key: str, target: str) -> None:
    """Let a key that is taken stand for that."""
    await connection.execute(update(keys).where(keys.c.owner == owner, keys.c.key == key).values(target=target))


async def free(connection: AsyncConnection, owner: str, key: str, target: str) -> None:
    """Let go of a key by which nothing was started in the end, here or at another server: then it stays."""
    started = exists().where(executions.c.id == target) | exists().where(sandboxes.c.id == target, sandboxes.c.ended_at.is_(None))
    await connection.execute(delete(keys).where(keys.c.owner == owner, keys.c.key == key, keys.c.target == target, ~started))


async def free_all(connection: AsyncConnection, target: str) -> None:
    """Let go of all keys by which that was to be started."""
    await connection.execute(delete(keys).where(keys.c.target == target))


async def forget(connection: AsyncConnection, before: float) -> None:
    """Remove keys that were used before that time."""
    await connection.execute(delete(keys).where(keys.c.created_at < before))
