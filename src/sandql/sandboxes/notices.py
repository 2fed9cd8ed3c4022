"""Telling those who watch a sandbox what becomes of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sandql.core.kept import KeptSandbox

_MOST_WAITING: Final = 64  # for a slow reader; the oldest go first


class NoticeKind(StrEnum):
    """What became of a sandbox."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"
    EXTENDED = "EXTENDED"
    EXPIRING = "EXPIRING"
    DESTROYED = "DESTROYED"
    LOST = "LOST"


_LAST: Final = frozenset({NoticeKind.DESTROYED, NoticeKind.LOST})


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that became of a sandbox, at a Unix time in seconds, and the sandbox as it is then."""

    kind: NoticeKind
    at: float
    sandbox: KeptSandbox


class Notices:
    """Who watches which sandbox, in this process."""

    def __init__(self) -> None:
        self._watching: defaultdict[str, set[_Watcher]] = defaultdict(set)

    def tell(self, notice: Notice) -> None:
        """Tell all who watch the sandbox."""
        for watcher in self._watching.get(notice.sandbox.id, ()):
            watcher.waiting.append(notice)
            watcher.news.set()

    async def watch(self, id_: str, lives: Callable[[], Awaitable[bool]], before: Callable[[], Notice | None]) -> AsyncGenerator[Notice]:
        """Yield what `before` says was told before and holds still, then what becomes of a sandbox from now on, up to its end.

        `lives` is asked first, so that no end is missed, and its errors are raised.
        """
        watcher = _Watcher()
        self._watching[id_].add(watcher)
        try:
            if not await lives():
                return
            if not watcher.waiting and (told := before()) is not None:
                yield told
            while True:
                await watcher.news.wait()
                watcher.news.clear()
                while watcher.waiting:
                    notice = watcher.waiting.popleft()
                    yield notice
                    if notice.kind in _LAST:
                        return
        finally:
            self._watching[id_].discard(watcher)
            if not self._watching[id_]:
                del self._watching[id_]


class _Watcher:
    def __init__(self) -> None:
        self.waiting: deque[Notice] = deque(maxlen=_MOST_WAITING)
        self.news = asyncio.Event()
