"""What quotas count."""

from __future__ import annotations

from typing import NamedTuple


class Amounts(NamedTuple):
    """Executions, CPU time in milliseconds, and memory (MiB) times time (milliseconds)."""

    executions: int = 0
    cpu_ms: int = 0
    memory_mb_ms: int = 0

    def plus(self, other: Amounts) -> Amounts:
        """Both together."""
        return Amounts(self[0] + other[0], self[1] + other[1], self[2] + other[2])

    def minus(self, other: Amounts) -> Amounts:
        """What is left without the other; may be below nothing."""
        return Amounts(self[0] - other[0], self[1] - other[1], self[2] - other[2])

    def times(self, count: int) -> Amounts:
        """So many of it."""
        return Amounts(self[0] * count, self[1] * count, self[2] * count)

    def least(self, other: Amounts) -> Amounts:
        """Of each the smaller one."""
        return Amounts(min(self[0], other[0]), min(self[1], other[1]), min(self[2], other[2]))

    def positive(self) -> Amounts:
        """Nothing where it is below nothing."""
        return Amounts(max(self[0], 0), max(self[1], 0), max(self[2], 0))

    def fits(self, room: Amounts) -> bool:
        """Whether none of it is more than there is room for."""
        return self[0] <= room[0] and self[1] <= room[1] and self[2] <= room[2]


NOTHING = Amounts()
UNBOUNDED = 1 << 62  # more than is ever counted, and still a number for a database
