"""What a client can ask of files, and do with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, TypedDict

import strawberry

from sandql.core.values import Caller
from sandql.resolvers import files as resolvers
from sandql.resolvers.acting import acting_for
from sandql.sandboxes.borrow import Sandboxes
from sandql.schema.arguments import FilePath, FileSandbox, Owner, ProviderName, given
from sandql.schema.context import Info
from sandql.schema.enums import Encoding
from sandql.schema.files import FileChanges, FileContent, FileEntry, file_changes, file_entry, file_part
from sandql.schema.requirements import needs
from sandql.schema.scalars import ByteCount, Upload

Recursive = Annotated[bool, strawberry.argument(description="Whether to list what is in directories below as well.")]
Glob = Annotated[
    str | None,
    strawberry.argument(description="Only what matches this, relative to `path`: `*` and `?` within a name, `**` for any directories."),
]
FirstFiles = Annotated[int | None, strawberry.argument(description="How many at most, up to 10,000; all when left out.")]
AfterPath = Annotated[str | None, strawberry.argument(description="The last path of the page before; from the first on when left out.")]
AskedEncoding = Annotated[
    Encoding | None, strawberry.argument(description="How to write the bytes; when left out, UTF8 where they are UTF-8, else BASE64.")
]
Offset = Annotated[ByteCount, strawberry.argument(description="Where in the file to begin, in bytes.")]
Length = Annotated[int | None, strawberry.argument(description="How many bytes at most; all when left out.")]
Content = Annotated[str, strawberry.argument(description="The bytes, written as `encoding` says.")]
ContentEncoding = Annotated[Encoding, strawberry.argument(description="How `content` is to be read.")]
Append = Annotated[bool, strawberry.argument(description="Whether to write behind what the file holds.")]
Mode = Annotated[
    int | None,
    strawberry.argument(description="Permission bits, as a number: 420 is what chmod calls 644. When left out, those of the file before, or 420."),
]
UploadedFile = Annotated[Upload, strawberry.argument(description="The file, as a part of a multipart request.")]
Source = Annotated[str, strawberry.argument(name="from", description="The path that there is.")]
Target = Annotated[str, strawberry.argument(description="The path to be; its directories are made.")]
Overwrite = Annotated[bool, strawberry.argument(description="Whether it may take the place of what is there; else that is a CONFLICT.")]
Whole = Annotated[bool, strawberry.argument(description="Whether a directory is meant with all that is in it.")]
Below = Annotated[bool, strawberry.argument(description="Whether to watch directories below as well.")]


_BEGIN = ByteCount(0)


@strawberry.type
class FileQuery:
    """Fields of the query root that read files."""

    @strawberry.field(description="The names in a directory, sorted.", metadata=needs(resolvers.list_files))
    async def list_files(
        self,
        info: Info,
        path: FilePath,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        owner: Owner = strawberry.UNSET,
    ) -> list[str]:
        found = await resolvers.list_files(*await _acting(info, owner), path, **_where(sandbox_id, provider))
        return [file_entry(entry).name for entry in found]

    @strawberry.field(description="A file, or some of it; null with the error NOT_FOUND where there is none.", metadata=needs(resolvers.read_file))
    async def read_file(
        self,
        info: Info,
        path: FilePath,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        encoding: AskedEncoding = strawberry.UNSET,
        offset: Offset = _BEGIN,
        length: Length = strawberry.UNSET,
        owner: Owner = strawberry.UNSET,
    ) -> FileContent | None:
        found = await resolvers.read_file(*await _acting(info, owner), path, offset=offset, length=given(length), **_where(sandbox_id, provider))
        return file_part(found, given(encoding))

    @strawberry.field(description="What is in a directory, sorted by path.", metadata=needs(resolvers.list_files))
    async def files(
        self,
        info: Info,
        path: FilePath = "",
        recursive: Recursive = False,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        glob: Glob = strawberry.UNSET,
        first: FirstFiles = strawberry.UNSET,
        after: AfterPath = strawberry.UNSET,
        owner: Owner = strawberry.UNSET,
    ) -> list[FileEntry]:
        asker = await _acting(info, owner)
        found = await resolvers.list_files(
            *asker, path, recursive=recursive, glob=given(glob), first=given(first), after=given(after), **_where(sandbox_id, provider)
        )
        return [file_entry(entry) for entry in found]

    @strawberry.field(
        description="What a path names; null with the error NOT_FOUND where there is nothing. A symbolic link is not followed.",
        metadata=needs(resolvers.find_file),
    )
    async def file(
        self,
        info: Info,
        path: FilePath,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        owner: Owner = strawberry.UNSET,
    ) -> FileEntry | None:
        return file_entry(await resolvers.find_file(*await _acting(info, owner), path, **_where(sandbox_id, provider)))


@strawberry.type
class FileMutation:
    """Fields of the mutation root that change files."""

    @strawberry.mutation(
        description="Write a file whole, or behind what it holds, making its directories. True, or an error.", metadata=needs(resolvers.write_file)
    )
    async def write_file(
        self,
        info: Info,
        path: FilePath,
        content: Content,
        encoding: ContentEncoding = Encoding.UTF8,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        append: Append = False,
        mode: Mode = strawberry.UNSET,
    ) -> bool:
        where = _where(sandbox_id, provider)
        await resolvers.write_file(*_asker(info), path, content, encoding=encoding, append=append, mode=given(mode), **where)
        return True

    @strawberry.mutation(
        description="Write a file from a part of a multipart request, making its directories. True, or an error.",
        metadata=needs(resolvers.write_file),
    )
    async def upload_file(
        self,
        info: Info,
        path: FilePath,
        file: UploadedFile,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> bool:
        await resolvers.write_file(*_asker(info), path, file, **_where(sandbox_id, provider))
        return True

    @strawberry.mutation(
        description="Make a directory and those above it. True, also when it is there, or an error.", metadata=needs(resolvers.make_directory)
    )
    async def make_directory(
        self, info: Info, path: FilePath, sandbox_id: FileSandbox = strawberry.UNSET, provider: ProviderName = strawberry.UNSET
    ) -> bool:
        await resolvers.make_directory(*_asker(info), path, **_where(sandbox_id, provider))
        return True

    @strawberry.mutation(description="Give a file, a directory or a link another path. True, or an error.", metadata=needs(resolvers.move_file))
    async def move_file(
        self,
        info: Info,
        source: Source,
        to: Target,
        overwrite: Overwrite = False,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> bool:
        await resolvers.move_file(*_asker(info), source, to, overwrite=overwrite, **_where(sandbox_id, provider))
        return True

    @strawberry.mutation(description="Copy a file, a link, or with `recursive` a directory. True, or an error.", metadata=needs(resolvers.copy_file))
    async def copy_file(
        self,
        info: Info,
        source: Source,
        to: Target,
        overwrite: Overwrite = False,
        recursive: Whole = False,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> bool:
        where = _where(sandbox_id, provider)
        await resolvers.copy_file(*_asker(info), source, to, overwrite=overwrite, recursive=recursive, **where)
        return True

    @strawberry.mutation(
        description="Remove a file, a link, an empty directory, or with `recursive` any directory. True, or an error.",
        metadata=needs(resolvers.remove_file),
    )
    async def remove_file(
        self,
        info: Info,
        path: FilePath,
        recursive: Whole = False,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> bool:
        await resolvers.remove_file(*_asker(info), path, recursive=recursive, **_where(sandbox_id, provider))
        return True


@strawberry.type
class FileSubscription:
    """Fields of the subscription root that are about files."""

    @strawberry.subscription(
        description="What becomes of a directory from now on. Watching alone keeps no sandbox alive.", metadata=needs(resolvers.watch_files)
    )
    async def file_changes(
        self,
        info: Info,
        path: FilePath = "",
        recursive: Below = False,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> AsyncGenerator[FileChanges]:
        async with aclosing(resolvers.watch_files(*_asker(info), path, recursive=recursive, **_where(sandbox_id, provider))) as changes:
            async for change in changes:
                yield file_changes(change)


class _Where(TypedDict):
    sandbox_id: str | None
    provider: str | None


def _asker(info: Info) -> tuple[Sandboxes, Caller]:
    return info.context.sandboxes, info.context.caller


async def _acting(info: Info, owner: strawberry.ID | None) -> tuple[Sandboxes, Caller]:
    sandboxes = info.context.sandboxes
    return sandboxes, await acting_for(sandboxes, info.context.caller, given(owner))


def _where(sandbox_id: strawberry.ID | None, provider: str | None) -> _Where:
    return {"sandbox_id": given(sandbox_id), "provider": given(provider)}
