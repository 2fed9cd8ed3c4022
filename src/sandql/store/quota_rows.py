"""The rows of quotas: what is used and set aside of each, in single statements that cannot go past a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.amounts import NOTHING, Amounts
from sandql.store.inserting import insert_new
from sandql.store.tables import quota_allotments, quota_periods


class PeriodKey(NamedTuple):
    """One quota of one owner: `period` is "day" or "month", `starts_at` its first second as a Unix time."""

    owner: str
    period: str
    starts_at: int


class PeriodState(NamedTuple):
    """What is used and set aside of a quota, by all servers."""

    used: Amounts
    reserved: Amounts

    @property
    def taken(self) -> Amounts:
        """What others cannot have."""
        return self.used.plus(self.reserved)


_DAY_S: Final = 86_400
_OVER_S: Final = MappingProxyType({"day": 2 * _DAY_S, "month": 33 * _DAY_S})  # after its begin, for certain
_KEPT_S: Final = 93 * _DAY_S  # a month, and the longest that anything goes on that was begun in it

_periods, _allotments = quota_periods.c, quota_allotments.c
_COLUMNS: Final = (
    *(_periods[f"used_{name}"] for name in Amounts._fields),
    *(_periods[f"reserved_{name}"] for name in Amounts._fields),
)
_THIS: Final = (_periods.owner == bindparam("o"), _periods.period == bindparam("p"), _periods.starts_at == bindparam("s"))
_READ: Final = select(*_COLUMNS).where(*_THIS)
_RESERVE: Final = (
    update(quota_periods)
    .where(*_THIS)
    .where(
        *(
            (bindparam(f"x_{name}", type_=BigInteger) == 0)  # what is passed already binds only those who want more of it
            | (_periods[f"used_{name}"] + _periods[f"reserved_{name}"] + bindparam(f"x_{name}") <= bindparam(f"most_{name}"))
            for name in Amounts._fields
        )
    )
    .values({f"reserved_{name}": _periods[f"reserved_{name}"] + bindparam(f"x_{name}") for name in Amounts._fields})
)
_SETTLE: Final = (
    update(quota_periods)
    .where(*_THIS)
    .values(
        {f"used_{name}": _periods[f"used_{name}"] + bindparam(f"spent_{name}") for name in Amounts._fields}
        | {f"reserved_{name}": _periods[f"reserved_{name}"] - bindparam(f"x_{name}") for name in Amounts._fields}
    )
    .returning(*_COLUMNS)
)


_NOTHING_RESERVED: Final = and_(*(_periods[f"reserved_{name}"] == 0 for name in Amounts._fields))
_NOTHING_ALLOTTED: Final = and_(*(_allotments[name] == 0 for name in Amounts._fields))


def _allotting(dialect: Any) -> Any:
    added = dialect.insert(quota_allotments)
    return added.on_conflict_do_update(
        index_elements=[_allotments.server, _allotments.owner, _allotments.period, _allotments.starts_at],
        set_={name: _allotments[name] + added.excluded[name] for name in Amounts._fields},
    )


_ALLOT: Final = {"sqlite": _allotting(sqlite), "postgresql": _allotting(postgresql)}


def _this(key: PeriodKey) -> dict[str, Any]:
    return {"o": key.owner, "p": key.period, "s": key.starts_at}


def _named(prefix: str, amounts: Amounts) -> dict[str, int]:
    return {f"{prefix}_{name}": value for name, value in zip(Amounts._fields, amounts, strict=True)}


def _state(row: Sequence[int]) -> PeriodState:
    return PeriodState(Amounts(*row[:3]), Amounts(*row[3:]))


async def read(connection: AsyncConnection, key: PeriodKey) -> PeriodState:
    """What is used and set aside; nothing where there is no row."""
    row = (await connection.execute(_READ, _this(key))).first()
    return PeriodState(NOTHING, NOTHING) if row is None else _state(row)


async def ensure(connection: AsyncConnection, key: PeriodKey) -> None:
    """Make the row unless it is there."""
    await insert_new(connection, quota_periods, {**key._asdict(), **{column.name: 0 for column in _COLUMNS}})


async def reserve(connection: AsyncConnection, server: str, key: PeriodKey, amounts: Amounts, most: Amounts) -> bool:
    """Set something aside for a server; False, and nothing done, where used and set aside would be more than `most`."""
    done = await connection.execute(_RESERVE, {**_this(key), **_named("x", amounts), **_named("most", most)})
    if done.rowcount != 1:
        return False
    await _allot(connection, server, key, amounts)
    return True


async def settle(connection: AsyncConnection, server: str, key: PeriodKey, spent: Amounts, returned: Amounts) -> PeriodState:
    """Of what is set aside for a server, some was used and some is not needed; what the quota is then.

    Where more was used than was set aside, `returned` is below nothing by as much: the quota may be passed then.
    """
    gone = spent.plus(returned)
    if returned != returned.positive():
        await ensure(connection, key)  # it may be that nothing was ever set aside
    row = (await connection.execute(_SETTLE, {**_this(key), **_named("spent", spent), **_named("x", gone)})).one()
    await _allot(connection, server, key, NOTHING.minus(gone))
    return _state(row)


async def _allot(connection: AsyncConnection, server: str, key: PeriodKey, amounts: Amounts) -> None:
    await connection.execute(_ALLOT[connection.dialect.name], {"server": server, **key._asdict(), **amounts._asdict()})


async def allotment(connection: AsyncConnection, server: str, key: PeriodKey) -> Amounts:
    """What is set aside for a server."""
    statement = select(*(_allotments[name] for name in Amounts._fields)).where(
        _allotments.server == server, _allotments.owner == key.owner, _allotments.period == key.period, _allotments.starts_at == key.starts_at
    )
    row = (await connection.execute(statement)).first()
    return NOTHING if row is None else Amounts(*row)


async def return_all(connection: AsyncConnection, server: str, spent: Mapping[PeriodKey, Amounts]) -> None:
    """Give back everything that is set aside for a server, and count what was used."""
    rows = (await connection.execute(select(quota_allotments).where(_allotments.server == server, ~_NOTHING_ALLOTTED))).mappings().all()
    allotted = {PeriodKey(row["owner"], row["period"], row["starts_at"]): Amounts(*(row[name] for name in Amounts._fields)) for row in rows}
    for key in sorted({*allotted, *spent}):  # in one order, or else two servers could wait for each other
        if key in spent:
            await ensure(connection, key)
        values = {**_this(key), **_named("spent", spent.get(key, NOTHING)), **_named("x", allotted.get(key, NOTHING))}
        await connection.execute(_SETTLE, values)
    await connection.execute(delete(quota_allotments).where(_allotments.server == server))


async def forget(connection: AsyncConnection, now: float) -> None:
    """Remove the rows of periods that are long over, and those of allotments whose period is over: none of which something is set aside."""
    over = or_(*((_allotments.period == period) & (_allotments.starts_at < now - longest_s) for period, longest_s in _OVER_S.items()))
    await connection.execute(delete(quota_allotments).where(over, _NOTHING_ALLOTTED))
    await connection.execute(delete(quota_periods).where(_periods.starts_at < now - _KEPT_S, _NOTHING_RESERVED))
