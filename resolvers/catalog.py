"""What the server offers: its providers and their languages."""

from __future__ import annotations

from dataclasses import dataclass

from sandql.core.values import Isolation, Language
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


def _info(sandboxes: Sandboxes, provider: Provider) -> ProviderInfo:
    health = provider.health()
    default = provider.name == sandboxes.settings.default_provider
    return ProviderInfo(provider.name, default, health.available, health.detail, provider.isolation(), tuple(provider.languages()))


def find_provider(sandboxes: Sandboxes, name: str | None = None) -> ProviderInfo:
    """A provider and its languages, the default one for None; starts no sandbox. Raises BadRequest."""
    return _info(sandboxes, sandboxes.provider(name))


def list_languages(sandboxes: Sandboxes, provider: str | None = None) -> tuple[Language, ...]:
    """The languages of a provider, the default one for None. Raises BadRequest."""
    return tuple(sandboxes.provider(provider).languages())


def list_providers(sandboxes: Sandboxes) -> list[ProviderInfo]:
    """The providers in use, sorted by name; starts no sandbox."""
    return [_info(sandboxes, provider) for _, provider in sorted(sandboxes.providers.items())]
