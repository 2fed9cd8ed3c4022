"""What something that stays open has used so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """What a context or terminal has used since it was opened, with all that it started: processor time, and the most memory at one time."""

    cpu_ms: int = 0
    peak_memory_kib: int = 0

    def most(self, other: Spent) -> Spent:
        """Of each the larger one."""
        return Spent(max(self.cpu_ms, other.cpu_ms), max(self.peak_memory_kib, other.peak_memory_kib))
