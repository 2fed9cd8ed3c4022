"""Whose run begins next: a bounded queue in front of the pools, in which every owner has its turn.

Only beginning takes a turn. Most runs are over within milliseconds, and it is these that stand in each other's way; one that goes on for
longer gives its turn back and stays, so that programs which wait for something are as many as the provider has room for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from sandql.core.errors import ResourceError
from sandql.core.load import Waits
from sandql.core.tracing import span

TURN_S: Final = 0.05
_ALONE_S: Final = 30.0  # after so long without another owner, one has more turns
_PER_CORE: Final = 4


class Turn:
    """Held until it is given back, which may be done more than once, or until `TURN_S` have passed."""

    __slots__ = ("_owner", "_timer", "_turns")

    def __init__(self, turns: Turns, owner: str, timer: asyncio.TimerHandle) -> None:
        self._turns: Turns | None = turns
        self._owner = owner
        self._timer = timer

    def give_back(self) -> None:
        """Let the next begin."""
        turns, self._turns = self._turns, None
        if turns is not None:
            self._timer.cancel()
            turns.release(self._owner)


class Turns:
    """At most `_PER_CORE` runs of each core begin at one time; of an owner half as many as there are cores while others are about, if seldom.

    `max_queued` wait for their turn, half of them at most of one owner; `waits` has how long all have waited.
    """

    def __init__(self, max_queued: int, cores: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        cores = cores or len(os.sched_getaffinity(0))
        self._share = max(1, cores // 2)
        self._most = cores * _PER_CORE
        self._max_queued = max_queued
        self._clock = clock
        self._held: dict[str, int] = {}
        self._total = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # who is next stands first
        self._queued = 0
        self.waits = Waits(clock)
        self._seen: dict[str, float] = {}  # when each owner last began; the latest stands last

    @property
    def queued(self) -> int:
        """How many wait."""
        return self._queued

    async def take(self, owner: str) -> Turn:
        """Wait for a turn.

        Raises:
            ResourceError: too many wait.
        """
        self._see(owner)
        if owner in self._waiting or not self._may_begin(owner):
            await self._wait(owner)
        else:
            self.waits.none()
            self._begin(owner)
        turn = Turn(self, owner, asyncio.get_running_loop().call_later(TURN_S, lambda: turn.give_back()))
        return turn

    def release(self, owner: str) -> None:
        """A turn of an owner's is over."""
        self._total -= 1
        left = self._held[owner] - 1
        if left:
            self._held[owner] = left
        else:
            del self._held[owner]
        if self._waiting:
            self._begin_next()

    def _see(self, owner: str) -> None:
        now = self._clock()
        self._seen.pop(owner, None)
        self._seen[owner] = now
        while now - self._seen[first := next(iter(self._seen))] > _ALONE_S:
            del self._seen[first]

    def _may_begin(self, owner: str) -> bool:
        if self._total >= self._most:
            return False
        return self._held.get(owner, 0) < (self._share if len(self._seen) > 1 else self._most)

    def _begin(self, owner: str) -> None:
        self._total += 1
        self._held[owner] = self._held.get(owner, 0) + 1

    async def _wait(self, owner: str) -> None:
        line = self._waiting.get(owner, ())
        if self._queued >= self._max_queued or len(line) >= (self._max_queued + 1) // 2:
            raise ResourceError(
                f"{self._queued} runs wait for their turn, of which {len(line)} are yours; at most {self._max_queued} wait, "
                "half of them of one caller; try again later",
                retry_after_s=1.0,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        self._queued += 1
        try:
            with span("turn"), self.waits.one():
                await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had just come
                self.release(owner)
            else:
                self._leave(owner, turn)
            raise

    def _leave(self, owner: str, turn: asyncio.Future[None]) -> None:
        line = self._waiting.get(owner)
        if line is None or turn not in line:
            return  # it was passed over
        line.remove(turn)
        self._queued -= 1
        if not line:
            del self._waiting[owner]

    def _begin_next(self) -> None:
        """Let as many begin as may: one of each owner, then again."""
        while (owner := next((owner for owner in self._waiting if self._may_begin(owner)), None)) is not None:
            line = self._waiting.pop(owner)
            turn = line.popleft()
            self._queued -= 1
            if line:
                self._waiting[owner] = line
            if not turn.cancelled():
                self._see(owner)
                self._begin(owner)
                turn.set_result(None)
