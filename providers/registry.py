"""Which providers there are, by name. A provider's module is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from sandql.core.errors import BadRequest
from sandql.core.settings import Settings
from sandql.providers.base import Provider

_PROVIDERS: Final = {"local": "sandql.providers.local.provider:LocalProvider"}


def provider_names() -> tuple[str, ...]:
    """The names that `make_provider` takes, sorted."""
    return tuple(sorted(_PROVIDERS))


def make_provider(name: str, settings: Settings) -> Provider:
    """Make the provider of that name, not yet started.

    Raises:
        BadRequest: there is no provider of that name.
    """
    target = _PROVIDERS.get(name)
    if target is None:
        raise BadRequest(f"provider: {name[:64]!r} is not known here; use one of: {', '.join(provider_names())}")
    module, attribute = target.split(":")
    factory = cast("Callable[[Settings], Provider]", getattr(import_module(module), attribute))
    return factory(settings)
