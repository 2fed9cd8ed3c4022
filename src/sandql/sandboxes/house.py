"""Opening the house: its providers, and what it keeps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from sandql.access.access import Access
from sandql.access.audit import open_audit
from sandql.core.access_file import read_access_file
from sandql.core.load import HouseLoad
from sandql.core.settings import Settings
from sandql.providers.base import Provider
from sandql.providers.registry import make_provider
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.breaker import Breaker
from sandql.sandboxes.server_name import server_name

if TYPE_CHECKING:
    from sandql.core.metrics import Metrics


@asynccontextmanager
async def open_sandboxes(settings: Settings, *, keep: bool = True) -> AsyncGenerator[Sandboxes]:
    """Start the providers in use and open what is kept, unless told not to; all is closed, last first, on every way out.

    Raises:
        SettingsError: the database, the Redis, the access file, the usage journal or the audit log cannot be used, or another server has the state
            folder.
    """
    async with AsyncExitStack() as stack:
        server = stack.enter_context(server_name(settings.state_dir)) if keep else ""
        provider = make_provider(settings.default_provider, settings)
        stack.push_async_callback(provider.aclose)
        await provider.start()
        providers: dict[str, Provider] = {provider.name: provider}
        if not keep:
            yield Sandboxes(settings, providers)
            return
        # The database and the limits take half a second to import, and one run needs none.
        from sandql.access.plans import read_plans
        from sandql.access.rate_limits import RateLimits
        from sandql.access.roles import Roles
        from sandql.sandboxes.durable import open_durable
        from sandql.sandboxes.run_bounds import RunBounds
        from sandql.sandboxes.storages import Storages
        from sandql.sandboxes.turns import Turns
        from sandql.store.store import open_store
        from sandql.usage.opening import open_usage
        from sandql.usage.plans import read_quotas

        written = read_access_file(settings.access_file)
        roles, quotas = Roles(written.roles), read_quotas(written.quotas)

        shared = None
        if settings.redis_url is not None:
            from sandql.access.redis_windows import RedisWindows

            shared = RedisWindows(settings.redis_url)
            stack.push_async_callback(shared.aclose)
        rates = RateLimits(read_plans(written.rates), shared)
        turns = Turns(settings.max_concurrent_runs + settings.max_queued_runs)
        audit = open_audit(settings)
        if audit is not None:
            stack.callback(audit.close)
        database = await stack.enter_async_context(open_store(settings.database_url, settings.state_dir))
        access = Access(rates, roles=roles, audit=audit, most_streams=settings.max_streams)
        breakers = {name: Breaker(made, settings.breaker_failures, settings.breaker_pause_s) for name, made in providers.items()}
        usage = await stack.enter_async_context(open_usage(settings, database, server, quotas))  # closed when nothing runs any more

        def load() -> HouseLoad:
            states = {name: breaker.state for name, breaker in breakers.items()}
            return HouseLoad(states, turns.queued, turns.waits, usage.waits, database.failures, rates.degraded)

        metrics = _metrics(providers, load) if settings.metrics_public or settings.metrics_port is not None else None
        database.worked = None if metrics is None else metrics.worked
        durable = await stack.enter_async_context(open_durable(settings, providers, server, database, access, breakers))
        storages = Storages(usage.quota_of, providers, durable.kept.living)
        yield Sandboxes(settings, providers, durable, access, usage, RunBounds(rates, turns), metrics, breakers, storages)


def _metrics(providers: Mapping[str, Provider], house: Callable[[], HouseLoad]) -> Metrics:
    from sandql.core.metrics import Metrics  # not imported where nobody reads them

    languages = {name: [language.name for language in provider.languages()] for name, provider in providers.items()}
    return Metrics(languages, lambda: {name: provider.load() for name, provider in providers.items()}, house)
