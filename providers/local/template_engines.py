"""An engine for each template that is in use: its zygotes have the template's packages imported. Started when first asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from sandql.core.errors import ProviderUnavailable
from sandql.providers.local.engine import Engine
from sandql.providers.local.jobs import Jobs
from sandql.providers.local.template_store import Built, TemplateStore

_IDLE_S: Final = 600.0  # without use, an engine is ended

Make = Callable[[Built], tuple[Engine, Jobs]]


@dataclass(eq=False, slots=True)
class _Entry:
    engine: Engine
    jobs: Jobs
    users: int = 0
    used_at: float = field(default_factory=time.monotonic)


class TemplateEngines:
    """The engines of templates. `make` makes one, not yet started."""

    def __init__(self, store: TemplateStore, make: Make) -> None:
        self._store = store
        self._make = make
        self._entries: dict[str, _Entry] = {}
        self._starting = asyncio.Lock()

    @asynccontextmanager
    async def using(self, name: str) -> AsyncGenerator[tuple[Engine, Jobs]]:
        """A template's engine, and who makes its jobs; it goes on for a while afterwards.

        Raises:
            BadRequest: there is no such template, or it is not built.
            ProviderUnavailable: it cannot be started.
        """
        async with self._starting:
            entry = self._entries.get(name) or await self._start(name)
            entry.users += 1
        try:
            yield entry.engine, entry.jobs
        finally:
            entry.users -= 1
            entry.used_at = time.monotonic()

    async def end_idle(self) -> None:
        """End the engines that nobody has used for some time."""
        async with self._starting:
            for name, entry in list(self._entries.items()):
                if not entry.users and time.monotonic() - entry.used_at > _IDLE_S:
                    del self._entries[name]
                    await entry.engine.aclose()

    async def aclose(self) -> None:
        """End all engines."""
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            await entry.engine.aclose()

    async def _start(self, name: str) -> _Entry:
        built = await asyncio.to_thread(self._store.find, name)
        engine, jobs = self._make(built)
        await engine.start()
        if engine.unavailable is not None:
            reason = engine.unavailable
            await engine.aclose()
            raise ProviderUnavailable(f"template: {name} cannot be started: {reason}")
        entry = self._entries[name] = _Entry(engine, jobs)
        return entry
