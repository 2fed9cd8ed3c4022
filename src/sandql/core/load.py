"""How busy the house and its providers are, as those who watch the server read it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

WAIT_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Waits:
    """How long runs have waited for something. `counts` has a number for each bound of `WAIT_S`, up to which they waited, and one for more."""

    __slots__ = ("_clock", "counts", "total_s")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.counts = [0] * (len(WAIT_S) + 1)
        self.total_s = 0.0

    def none(self) -> None:
        """One did not wait."""
        self.counts[0] += 1

    @contextmanager
    def one(self) -> Generator[None]:
        """One waits for as long as the context is open, whether or not what it waits for comes."""
        began = self._clock()
        try:
            yield
        finally:
            waited_s = self._clock() - began
            self.counts[bisect_left(WAIT_S, waited_s)] += 1
            self.total_s += waited_s


class BreakerState(StrEnum):
    """Whether a provider is asked for sandboxes; OPEN: not now, since it failed again and again; HALF_OPEN: one attempt decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """One kind of sandbox: `size` are to be kept ready, `ready` are; `hits` runs found one, and `cold_starts` had to wait until it was made."""

    size: int
    ready: int
    hits: int
    cold_starts: int


@dataclass(frozen=True, slots=True)
class Load:
    """Of a provider: what runs, what waits for a place, and how long all have waited for theirs since the start."""

    running: int = 0
    queued: int = 0
    waits: Waits = field(default_factory=Waits)
    pools: Mapping[str, PoolLoad] = field(default_factory=dict[str, PoolLoad])


@dataclass(frozen=True, slots=True)
class HouseLoad:
    """Of the house. `queued` runs wait for their turn, `turns` has how long all have, and `reservations` until what they may cost was set aside.

    The database could not be used `database_failures` times; it `counts_alone` where Redis, in which servers share rates, does not answer.
    """

    breakers: Mapping[str, BreakerState] = field(default_factory=dict[str, BreakerState])
    queued: int = 0
    turns: Waits = field(default_factory=Waits)
    reservations: Waits = field(default_factory=Waits)
    database_failures: int = 0
    counts_alone: bool = False
