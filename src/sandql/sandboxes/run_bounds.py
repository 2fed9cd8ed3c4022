"""How much a caller may run at one time, and when it is its turn: asked before anything is set aside for a run."""

from __future__ import annotations

from sandql.access.rate_limits import RateLimits
from sandql.access.rate_note import RATE_NOTE
from sandql.core.errors import RateLimited
from sandql.core.values import Caller, Limits
from sandql.sandboxes.turns import Turn, Turns
from sandql.usage.meter import Cost, Reservation, Usage

_RETRY_S = 1.0  # when a run of the caller's ends is not known


class RunBounds:
    """Counts what runs of each caller, on this server only."""

    def __init__(self, rates: RateLimits, turns: Turns) -> None:
        self._rates = rates
        self._turns = turns
        self._running: dict[str, int] = {}

    async def begin(self, caller: Caller) -> RunPlace:
        """A place for one run, which is to be left on every way out.

        Raises:
            RateLimited: as many of the caller's run as its plan has.
            ResourceError: too many runs wait for their turn.
            Forbidden: there is no such plan here.
        """
        plan = self._rates.plan(caller)
        owner = caller.acting or caller.subject
        running = self._running.get(owner, 0)
        if plan.concurrency is not None and running >= plan.concurrency:
            note = RATE_NOTE.get()
            if note is not None:
                note.refuse(_RETRY_S)
            raise RateLimited(
                f"the plan {plan.name!r} has {plan.concurrency} runs at one time, terminals included, and as many of yours run; wait for one to end",
                retry_after_s=_RETRY_S,
            )
        self._running[owner] = running + 1
        try:
            return RunPlace(self, owner, await self._turns.take(owner))
        except BaseException:
            self.end(owner)
            raise

    def over(self, usage: Usage) -> Usage:
        """What sets aside as `usage` does, and takes a place first."""
        return _BoundedUsage(usage, self)

    def end(self, owner: str) -> None:
        """A run of an owner's is over."""
        left = self._running[owner] - 1
        if left:
            self._running[owner] = left
        else:
            del self._running[owner]


class RunPlace:
    """Held while something runs; left once."""

    __slots__ = ("_bounds", "_owner", "_turn")

    def __init__(self, bounds: RunBounds, owner: str, turn: Turn) -> None:
        self._bounds = bounds
        self._owner = owner
        self._turn = turn

    def leave(self) -> None:
        """The run is over, or did not begin."""
        self._turn.give_back()
        self._bounds.end(self._owner)


class _BoundedUsage:
    """What is set aside holds a place too, which is left when it is settled or refunded."""

    def __init__(self, usage: Usage, bounds: RunBounds) -> None:
        self._usage = usage
        self._bounds = bounds

    async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> Reservation:
        place = await self._bounds.begin(caller)
        try:
            return _Placed(await self._usage.reserve(caller, provider, language, limits), place)
        except BaseException:
            place.leave()
            raise

    def charge(self, caller: Caller, provider: str, language: str, cost: Cost) -> None:
        self._usage.charge(caller, provider, language, cost)

    async def check(self, caller: Caller) -> None:
        await self._usage.check(caller)

    def count_bytes(self, caller: Caller, provider: str, *, stored: int = 0, sent: int = 0) -> None:
        self._usage.count_bytes(caller, provider, stored=stored, sent=sent)


class _Placed:
    __slots__ = ("_place", "_reservation")

    def __init__(self, reservation: Reservation, place: RunPlace) -> None:
        self._reservation = reservation
        self._place = place

    def settle(self, cost: Cost) -> None:
        self._place.leave()
        self._reservation.settle(cost)

    def refund(self) -> None:
        self._place.leave()
        self._reservation.refund()
