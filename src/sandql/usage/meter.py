"""What a run costs, from before it starts to after it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sandql.core.values import Caller, Limits


@dataclass(frozen=True, slots=True)
class Cost:
    """What was really used; memory is the most that was held at one time."""

    wall_ms: int
    cpu_ms: int
    memory_kib: int


class Reservation(Protocol):
    """What was set aside for a run. One of the two is called once; neither fails, waits, nor needs the run's caller to be there still."""

    def settle(self, cost: Cost) -> None:
        """The run has ended, and cost this."""
        ...

    def refund(self) -> None:
        """The run did not start."""
        ...


class Usage(Protocol):
    """Sets aside what runs may cost."""

    async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> Reservation:
        """Set aside what a run with these limits may cost at most.

        Raises:
            QuotaExceeded: the caller has not so much left.
        """
        ...

    def charge(self, caller: Caller, provider: str, language: str, cost: Cost) -> None:
        """Count what was used already, and nothing was set aside for: a quota may be passed by it. Does not fail."""
        ...

    async def check(self, caller: Caller) -> None:
        """Let a caller go on who uses CPU time and memory for which nothing is set aside.

        Raises:
            QuotaExceeded: nothing is left of it.
        """
        ...

    def count_bytes(self, caller: Caller, provider: str, *, stored: int = 0, sent: int = 0) -> None:
        """Count bytes of files that a caller wrote or read."""
        ...


class _Nothing:
    def settle(self, cost: Cost) -> None:
        """Nobody counts it."""

    def refund(self) -> None:
        """Nobody counts it."""


class Unmetered:
    """Counts nothing: for a house that keeps nothing."""

    _nothing = _Nothing()

    async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> Reservation:
        """Always grants."""
        return self._nothing

    def charge(self, caller: Caller, provider: str, language: str, cost: Cost) -> None:
        """Nobody counts it."""

    async def check(self, caller: Caller) -> None:
        """Always lets go on."""

    def count_bytes(self, caller: Caller, provider: str, *, stored: int = 0, sent: int = 0) -> None:
        """Nobody counts them."""
