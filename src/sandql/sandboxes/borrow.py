"""The one way to a sandbox: `async with sandboxes.borrow(...) as lease:`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from sandql.access.access import Access
from sandql.access.grants import check_provider, may_use_provider
from sandql.core.errors import BadRequest, NotFound
from sandql.core.kept import DEFAULT_TEMPLATE, KeptSandbox
from sandql.core.settings import Settings
from sandql.core.tracing import span, tracing
from sandql.core.values import HOME, Caller, RunRequest
from sandql.providers.base import Provider, Sandbox
from sandql.sandboxes.account import Account
from sandql.sandboxes.breaker import Attempt, Breaker, Entering
from sandql.sandboxes.lease import Lease
from sandql.sandboxes.metered import MeteredSandbox
from sandql.usage.meter import Unmetered, Usage

if TYPE_CHECKING:
    from sandql.access.api_keys import ApiKeys
    from sandql.core.metrics import Metrics
    from sandql.sandboxes.durable import Durable
    from sandql.sandboxes.run_bounds import RunBounds
    from sandql.sandboxes.storages import Storages
    from sandql.store.store import Store
    from sandql.usage.storage import Share, Storage


class Sandboxes:
    """The providers in use, and the sandboxes that callers have of them.

    Made by `sandql.sandboxes.house.open_sandboxes`, which also closes it. `durable` is what outlives a request; a house that is opened
    for one run has none. `access` admits operations, `usage` counts what runs, and `bounds` say how much may at one time; `metrics` are for those
    who watch the server, if any do; `breakers` leave a provider alone that fails. `storages` know what callers keep whose plans bound it.
    """

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider],
        durable: Durable | None = None,
        access: Access | None = None,
        usage: Usage | None = None,
        bounds: RunBounds | None = None,
        metrics: Metrics | None = None,
        breakers: Mapping[str, Breaker] | None = None,
        storages: Storages | None = None,
    ) -> None:
        self.settings = settings
        self.providers = providers
        self.access = access or Access()
        self.usage = usage or Unmetered()
        self._meter = self.usage if bounds is None else bounds.over(self.usage)
        self.metrics = metrics
        self.breakers = breakers or {}
        self._durable = durable
        self._storages = storages

    @property
    def durable(self) -> Durable:
        """What outlives a request. Raises BadRequest where the house keeps nothing."""
        if self._durable is None:
            raise BadRequest("sandboxId: nothing is kept here")
        return self._durable

    def sandbox_of_context(self, caller: Caller, context_id: str) -> str | None:
        """Where a context of the caller's runs; None where there is none."""
        if self._durable is None:
            return None
        try:
            return self._durable.contexts.find(caller, context_id).sandbox_id
        except NotFound:
            return None

    def account(self, caller: Caller, provider: str) -> Account:
        """Who pays for what a caller runs at a provider: an administrator itself for what it does as another."""
        payer = caller if caller.acting is None else replace(caller, subject=caller.acting, acting=None)
        return Account(self._meter, payer, provider, self.metrics)

    @property
    def api_keys(self) -> ApiKeys | None:
        """The API keys that the database knows; None where the house keeps nothing."""
        return None if self._durable is None else self._durable.api_keys

    @property
    def store(self) -> Store | None:
        """The database, where the house keeps something."""
        return None if self._durable is None else self._durable.store

    def provider(self, caller: Caller, name: str | None) -> Provider:
        """The provider of that name, or the default one for None.

        Raises:
            BadRequest: there is no provider of that name in use.
            Forbidden: the caller may not use it.
        """
        wanted = self.settings.default_provider if name is None else name
        found = self.providers.get(wanted)
        if found is None:
            known = ", ".join(sorted(known for known in self.providers if may_use_provider(caller, known)))
            raise BadRequest(f"provider: {wanted[:64]!r} is not in use here; use one of: {known}")
        check_provider(caller, wanted)
        return found

    async def find_kept(self, caller: Caller, sandbox_id: str | None) -> KeptSandbox | None:
        """The row of a sandbox of the caller's; None for a fresh one and for the home. Raises NotFound."""
        if sandbox_id is None or sandbox_id == HOME:
            return None
        return await self.durable.kept.find(caller, sandbox_id)

    async def check_left(self, caller: Caller, provider: Provider, request: RunRequest) -> None:
        """Refuse a run that could not begin now; nothing is set aside for it.

        Raises:
            QuotaExceeded: the caller has not so much left.
            RateLimited: as many of the caller's run as its plan has.
            ResourceError: too many runs wait for their turn, or the database cannot be asked.
        """
        (await self.account(caller, provider.name).reserve(request.language, request.limits)).refund()

    def borrow(
        self,
        caller: Caller,
        sandbox_id: str | None,
        provider: str | None = None,
        *,
        working: bool = True,
        template: str | None = None,
        running: str | None = None,
    ) -> AbstractAsyncContextManager[Lease]:
        """Lend a sandbox: a fresh one for None, the caller's home for "home", else the caller's own of that id; given back on every way out.

        While it is lent for work it does not expire; without `working` it does, unless its lease is touched. `running` is the language of the run
        that it is for, by any of its names: where its provider lends none, that counts as a run that did not start.

        Raises:
            BadRequest: there is no such provider, or the sandbox is of another one.
            Forbidden: the caller may not use that provider.
            NotFound: no sandbox of the caller has that id.
            ProviderUnavailable: the provider has none to give.
            ResourceError: there is no capacity left.
        """
        if sandbox_id is None:
            source = self.provider(caller, provider)
            if template is not None and template != DEFAULT_TEMPLATE:
                return self._metered(caller, _Leasing(source, source.fresh(template)), source, running, guarded=False)
            breaker = self.breakers.get(source.name)
            fresh = source.fresh() if breaker is None else Entering(breaker.preparing, source.fresh())
            return self._metered(caller, _Leasing(source, fresh), source, running)
        if template is not None:
            raise BadRequest("template: a kept sandbox has one already; leave it out, or leave sandboxId out for a fresh sandbox")
        if sandbox_id == HOME:
            source = self.provider(caller, provider)
            share = None if self._storages is None else self._storages.share(caller, source.name, source.home_ref(caller.subject))
            return self._metered(caller, _Leasing(source, source.home(caller.subject, share), share), source, running)
        if self._durable is None:
            raise NotFound(f'sandboxId: no sandbox of yours has this id; leave it out for a fresh one, or use "{HOME}"')
        if provider is not None:
            self.provider(caller, provider)
        if self._storages is None:
            return self._metered(caller, self._durable.kept.lend(caller, sandbox_id, provider, working=working))
        share = partial(self._storages.share, caller)
        return self._metered(caller, self._durable.kept.lend(caller, sandbox_id, provider, working=working, share=share))

    def storage_of(self, caller: Caller) -> Storage | None:
        """What a caller keeps in its sandboxes, None where its plan does not bound that. Raises Forbidden: nobody knows the plan."""
        return None if self._storages is None else self._storages.of(caller)

    def _metered(
        self,
        caller: Caller,
        leasing: AbstractAsyncContextManager[Lease],
        source: Provider | None = None,
        running: str | None = None,
        *,
        guarded: bool = True,
    ) -> AbstractAsyncContextManager[Lease]:
        if self.metrics is None and not self.breakers and isinstance(self._meter, Unmetered) and tracing.get() is None:
            return leasing
        return _Metering(leasing, partial(self.account, caller), self.breakers if guarded else {}, source, running)


class _Leasing:
    """A lease of a sandbox that has no row."""

    __slots__ = ("_provider", "_sandbox", "_share")

    def __init__(self, provider: Provider, sandbox: AbstractAsyncContextManager[Sandbox], share: Share | None = None) -> None:
        self._provider = provider
        self._sandbox = sandbox
        self._share = share

    async def __aenter__(self) -> Lease:
        return Lease(await self._sandbox.__aenter__(), self._provider, share=self._share)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await self._sandbox.__aexit__(kind, error, trace)


class _Metering:
    """A lease of a sandbox of which everything that runs is counted. `source` lends it, where that is known beforehand, for a run in `running`."""

    __slots__ = ("_account_at", "_breakers", "_leasing", "_running", "_source")

    def __init__(
        self,
        leasing: AbstractAsyncContextManager[Lease],
        account_at: Callable[[str], Account],
        breakers: Mapping[str, Breaker],
        source: Provider | None,
        running: str | None,
    ) -> None:
        self._leasing = leasing
        self._account_at = account_at
        self._breakers = breakers
        self._source = source
        self._running = running

    async def __aenter__(self) -> Lease:
        try:
            with span("borrow"):
                lease = await self._leasing.__aenter__()
        except BaseException as error:
            if self._source is not None and self._running is not None:
                self._account_at(self._source.name).refused(_language(self._source, self._running), error)
            raise
        metered = MeteredSandbox(lease.sandbox, self._account_at(lease.provider.name), self._attempt(lease), lease.share)
        return replace(lease, sandbox=metered)

    def _attempt(self, lease: Lease) -> Attempt:
        """What watches runs of it: nothing does those of a template, whose trouble is its own."""
        breaker = self._breakers.get(lease.provider.name)
        templated = lease.kept is not None and lease.kept.spec.template != DEFAULT_TEMPLATE
        return nullcontext if breaker is None or templated else breaker.attempt

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await self._leasing.__aexit__(kind, error, trace)


def _language(provider: Provider, name: str) -> str:
    """A language's own name, by any of its names."""
    wanted = name.strip().lower()
    return next((language.name for language in provider.languages() if wanted in language.aliases), wanted)
