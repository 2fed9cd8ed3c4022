"""The one way to a sandbox: `async with sandboxes.borrow(...) as sandbox:`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from sandql.core.errors import BadRequest, NotFound
from sandql.core.settings import Settings
from sandql.core.values import HOME, Caller
from sandql.providers.base import Provider, Sandbox
from sandql.providers.registry import make_provider


class Sandboxes:
    """The providers in use, and the sandboxes that callers have of them.

    Made by `open_sandboxes`, which also closes it.
    """

    def __init__(self, settings: Settings, providers: Mapping[str, Provider]) -> None:
        self.settings = settings
        self.providers = providers

    def provider(self, name: str | None) -> Provider:
        """The provider of that name, or the default one for None.

        Raises:
            BadRequest: there is no provider of that name in use.
        """
        wanted = self.settings.default_provider if name is None else name
        found = self.providers.get(wanted)
        if found is None:
            known = ", ".join(sorted(self.providers))
            raise BadRequest(f"provider: {wanted[:64]!r} is not in use here; use one of: {known}")
        return found

    def borrow(self, caller: Caller, provider: Provider, sandbox_id: str | None) -> AbstractAsyncContextManager[Sandbox]:
        """Lend a sandbox: a fresh one for None, the caller's home for "home"; it is given back on every way out.

        Raises:
            NotFound: no sandbox of the caller has that id.
            ProviderUnavailable: the provider has none to give.
            ResourceError: there is no capacity left.
        """
        if sandbox_id is None:
            return provider.fresh()
        if sandbox_id == HOME:
            return provider.home(caller.subject)
        raise NotFound(f'sandboxId: no sandbox of yours has this id; leave it out for a fresh one, or use "{HOME}"')


@asynccontextmanager
async def open_sandboxes(settings: Settings) -> AsyncGenerator[Sandboxes]:
    """Start the providers in use and close them, last first, on every way out."""
    async with AsyncExitStack() as stack:
        provider = make_provider(settings.default_provider, settings)
        stack.push_async_callback(provider.aclose)
        await provider.start()
        yield Sandboxes(settings, {provider.name: provider})
