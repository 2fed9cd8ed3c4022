"""What is done to the database in one transaction of a ledger. It runs in the store's thread, and touches nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.amounts import NOTHING, Amounts
from sandql.store import quota_rows, usage_rows
from sandql.store.quota_rows import PeriodKey, PeriodState
from sandql.store.usage_rows import UsageKey, Used
from sandql.usage.allotment import wanted


@dataclass(frozen=True, slots=True)
class Batch:
    """What was settled since the last one. The same batch is offered until it is known to be in the database, and is taken once."""

    before: int
    after: int
    used: Mapping[UsageKey, Used]
    settled: Mapping[PeriodKey, tuple[Amounts, Amounts]]  # what was used, and what is given back; see `quota_rows.settle`


@dataclass(frozen=True, slots=True)
class Ask:
    """Runs that wait under one quota, and what is free already; `doubtful` asks what is set aside for the server as well."""

    key: PeriodKey
    most: Amounts
    free: Amounts
    needs: Sequence[Amounts]
    doubtful: bool


@dataclass(slots=True)
class Answer:
    """What was set aside, and for which of the runs; None for those that must wait for their turn."""

    state: PeriodState
    more: Amounts = NOTHING
    granted: Sequence[bool | None] = ()
    allotted: Amounts | None = None


@dataclass(slots=True)
class Told:
    """What a transaction found."""

    states: dict[PeriodKey, PeriodState] = field(default_factory=dict[PeriodKey, PeriodState])
    answers: dict[PeriodKey, Answer] = field(default_factory=dict[PeriodKey, Answer])


async def work(connection: AsyncConnection, server: str, batch: Batch | None, asks: Sequence[Ask]) -> Told:
    """Tell the database what was settled, and set aside what is asked for."""
    told = Told()
    settled: Mapping[PeriodKey, tuple[Amounts, Amounts]] = {}
    if batch is not None:
        if await usage_rows.advance(connection, server, batch.before, batch.after):
            await usage_rows.add(connection, batch.used)
            settled = batch.settled
        elif (found := await usage_rows.position(connection, server)) != batch.after:
            raise RuntimeError(f"the database is at position {found} of this server's usage, which is neither {batch.before} nor {batch.after}")
    asked = {ask.key: ask for ask in asks}
    for key in sorted({*settled, *asked}):  # in one order, or else two servers could wait for each other
        if key in settled:
            told.states[key] = await quota_rows.settle(connection, server, key, *settled[key])
        if key in asked:
            told.answers[key] = await _answer(connection, server, asked[key])
    return told


async def _answer(connection: AsyncConnection, server: str, ask: Ask) -> Answer:
    allotted = await quota_rows.allotment(connection, server, ask.key) if ask.doubtful else None
    state = await quota_rows.read(connection, ask.key)
    if ask.doubtful:  # first it must be known what is free
        return Answer(state, granted=[None] * len(ask.needs), allotted=allotted)
    if state == PeriodState(NOTHING, NOTHING):
        await quota_rows.ensure(connection, ask.key)
    granted, more = wanted(ask.most.minus(state.taken), ask.most, ask.free, ask.needs)
    if more != NOTHING and not await quota_rows.reserve(connection, server, ask.key, more, ask.most):
        return Answer(state, granted=[None] * len(ask.needs))  # another server was quicker
    return Answer(state, more, granted)


async def recover(connection: AsyncConnection, server: str, entries: Sequence[tuple[int, UsageKey, Used, PeriodKey | None, Amounts]]) -> int:
    """Count what a journal has beyond its position, give back all that is set aside for the server, and return the new position."""
    position = await usage_rows.position(connection, server)
    used: dict[UsageKey, Used] = {}
    spent: dict[PeriodKey, Amounts] = {}
    last = position
    for number, key, one, period, charge in entries:
        if number <= position:
            continue
        last = max(last, number)
        add(used, key, one)
        if period is not None:
            spent[period] = spent.get(period, NOTHING).plus(charge)
    await usage_rows.add(connection, used)
    await quota_rows.return_all(connection, server, spent)
    await usage_rows.advance(connection, server, position, last)
    return last


def add(sums: dict[UsageKey, Used], key: UsageKey, one: Used) -> None:
    """Add to the sums of a key."""
    total = sums.get(key)
    if total is None:
        sums[key] = Used(one.executions, one.cpu_ms, one.memory_mb_ms, one.wall_ms, one.bytes_stored, one.bytes_sent)
        return
    total.executions += one.executions
    total.cpu_ms += one.cpu_ms
    total.memory_mb_ms += one.memory_mb_ms
    total.wall_ms += one.wall_ms
    total.bytes_stored += one.bytes_stored
    total.bytes_sent += one.bytes_sent
