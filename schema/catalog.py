"""What the server offers, as a client sees it."""

from __future__ import annotations

import strawberry

from sandql.core import values
from sandql.resolvers.catalog import ProviderInfo
from sandql.schema.execution import Isolation, isolation


@strawberry.type(description="A language that a provider runs.")
class Language:
    """See `sandql.core.values.Language`."""

    name: str = strawberry.field(description="Its canonical name, as `python`.")
    aliases: list[str] = strawberry.field(description="Other names that are taken for it, as `py`.")
    version: str = strawberry.field(description="What its runtime says of itself.")
    compiled: bool = strawberry.field(description="Whether a run has a compile step.")
    available: bool = strawberry.field(description="Whether the provider can run it now.")


@strawberry.type(description="Where sandboxes come from.")
class Provider:
    """See `sandql.resolvers.catalog.ProviderInfo`."""

    name: str = strawberry.field(description="Its name, for the `provider` arguments.")
    is_default: bool = strawberry.field(description="Whether it is used when a request names none.")
    available: bool = strawberry.field(description="Whether it can run code now.")
    detail: str = strawberry.field(description="Why it cannot, and what mends it; empty or a remark when it can.")
    isolation: Isolation = strawberry.field(description="What stands between a run and the host.")
    languages: list[Language] = strawberry.field(description="What it runs.")


def language(value: values.Language, available: bool) -> Language:
    """The GraphQL form of a language."""
    return Language(name=value.name, aliases=list(value.aliases), version=value.version, compiled=value.compiled, available=available)


def provider(value: ProviderInfo) -> Provider:
    """The GraphQL form of a provider."""
    return Provider(
        name=value.name,
        is_default=value.is_default,
        available=value.available,
        detail=value.detail,
        isolation=isolation(value.isolation),
        languages=[language(item, value.available) for item in value.languages],
    )
