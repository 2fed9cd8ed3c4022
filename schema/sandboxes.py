"""Kept sandboxes, and what becomes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import strawberry

from sandql.core import kept, values
from sandql.core.values import Caller
from sandql.resolvers import executions as execution_resolvers
from sandql.resolvers import files as file_resolvers
from sandql.sandboxes.notices import Notice
from sandql.schema.arguments import FilePath
from sandql.schema.context import Info
from sandql.schema.enums import NoticeKind, SandboxStatus
from sandql.schema.execution import Isolation, isolation
from sandql.schema.files import FileEntry, file_entry
from sandql.schema.kept_executions import ExecutionConnection, execution_connection
from sandql.schema.pages import After, First, PageInfo
from sandql.schema.requirements import needs
from sandql.schema.scalars import ByteCount
from sandql.store.paging import Page

Recursive = Annotated[bool, strawberry.argument(description="Whether to list what is in directories below as well.")]


@strawberry.type(description="A name and a value that a caller gave to a sandbox.")
class Metadata:
    """One of a sandbox's `metadata`."""

    name: str = strawberry.field(description="Its name.")
    value: str = strawberry.field(description="Its value.")


@strawberry.type(description="What the runs of a sandbox may use.")
class Limits:
    """See `sandql.core.values.Limits`."""

    memory: ByteCount = strawberry.field(description="Memory of a run, in bytes.")
    processes: int = strawberry.field(description="Processes and threads of a run at one time.")
    open_files: int = strawberry.field(description="Open files of each process.")
    workspace_bytes: ByteCount = strawberry.field(description="Bytes in the workspace.")
    workspace_inodes: int = strawberry.field(description="Files and directories in the workspace.")
    output_bytes: int = strawberry.field(description="Bytes kept of each of `output` and `stderr` of a run.")


@strawberry.type(description="A file system and a place to run that lasts until it has had no work for its time.")
class Sandbox:
    """See `sandql.core.kept.KeptSandbox`."""

    id: strawberry.ID = strawberry.field(description="Its id, which nobody guesses.")
    provider: str = strawberry.field(description="The provider that made it.")
    template: str = strawberry.field(description="What it began with.")
    name: str | None = strawberry.field(description="The name that its owner gave it.")
    status: SandboxStatus = strawberry.field(description="Where it is in its life.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime = strawberry.field(description="When it ends if it gets no work until then; while a program runs in it, that moves on.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it lives.")
    timeout: int = strawberry.field(description="How long it lives without work, in milliseconds.")
    metadata: list[Metadata] = strawberry.field(description="What its owner noted, sorted by name.")
    limits: Limits = strawberry.field(description="What its runs may use.")
    asker: strawberry.Private[Caller]  # who looks at it: its owner, or who acts as that

    @strawberry.field(description="What stands between its runs and the host; null when its provider is not in use.")
    def isolation(self, info: Info) -> Isolation | None:
        found = info.context.sandboxes.providers.get(self.provider)
        return None if found is None else isolation(found.isolation())

    @strawberry.field(
        description="What is in a directory of it, sorted by path; at most 1,000 entries. Null with an error where it has ended.",
        metadata=needs(file_resolvers.list_files),
    )
    async def files(self, info: Info, path: FilePath = "", recursive: Recursive = False) -> list[FileEntry] | None:
        context = info.context
        entries = await file_resolvers.list_files(context.sandboxes, self.asker, path, recursive=recursive, first=1000, sandbox_id=self.id)
        return [file_entry(entry) for entry in entries]

    @strawberry.field(
        description="A file or a directory of it; null with the error NOT_FOUND where there is none.", metadata=needs(file_resolvers.find_file)
    )
    async def file(self, info: Info, path: FilePath) -> FileEntry | None:
        context = info.context
        return file_entry(await file_resolvers.find_file(context.sandboxes, self.asker, path, sandbox_id=self.id))

    @strawberry.field(
        description="Its executions that were started to outlive their client, newest first.", metadata=needs(execution_resolvers.list_executions)
    )
    async def executions(self, info: Info, first: First = 20, after: After = None) -> ExecutionConnection:
        context = info.context
        page = await execution_resolvers.list_executions(context.sandboxes, self.asker, first, after, self.id, None)
        return execution_connection(page, self.asker)


@strawberry.type(description="A sandbox of a page.")
class SandboxEdge:
    """An item with its cursor."""

    cursor: str = strawberry.field(description="What to give as `after` for the page behind this one.")
    node: Sandbox = strawberry.field(description="The sandbox.")


@strawberry.type(description="A page of sandboxes, newest first.")
class SandboxConnection:
    """See `sandql.store.paging.Page`."""

    edges: list[SandboxEdge] = strawberry.field(description="The sandboxes with their cursors.")
    nodes: list[Sandbox] = strawberry.field(description="The sandboxes.")
    page_info: PageInfo = strawberry.field(description="Whether there are more.")


@strawberry.type(description="Something that became of a sandbox.")
class SandboxEvent:
    """See `sandql.sandboxes.notices.Notice`."""

    kind: NoticeKind = strawberry.field(description="What it was.")
    at: datetime = strawberry.field(description="When it was.")
    sandbox: Sandbox = strawberry.field(description="The sandbox as it was then.")


@strawberry.type(description="A named starting state of a sandbox.")
class Template:
    """See `sandql.core.kept.Template`."""

    name: str = strawberry.field(description="What to give as `template`.")
    available: bool = strawberry.field(description="Whether it can be used now.")
    detail: str = strawberry.field(description="What it holds, or why it cannot be used.")


def moment(unix_s: float) -> datetime:
    """A Unix time as a moment in UTC."""
    return datetime.fromtimestamp(unix_s, UTC)


def _limits(value: values.Limits) -> Limits:
    return Limits(
        memory=ByteCount(value.memory_bytes),
        processes=value.processes,
        open_files=value.open_files,
        workspace_bytes=ByteCount(value.workspace_bytes),
        workspace_inodes=value.workspace_inodes,
        output_bytes=value.output_bytes,
    )


def sandbox(value: kept.KeptSandbox, asker: Caller) -> Sandbox:
    """The GraphQL form of a kept sandbox."""
    return Sandbox(
        id=strawberry.ID(value.id),
        provider=value.provider,
        template=value.spec.template,
        name=value.name,
        status=value.status,
        created_at=moment(value.created_at),
        expires_at=moment(value.expires_at),
        ended_at=None if value.ended_at is None else moment(value.ended_at),
        timeout=value.timeout_ms,
        metadata=[Metadata(name=name, value=text) for name, text in sorted(value.metadata.items())],
        limits=_limits(value.spec.limits),
        asker=asker,
    )


def sandbox_connection(page: Page[kept.KeptSandbox], asker: Caller) -> SandboxConnection:
    """The GraphQL form of a page of sandboxes."""
    nodes = [sandbox(item, asker) for item in page.items]
    edges = [SandboxEdge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)]
    return SandboxConnection(edges=edges, nodes=nodes, page_info=PageInfo(has_next_page=page.has_next, end_cursor=page.end_cursor))


def sandbox_event(value: Notice, asker: Caller) -> SandboxEvent:
    """The GraphQL form of a notice."""
    return SandboxEvent(kind=value.kind, at=moment(value.at), sandbox=sandbox(value.sandbox, asker))


def template(value: kept.Template) -> Template:
    """The GraphQL form of a template."""
    return Template(name=value.name, available=value.available, detail=value.detail)
