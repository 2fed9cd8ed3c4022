"""The rows of API keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.api_keys import ApiKey
from sandql.core.permissions import Permission
from sandql.store.paging import Page, behind, cursor_of
from sandql.store.tables import api_keys as keys


def _key(row: Any) -> ApiKey:
    fields: dict[str, Any] = dict(row._mapping)
    if fields["scopes"] is not None:  # one that this version does not know grants nothing
        fields["scopes"] = frozenset(Permission(scope) for scope in fields["scopes"] if scope in Permission.__members__)
    return ApiKey(**fields)


async def add(connection: AsyncConnection, key: ApiKey) -> None:
    """Keep a new key."""
    await connection.execute(insert(keys).values(**{**asdict(key), "scopes": None if key.scopes is None else sorted(key.scopes)}))


async def find(connection: AsyncConnection, id_: str) -> ApiKey | None:
    """The key of that id."""
    row = (await connection.execute(select(keys).where(keys.c.id == id_))).first()
    return None if row is None else _key(row)


async def page(connection: AsyncConnection, tenant: str | None, first: int, after: str | None) -> Page[ApiKey]:
    """Keys, newest first; those of a tenant only, all for None. Raises BadRequest."""
    chosen = select(keys) if tenant is None else select(keys).where(keys.c.tenant == tenant)
    rows = (await connection.execute(behind(chosen, keys.c.created_at, keys.c.id, after, first))).all()
    items = [_key(row) for row in rows[:first]]
    return Page(items, [cursor_of(item.created_at, item.id) for item in items], len(rows) > first)


async def has_any(connection: AsyncConnection) -> bool:
    """Whether a key was made that is not revoked."""
    return (await connection.execute(select(keys.c.id).where(keys.c.revoked_at.is_(None)).limit(1))).first() is not None


async def revoke(connection: AsyncConnection, id_: str, now: float) -> None:
    """Let a key prove nothing from now on."""
    await connection.execute(update(keys).where(keys.c.id == id_, keys.c.revoked_at.is_(None)).values(revoked_at=now))


async def end_at(connection: AsyncConnection, id_: str, moment: float) -> None:
    """Let a key be valid no longer than to that time."""
    sooner = or_(keys.c.expires_at.is_(None), keys.c.expires_at > moment)
    await connection.execute(update(keys).where(keys.c.id == id_, sooner).values(expires_at=moment))


async def note_use(connection: AsyncConnection, used: Mapping[str, float]) -> None:
    """Note when keys were last used, unless another server knows better."""
    for id_, moment in used.items():
        older = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < moment)
        await connection.execute(update(keys).where(keys.c.id == id_, older).values(last_used_at=moment))
