"""How much of what all callers have together one of them may hold at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sandql.core.errors import RateLimited
from sandql.core.values import Caller

_RETRY_S: Final = 1.0


class Shares:
    """Counts what each caller holds of something, of which it may hold `most`; `what` names that in a refusal."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, caller: Caller) -> Generator[None]:
        """Hold one more in the block. Raises RateLimited: the caller holds as many as it may."""
        owner = caller.subject
        if self._held[owner] >= self._most:
            text = f"at most {self._most} {self._what} of a caller at one time, and you have as many; end one first"
            raise RateLimited(text, retry_after_s=_RETRY_S)
        self._held[owner] += 1
        try:
            yield
        finally:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]
