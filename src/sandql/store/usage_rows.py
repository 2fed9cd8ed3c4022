"""The rows of what was used: added to, and asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.store.tables import ledger_positions, usage

GROUPS: Final = ("provider", "language", "day")
_SUMS: Final = ("executions", "cpu_ms", "memory_mb_ms", "wall_ms", "bytes_stored", "bytes_sent")


class UsageKey(NamedTuple):
    """What is counted together; `day` is a date in UTC, as 2026-01-31."""

    owner: str
    provider: str
    language: str
    day: str


@dataclass(slots=True)
class Used:
    """Sums. Memory is MiB times milliseconds."""

    executions: int = 0
    cpu_ms: int = 0
    memory_mb_ms: int = 0
    wall_ms: int = 0
    bytes_stored: int = 0
    bytes_sent: int = 0


def read_day(text: str) -> date:
    """A day as they are kept, and no other way to write it: days are compared as texts. Raises ValueError."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError
    return day


def _adding(dialect: Any) -> Any:
    added = dialect.insert(usage)
    return added.on_conflict_do_update(
        index_elements=[usage.c.owner, usage.c.provider, usage.c.language, usage.c.day],
        set_={name: usage.c[name] + added.excluded[name] for name in _SUMS},
    )


_ADD: Final = {"sqlite": _adding(sqlite), "postgresql": _adding(postgresql)}
_ADVANCE: Final = (
    update(ledger_positions)
    .where(ledger_positions.c.server == bindparam("of"), ledger_positions.c.position == bindparam("before"))
    .values(position=bindparam("after"))
)


async def add(connection: AsyncConnection, used: Mapping[UsageKey, Used]) -> None:
    """Add to what is counted already."""
    if used:  # in one order, or else two servers could wait for each other
        rows = [{**key._asdict(), **{name: getattr(used[key], name) for name in _SUMS}} for key in sorted(used)]
        await connection.execute(_ADD[connection.dialect.name], rows)


async def position(connection: AsyncConnection, server: str) -> int:
    """Up to which number a server's journal is counted; the row is made where there is none."""
    found = await connection.scalar(select(ledger_positions.c.position).where(ledger_positions.c.server == server))
    if found is None:
        await connection.execute(insert(ledger_positions).values(server=server, position=0))
    return found or 0


async def advance(connection: AsyncConnection, server: str, before: int, after: int) -> bool:
    """Say that a server's journal is counted up to `after`; False where it is not at `before` any more."""
    return (await connection.execute(_ADVANCE, {"of": server, "before": before, "after": after})).rowcount == 1


async def sums(
    connection: AsyncConnection, owner: str | None, first_day: str, last_day: str, by: Sequence[str], most: int | None = None
) -> list[tuple[tuple[str, ...], Used]]:
    """Sums by these columns, in their order, of one owner or of all, from one day to another, both of them included."""
    groups = [usage.c[name] for name in by]
    statement = select(*groups, *(func.sum(usage.c[name]) for name in _SUMS)).where(usage.c.day >= first_day, usage.c.day <= last_day)
    if owner is not None:
        statement = statement.where(usage.c.owner == owner)
    statement = statement.group_by(*groups).order_by(*groups).limit(most)
    found = (await connection.execute(statement)).all()
    return [(tuple(row[: len(groups)]), Used(*(int(value) for value in row[len(groups) :]))) for row in found]
