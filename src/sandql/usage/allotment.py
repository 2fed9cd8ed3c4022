"""What of a quota is set aside for a server, and what runs have of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sandql.core.amounts import NOTHING, UNBOUNDED, Amounts
from sandql.store.quota_rows import PeriodKey, PeriodState
from sandql.usage.plans import Quota

_MOST_RUNS: Final = 1024  # that a server has set aside beyond what is asked for now
_SHARE: Final = 16  # and at most one such part of what is left


@dataclass(slots=True)
class Waiter:
    """A run that waits until something is set aside for it within a quota."""

    needs: Amounts
    quota: Quota
    granted: asyncio.Future[None]
    patience: float | None = None  # until when it waits for what another server may give back, by the loop's clock


@dataclass(slots=True)
class Allotment:
    """What an owner has of a period as this server has it; `free` of what it holds is no run's, and all of that is within the quota `within`.

    Credentials of one owner may have plans with other quotas: they share the period, and each keeps within its own. `quota` is the last one
    that there was room in.
    """

    key: PeriodKey
    quota: Quota
    within: Quota | None = None
    free: Amounts = NOTHING
    open: Amounts = NOTHING  # of runs that go on
    spent: Amounts = NOTHING  # by runs that have ended, which the database does not know yet
    owed: Amounts = NOTHING  # what was used and is not part of what is set aside, which the database does not know yet
    left: Amounts = NOTHING  # what nobody had when the database was last asked
    scarce: bool = True  # whether so little is left that nothing is set aside but what is asked for
    unit: Amounts = NOTHING  # what the last run needed
    recent: int = 0  # runs since the last turn
    waiting: deque[Waiter] = field(default_factory=deque[Waiter])
    doubtful: bool = False  # whether more may be set aside than is known here

    def take(self, needs: Amounts) -> bool:
        """Give a run what it needs, where that is free."""
        if not needs.fits(self.free):
            return False
        self.free = self.free.minus(needs)
        self.open = self.open.plus(needs)
        self.unit = needs
        self.recent += 1
        return True

    def next_waiting(self) -> list[Waiter]:
        """Those who wait under the quota of the first one."""
        self.waiting = deque(waiter for waiter in self.waiting if not waiter.granted.done())
        return [waiter for waiter in self.waiting if waiter.quota == self.waiting[0].quota]

    def put_behind(self, quota: Quota) -> None:
        """Let those who wait under other quotas come before those of this one."""
        waiting = [waiter for waiter in self.waiting if not waiter.granted.done()]
        self.waiting = deque(sorted(waiting, key=lambda waiter: waiter.quota == quota))

    def put_back(self, needs: Amounts, cost: Amounts) -> None:
        """A run is over that needed at most this, and cost that."""
        self.open = self.open.minus(needs)
        self.free = self.free.plus(needs.minus(cost))
        self.spent = self.spent.plus(cost)

    def charge(self, cost: Amounts) -> None:
        """Something was used that no run had set aside: what is free pays, and the rest is owed, whatever the quota is."""
        paid = cost.least(self.free.positive())
        self.free = self.free.minus(paid)
        self.spent = self.spent.plus(paid)
        self.owed = self.owed.plus(cost.minus(paid))

    def surplus(self) -> Amounts:
        """What is not needed soon: all that is free where nothing was asked for lately, or little is left for others."""
        kept = NOTHING if self.recent == 0 else spare(self.left.plus(self.free), self.quota.most, self.unit)
        return self.free.minus(kept).positive()

    def seen(self, state: PeriodState) -> PeriodState:
        """What is used and set aside for runs, where the database has that state of all servers."""
        return PeriodState(state.used.plus(self.spent).plus(self.owed), state.reserved.minus(self.spent).minus(self.free).positive())

    def learn(self, left: Amounts) -> None:
        """So much was left when the database was asked."""
        self.left = left
        self.scarce = spare(left.plus(self.free), self.quota.most, self.unit) == NOTHING

    @property
    def idle(self) -> bool:
        """Whether nothing of it is in use, or still to be told."""
        return not self.waiting and not self.doubtful and self.free == self.open == self.spent == self.owed == NOTHING


def spare(left: Amounts, most: Amounts, unit: Amounts) -> Amounts:
    """What a server may have set aside beyond what is asked for now: some runs, nothing where little is left."""
    count = _MOST_RUNS
    for have, bound, one in zip(left, most, unit, strict=True):
        if bound < UNBOUNDED and one > 0:
            count = min(count, have // _SHARE // one)
    return unit.times(max(count, 0))


def wanted(left: Amounts, most: Amounts, free: Amounts, needs: Sequence[Amounts]) -> tuple[list[bool | None], Amounts]:
    """Which runs can have what they need, and what more must be set aside for that; None for those that others are before.

    `left` is below nothing where more is taken than the quota of these runs has.
    """
    room, total, last = left.plus(free).positive(), NOTHING, NOTHING
    answers: list[bool | None] = []
    for one in needs:
        if not one.fits(room):
            answers.append(False)
        elif total.plus(one).fits(room):
            total, last = total.plus(one), one
            answers.append(True)
        else:
            answers.append(None)
    more = total.minus(free).positive()
    return answers, more.plus(spare(left.minus(more), most, last)) if total != NOTHING else NOTHING
