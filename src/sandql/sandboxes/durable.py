"""What outlives a request: kept sandboxes, executions, terminals, contexts, and the keys by which they were started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sandql.access.access import Access
from sandql.access.api_keys import ApiKeys
from sandql.core.limits import widest_limits
from sandql.core.settings import Settings
from sandql.providers.base import Provider
from sandql.sandboxes.breaker import Breaker
from sandql.sandboxes.contexts import Contexts
from sandql.sandboxes.execution_upkeep import ExecutionUpkeep
from sandql.sandboxes.executions import Executions
from sandql.sandboxes.idempotency import Keys
from sandql.sandboxes.kept import KeptSandboxes
from sandql.sandboxes.reaper import Reaper
from sandql.sandboxes.settle import settle
from sandql.sandboxes.terminals import Terminals
from sandql.store.store import Store


@dataclass(frozen=True, slots=True)
class Durable:
    """The parts of the house that keep something."""

    kept: KeptSandboxes
    executions: Executions
    terminals: Terminals
    contexts: Contexts
    keys: Keys
    api_keys: ApiKeys
    store: Store


@asynccontextmanager
async def open_durable(
    settings: Settings, providers: Mapping[str, Provider], server: str, database: Store, access: Access, breakers: Mapping[str, Breaker] | None = None
) -> AsyncGenerator[Durable]:
    """Bring the database and what there really is together, and look after both; closed on every way out, nothing running."""
    logs = settings.state_dir / "executions"
    async with AsyncExitStack() as stack:
        kept = KeptSandboxes(database, server, providers, settings.max_sandboxes, breakers or {})
        upkeep = ExecutionUpkeep(database, server, logs, settings)
        await settle(kept, database, server, providers, widest_limits(settings))
        await upkeep.settle(providers)
        reaper = Reaper(kept, database, settings)
        stack.push_async_callback(kept.aclose)
        stack.push_async_callback(reaper.write_work)
        for work in (reaper.run(), upkeep.run()):
            stack.push_async_callback(_end, asyncio.create_task(work))
        executions = Executions(database, server, logs, settings, upkeep.note)
        stack.push_async_callback(executions.aclose)
        terminals = Terminals(settings)
        stack.push_async_callback(terminals.aclose)
        contexts = Contexts(settings)
        stack.push_async_callback(contexts.aclose)
        api_keys = ApiKeys(database, access.roles, access.plans)
        stack.push_async_callback(api_keys.flush)
        stack.push_async_callback(_end, asyncio.create_task(api_keys.note_uses()))
        stack.callback(database.hurry)
        yield Durable(kept, executions, terminals, contexts, Keys(database), api_keys, database)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
