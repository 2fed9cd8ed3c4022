"""A clock that nobody sets."""

from __future__ import annotations

import time


def ticks() -> float:
    """Seconds since some moment, those included in which the machine slept. The clock on the wall may be set, and then says nothing of how long."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
