"""What the server offers: its providers and their languages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandql.access.grants import may_use_language, may_use_provider
from sandql.core.load import BreakerState
from sandql.core.values import Caller, Isolation, Language
from sandql.providers.base import Provider
from sandql.sandboxes.borrow import Sandboxes


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """A provider as a caller sees it."""

    name: str
    is_default: bool
    available: bool
    detail: str
    isolation: Isolation
    languages: tuple[Language, ...]
    breaker: BreakerState = BreakerState.CLOSED


def _info(sandboxes: Sandboxes, provider: Provider, languages: Iterable[Language]) -> ProviderInfo:
    health = provider.health()
    default = provider.name == sandboxes.settings.default_provider
    breaker = sandboxes.breakers.get(provider.name)
    state = BreakerState.CLOSED if breaker is None else breaker.state
    available, detail = health.available, health.detail
    if breaker is not None and state is BreakerState.OPEN:  # half open it may be sent work: without any it would never be closed
        available, detail = False, f"failed {breaker.failures} times in a row, and is left alone for a while"
    return ProviderInfo(provider.name, default, available, detail, provider.isolation(), tuple(languages), state)


def _granted(caller: Caller, provider: Provider) -> Iterable[Language]:
    return (language for language in provider.languages() if may_use_language(caller, language.name))


def find_provider(sandboxes: Sandboxes, caller: Caller, name: str | None = None) -> ProviderInfo:
    """A provider, the default one for None, and those of its languages that the caller may use. Raises BadRequest, Forbidden."""
    provider = sandboxes.provider(caller, name)
    return _info(sandboxes, provider, _granted(caller, provider))


def offered_providers(sandboxes: Sandboxes, caller: Caller) -> list[ProviderInfo]:
    """The providers and languages that the caller may use, sorted by name; starts no sandbox."""
    offered = (provider for name, provider in sorted(sandboxes.providers.items()) if may_use_provider(caller, name))
    return [_info(sandboxes, provider, _granted(caller, provider)) for provider in offered]


def list_providers(sandboxes: Sandboxes) -> list[ProviderInfo]:
    """All providers in use, sorted by name, for those who look after the server; starts no sandbox."""
    return [_info(sandboxes, provider, provider.languages()) for _, provider in sorted(sandboxes.providers.items())]
