"""What a client can ask without changing anything."""

from __future__ import annotations

from typing import Annotated

import strawberry

from sandql.resolvers import catalog as catalog_resolvers
from sandql.resolvers import files as file_resolvers
from sandql.schema.arguments import FilePath, FileSandbox, ProviderName, given
from sandql.schema.catalog import Language, Provider, language, provider
from sandql.schema.context import Info
from sandql.schema.files import FileContent, FileEntry, file_content, file_entry

Recursive = Annotated[bool, strawberry.argument(description="Whether to list what is in directories below as well.")]


@strawberry.type(description="What a client can ask without changing anything.")
class Query:
    """The query root."""

    @strawberry.field(description="The names in a directory, sorted.")
    async def list_files(
        self, info: Info, path: FilePath, sandbox_id: FileSandbox = strawberry.UNSET, provider: ProviderName = strawberry.UNSET
    ) -> list[str]:
        context = info.context
        entries = await file_resolvers.list_files(context.sandboxes, context.caller, path, provider=given(provider), sandbox_id=given(sandbox_id))
        return [file_entry(entry).name for entry in entries]

    @strawberry.field(description="A file, whole; null with the error NOT_FOUND where there is none.")
    async def read_file(
        self, info: Info, path: FilePath, sandbox_id: FileSandbox = strawberry.UNSET, provider: ProviderName = strawberry.UNSET
    ) -> FileContent | None:
        context = info.context
        found = await file_resolvers.read_file(context.sandboxes, context.caller, path, provider=given(provider), sandbox_id=given(sandbox_id))
        return file_content(found)

    @strawberry.field(description="What is in a directory, sorted by path.")
    async def files(
        self,
        info: Info,
        path: FilePath,
        recursive: Recursive = False,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> list[FileEntry]:
        context = info.context
        entries = await file_resolvers.list_files(
            context.sandboxes, context.caller, path, recursive=recursive, provider=given(provider), sandbox_id=given(sandbox_id)
        )
        return [file_entry(entry) for entry in entries]

    @strawberry.field(description="The providers in use, sorted by name. Starts no sandbox.")
    def providers(self, info: Info) -> list[Provider]:
        return [provider(item) for item in catalog_resolvers.list_providers(info.context.sandboxes)]

    @strawberry.field(description="The languages that a provider runs.")
    def languages(self, info: Info, provider: ProviderName = strawberry.UNSET) -> list[Language]:
        found = catalog_resolvers.find_provider(info.context.sandboxes, given(provider))
        return [language(item, found.available) for item in found.languages]
