"""What a lasting cell uses: the supervisor measures it outside the cell, and says it when asked and at the cell's end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from sandql.core.spent import Spent
from sandql.providers.local.outcome import End

_PATIENCE_S: Final = 5.0  # for an answer, after which what was said last is taken for it


class Spending:
    """What one lasting cell has used. `ask` asks the supervisor; without `grouped` there is no control group that counts."""

    def __init__(self, ask: Callable[[], None], *, grouped: bool) -> None:
        self._ask = ask
        self._grouped = grouped
        self._known = Spent()
        self._asking: deque[asyncio.Future[None]] = deque()
        self._over = asyncio.Event()

    def told(self, spent: Spent, *, ended: bool) -> None:
        """The supervisor has said it."""
        self._known = self._known.most(spent)
        if ended:
            self.lost()
        elif self._asking:
            _answer(self._asking.popleft())

    def lost(self) -> None:
        """The supervisor will say nothing more of it."""
        self._over.set()
        while self._asking:
            _answer(self._asking.popleft())

    async def of(self, ended: asyncio.Future[End | None]) -> Spent:
        """What the cell has used by now, or in all where its program, which says so by `ended`, has."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._answered()
                if ended.done():
                    await self._over.wait()
        except TimeoutError:
            pass
        end = ended.result() if ended.done() and not ended.cancelled() else None
        if end is not None and not self._grouped:  # it may have ended before it was ever looked at
            self._known = self._known.most(Spent(end.cpu_ms, end.peak_memory_kib))
        return self._known

    async def _answered(self) -> None:
        if self._over.is_set():
            return
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking.append(answer)
        self._ask()
        await answer


def _answer(asking: asyncio.Future[None]) -> None:
    if not asking.done():
        asking.set_result(None)
