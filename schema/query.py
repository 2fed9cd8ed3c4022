"""What a client can ask without changing anything."""

from __future__ import annotations

import strawberry

from sandql.resolvers import catalog as catalog_resolvers
from sandql.schema.api_key_fields import ApiKeyQuery
from sandql.schema.arguments import ProviderName, given
from sandql.schema.catalog import Language, Provider, language, provider
from sandql.schema.context import Info
from sandql.schema.context_fields import ContextQuery
from sandql.schema.execution_fields import ExecutionQuery
from sandql.schema.file_fields import FileQuery
from sandql.schema.sandbox_fields import SandboxQuery
from sandql.schema.terminal_fields import TerminalQuery
from sandql.schema.viewer import ViewerQuery


@strawberry.type(description="What a client can ask without changing anything.")
class Query(FileQuery, SandboxQuery, ExecutionQuery, TerminalQuery, ContextQuery, ViewerQuery, ApiKeyQuery):
    """The query root."""

    @strawberry.field(description="The providers that the caller may use, sorted by name. Starts no sandbox.")
    def providers(self, info: Info) -> list[Provider]:
        return [provider(item) for item in catalog_resolvers.offered_providers(info.context.sandboxes, info.context.caller)]

    @strawberry.field(description="The languages of a provider that the caller may use.")
    def languages(self, info: Info, provider: ProviderName = strawberry.UNSET) -> list[Language]:
        found = catalog_resolvers.find_provider(info.context.sandboxes, info.context.caller, given(provider))
        return [language(item, found.available) for item in found.languages]
