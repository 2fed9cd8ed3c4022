"""What a caller's permissions say of a provider, of a language and of a limit."""

from __future__ import annotations

from dataclasses import fields

from sandql.core.errors import Forbidden
from sandql.core.permissions import Permissions, ResourceLimits
from sandql.core.values import Caller


def may_use_provider(caller: Caller, name: str) -> bool:
    """Whether a caller's runs may be a provider's."""
    providers = caller.permissions.providers
    return providers is None or name in providers


def may_use_language(caller: Caller, name: str) -> bool:
    """Whether a caller may ask for a language, by its canonical name."""
    languages = caller.permissions.languages
    return languages is None or name in languages


def check_provider(caller: Caller, name: str) -> None:
    """Raises Forbidden where the caller may not use a provider."""
    if not may_use_provider(caller, name):
        raise Forbidden(f"provider: the role {caller.role!r} does not grant {name[:64]!r}; it grants: {_named(caller.permissions.providers)}")


def check_language(caller: Caller, name: str) -> None:
    """Raises Forbidden where the caller may not use a language."""
    if not may_use_language(caller, name):
        raise Forbidden(f"language: the role {caller.role!r} does not grant {name[:64]!r}; it grants: {_named(caller.permissions.languages)}")


def check_granted(caller: Caller, name: str, asked: float, most: float) -> None:
    """Raises Forbidden where more was asked for than the caller's role grants."""
    if asked > most:
        raise Forbidden(f"{name}: the role {caller.role!r} grants at most {most}, got {asked}")


def beyond(wanted: Permissions, own: Permissions) -> str | None:
    """What of some permissions is not within others, in words; None where all is."""
    if missing := wanted.allowed - own.allowed:
        return f"would grant {', '.join(sorted(missing))}"
    for name, names, most in (("providers", wanted.providers, own.providers), ("languages", wanted.languages, own.languages)):
        if most is not None and (names is None or not names <= most):
            return f"would grant more {name}"
    if wanted.network and not own.network:
        return "would grant a network"
    for limit in fields(ResourceLimits):
        asked, most = getattr(wanted.limits, limit.name), getattr(own.limits, limit.name)
        if most is not None and (asked is None or asked > most):
            return f"would grant more {limit.name}"
    return None


def _named(names: frozenset[str] | None) -> str:
    return ", ".join(sorted(names or ())) or "none"
