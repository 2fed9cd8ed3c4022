"""Those who watch what is used: of each owner it is looked up once for each piece of news, however many watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from sandql.store import usage_rows
from sandql.store.store import Store
from sandql.store.usage_rows import Used

_WATCH_S: Final = 1.0


class _Watched:
    """An owner, while somebody watches."""

    __slots__ = ("known", "looking", "news", "today", "watchers")

    def __init__(self) -> None:
        self.watchers: set[asyncio.Event] = set()
        self.looking = asyncio.Lock()
        self.news = 0
        self.known = -1  # how much news there was when `today` was looked up
        self.today: tuple[str, Used] = ("", Used())


class Watching:
    """`tell` has the database know what an owner used until now."""

    def __init__(self, store: Store, tell: Callable[[str], Awaitable[None]]) -> None:
        self._store = store
        self._tell = tell
        self._watched: dict[str, _Watched] = {}

    def news(self, owners: Iterable[str]) -> None:
        """What these owners used is counted anew."""
        for owner in owners:
            if (watched := self._watched.get(owner)) is not None:
                watched.news += 1
                for woken in watched.watchers:
                    woken.set()

    async def watch(self, owner: str) -> AsyncGenerator[tuple[str, Used]]:
        """Yield today's date and what an owner has used today, now and when it is counted anew, at most once a second. Raises ResourceError."""
        watched = self._watched.setdefault(owner, _Watched())
        woken = asyncio.Event()
        watched.watchers.add(woken)
        try:
            await self._tell(owner)
            watched.news += 1  # what other servers counted is no news here: who begins to watch is told what there is now
            while True:
                woken.clear()
                yield await self._today(owner, watched)
                await asyncio.sleep(_WATCH_S)
                await woken.wait()
        finally:
            watched.watchers.discard(woken)
            if not watched.watchers:
                del self._watched[owner]

    async def _today(self, owner: str, watched: _Watched) -> tuple[str, Used]:
        async with watched.looking:
            if watched.known != watched.news:
                news = watched.news  # what comes while it is looked up may not be in it
                day = datetime.now(UTC).date().isoformat()
                sums = await self._store.read(lambda connection: usage_rows.sums(connection, owner, day, day, ("day",)))
                watched.today = day, sums[0][1] if sums else Used()
                watched.known = news
            return watched.today
