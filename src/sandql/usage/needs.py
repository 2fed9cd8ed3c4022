"""What is set aside for a run."""

from __future__ import annotations

from typing import Final

from sandql.core.amounts import Amounts
from sandql.core.values import Limits

_MB: Final = 20  # bits


def needs_of(limits: Limits) -> Amounts:
    """What a run with these limits may cost at most."""
    return Amounts(1, limits.cpu_ms, limits.memory_bytes * limits.wall_ms >> _MB)
