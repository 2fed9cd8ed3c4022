"""How much of what all have together one caller, or one address, may hold at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sandql.core.errors import RateLimited

_RETRY_S: Final = 1.0


class Shares:
    """Counts what each holds of something, of which it may hold `most`; `what` says in a refusal what that is, and whose."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, holder: str) -> Generator[None]:
        """Hold one more in the block. Raises RateLimited: there are as many as may be."""
        if self._held[holder] >= self._most:
            raise RateLimited(f"at most {self._most} {self._what} at one time, and there are as many; end one first", retry_after_s=_RETRY_S)
        self._held[holder] += 1
        try:
            yield
        finally:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
