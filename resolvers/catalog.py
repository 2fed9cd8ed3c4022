"""What the server offers: its providers and their languages."""

from __future__ import annotations

from dataclasses import dataclass

from sandql.core.values import Isolation, Language
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


def list_languages(sandboxes: Sandboxes, provider: str | None = None) -> tuple[Language, ...]:
    """The languages of a provider, the default one for None. Raises BadRequest."""
    return tuple(sandboxes.provider(provider).languages())


def list_providers(sandboxes: Sandboxes) -> list[ProviderInfo]:
    """The providers in use, sorted by name; starts no sandbox."""
    infos: list[ProviderInfo] = []
    for name, provider in sorted(sandboxes.providers.items()):
        health = provider.health()
        default = name == sandboxes.settings.default_provider
        infos.append(ProviderInfo(name, default, health.available, health.detail, provider.isolation(), tuple(provider.languages())))
    return infos
