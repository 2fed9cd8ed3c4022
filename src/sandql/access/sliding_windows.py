"""Counting over a sliding window, in memory: how often each of many keys did something in the last so many seconds.

The count is that of the current window and a share of the one before it, as much of it as the last period still covers: the sliding window
counter of the library `limits`, which counts so in Redis. Its own storage in memory looks at every key on every hit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """What a hit left: how many more are admitted now, and the seconds until there are more; one too many was not `admitted`, nor counted."""

    admitted: bool
    remaining: int
    after_s: float


def spent_of(admitted: bool, before: int, count: int, passed_s: float, amount: int, period_s: float) -> Spent:
    """What there is to say after a hit, `passed_s` seconds after the window began. One that was admitted is in `count`."""
    if admitted:
        return Spent(True, max(0, amount - int(before * (1 - passed_s / period_s)) - count), period_s - passed_s)
    if count >= amount:
        return Spent(False, 0, period_s - passed_s)  # until this window is the one before
    return Spent(False, 0, max(0.0, period_s * (1 - (amount - count) / before) - passed_s))  # until enough of it is out of sight


class _Window:
    __slots__ = ("before", "count", "since")

    def __init__(self, since: float, before: int) -> None:
        self.since = since
        self.before = before
        self.count = 0


class SlidingWindows:
    """At most `amount` hits of a key in `period_s`. Of more than `most_keys` keys, the one that was first seen is forgotten."""

    def __init__(self, amount: int, period_s: float, most_keys: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._amount = amount
        self._period_s = period_s
        self._most_keys = most_keys
        self._clock = clock
        self._windows: dict[str, _Window] = {}  # about in the order in which they began

    def __len__(self) -> int:
        return len(self._windows)

    def look(self, key: str) -> Spent:
        """Whether one more would be admitted; it is not counted."""
        now = self._clock()
        window = self._current(key, now)
        if window is None:
            return Spent(True, self._amount, self._period_s)
        passed_s = now - window.since
        return spent_of(self._admits(window, passed_s), window.before, window.count, passed_s, self._amount, self._period_s)

    def hit(self, key: str) -> Spent:
        """Count one more, unless it is one too many."""
        now = self._clock()
        window = self._current(key, now)
        if window is None:
            self._forget(now)
            window = self._windows[key] = _Window(now, 0)
        passed_s = now - window.since
        admitted = self._admits(window, passed_s)
        if admitted:
            window.count += 1
        return spent_of(admitted, window.before, window.count, passed_s, self._amount, self._period_s)

    def _admits(self, window: _Window, passed_s: float) -> bool:
        return int(window.before * (1 - passed_s / self._period_s)) + window.count < self._amount

    def _current(self, key: str, now: float) -> _Window | None:
        """The window of now, moved on to it where the one of a key has ended; None where nothing of the key counts any more."""
        window = self._windows.get(key)
        if window is None or now - window.since < self._period_s:
            return window
        del self._windows[key]
        if now - window.since >= 2 * self._period_s:
            return None
        moved = self._windows[key] = _Window(window.since + self._period_s, window.count)
        return moved

    def _forget(self, now: float) -> None:
        """Make room for a key: of what is over, more goes than comes."""
        for key in [key for key, _ in zip(self._windows, range(2), strict=False)]:
            if now - self._windows[key].since >= 2 * self._period_s or len(self._windows) >= self._most_keys:
                del self._windows[key]
