"""Files of a kept sandbox: the caller's home where no other is named."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from sandql.core.errors import BadRequest
from sandql.core.files import FileChanges
from sandql.core.permissions import Kind, Permission
from sandql.core.values import HOME, Caller, FileContent, FileEntry, FilePart
from sandql.providers.base import FileReader, Upload
from sandql.resolvers.bounds import decode_content, workspace_path
from sandql.resolvers.guard import guarded, guarded_context, guarded_stream
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.lease import Lease

MAX_FIRST = 10_000
MAX_MODE = 0o777


@guarded(Kind.FILES, Permission.ACCESS_FILES, audited=False)
async def list_files(
    sandboxes: Sandboxes,
    caller: Caller,
    path: str,
    *,
    recursive: bool = False,
    glob: str | None = None,
    first: int | None = None,
    after: str | None = None,
    provider: str | None = None,
    sandbox_id: str | None = None,
) -> list[FileEntry]:
    """List a directory, sorted by path: what matches the glob, at most `first` entries behind the path `after`. Raises BadRequest, NotFound."""
    relative = workspace_path("path", path, sandboxes.settings, root_ok=True)
    pattern = None if glob is None else workspace_path("glob", glob, sandboxes.settings)
    if first is not None and not 1 <= first <= MAX_FIRST:
        raise BadRequest(f"first: must be from 1 to {MAX_FIRST}, got {first}")
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        # A glob says by itself how deep it reaches.
        deep = recursive or (pattern is not None and "/" in pattern) or pattern == "**"
        return await lease.sandbox.files.list(relative, recursive=deep, glob=pattern, first=first, after=after)


@guarded(Kind.FILES, Permission.ACCESS_FILES, audited=False)
async def find_file(sandboxes: Sandboxes, caller: Caller, path: str, *, provider: str | None = None, sandbox_id: str | None = None) -> FileEntry:
    """What a path names. Raises BadRequest, NotFound."""
    relative = workspace_path("path", path, sandboxes.settings, root_ok=True)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        return await lease.sandbox.files.stat(relative)


@guarded(Kind.FILES, Permission.ACCESS_FILES, audited=False)
async def read_file(
    sandboxes: Sandboxes,
    caller: Caller,
    path: str,
    *,
    offset: int = 0,
    length: int | None = None,
    provider: str | None = None,
    sandbox_id: str | None = None,
) -> FilePart:
    """Read a regular file, or `length` bytes of it from `offset` on. Raises BadRequest, NotFound, PayloadTooLarge."""
    relative = workspace_path("path", path, sandboxes.settings)
    if length is not None and length < 0:
        raise BadRequest(f"length: must be 0 or more, got {length}")
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        most = sandboxes.settings.file_bytes
        content, size = await lease.sandbox.files.read_part(relative, offset=offset, length=length, max_bytes=most)
        return FilePart(FileContent(path, content), offset, size)


@guarded(Kind.FILES, Permission.ACCESS_FILES)
async def write_file(
    sandboxes: Sandboxes,
    caller: Caller,
    path: str,
    content: str | bytes,
    *,
    encoding: str = "UTF8",
    append: bool = False,
    mode: int | None = None,
    provider: str | None = None,
    sandbox_id: str | None = None,
) -> None:
    """Write a file whole, or behind what it holds, making its parents. Raises BadRequest, PayloadTooLarge, ResourceError."""
    relative = workspace_path("path", path, sandboxes.settings)
    data = content if isinstance(content, bytes) else decode_content("content", content, encoding, sandboxes.settings.file_bytes)
    if mode is not None and not 0 <= mode <= MAX_MODE:
        raise BadRequest(f"mode: must be permission bits from 0 to {MAX_MODE} (octal 777), got {mode}")
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        await lease.sandbox.files.write(relative, data, append=append, mode=mode)


@guarded(Kind.FILES, Permission.ACCESS_FILES)
async def make_directory(sandboxes: Sandboxes, caller: Caller, path: str, *, provider: str | None = None, sandbox_id: str | None = None) -> None:
    """Make a directory and its parents. Raises BadRequest, ResourceError."""
    relative = workspace_path("path", path, sandboxes.settings, root_ok=True)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        await lease.sandbox.files.make_directory(relative)


@guarded(Kind.FILES, Permission.ACCESS_FILES)
async def move_file(
    sandboxes: Sandboxes, caller: Caller, source: str, target: str, *, overwrite: bool, provider: str | None = None, sandbox_id: str | None = None
) -> None:
    """Give something another path. Raises BadRequest, NotFound, Conflict."""
    before, after = workspace_path("from", source, sandboxes.settings), workspace_path("to", target, sandboxes.settings)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        await lease.sandbox.files.move(before, after, overwrite=overwrite)


@guarded(Kind.FILES, Permission.ACCESS_FILES)
async def copy_file(
    sandboxes: Sandboxes,
    caller: Caller,
    source: str,
    target: str,
    *,
    overwrite: bool,
    recursive: bool,
    provider: str | None = None,
    sandbox_id: str | None = None,
) -> None:
    """Copy something. Raises BadRequest, NotFound, Conflict, ResourceError."""
    of, to = workspace_path("from", source, sandboxes.settings), workspace_path("to", target, sandboxes.settings)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        await lease.sandbox.files.copy(of, to, overwrite=overwrite, recursive=recursive)


@guarded(Kind.FILES, Permission.ACCESS_FILES)
async def remove_file(
    sandboxes: Sandboxes, caller: Caller, path: str, *, recursive: bool, provider: str | None = None, sandbox_id: str | None = None
) -> None:
    """Remove something. Raises BadRequest, NotFound, Conflict."""
    relative = workspace_path("path", path, sandboxes.settings)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        await lease.sandbox.files.remove(relative, recursive=recursive)


@guarded_stream(Kind.FILES, Permission.ACCESS_FILES, audited=False)
async def watch_files(
    sandboxes: Sandboxes, caller: Caller, path: str, *, recursive: bool, provider: str | None = None, sandbox_id: str | None = None
) -> AsyncGenerator[FileChanges]:
    """What becomes of a directory from now on. Watching alone keeps no sandbox alive. Raises BadRequest, NotFound, ResourceError."""
    relative = workspace_path("path", path, sandboxes.settings, root_ok=True)
    async with (
        sandboxes.borrow(caller, sandbox_id or HOME, provider, working=False) as lease,
        aclosing(lease.sandbox.files.changes(relative, recursive=recursive)) as changes,
    ):
        async for change in changes:
            yield change


@guarded_context(Kind.FILES, Permission.ACCESS_FILES, audited=False)
@asynccontextmanager
async def open_file(sandboxes: Sandboxes, caller: Caller, path: str, *, provider: str | None, sandbox_id: str | None) -> AsyncGenerator[FileReader]:
    """Open a regular file for reading. Raises BadRequest, NotFound."""
    relative = workspace_path("path", path, sandboxes.settings)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease, lease.sandbox.files.open(relative) as reader:
        yield reader


@guarded_context(Kind.FILES, Permission.ACCESS_FILES)
@asynccontextmanager
async def upload_file(
    sandboxes: Sandboxes,
    caller: Caller,
    path: str,
    *,
    key: str | None,
    offset: int,
    size: int | None,
    provider: str | None,
    sandbox_id: str | None,
) -> AsyncGenerator[Upload]:
    """Begin, or with a key go on with, an upload. Raises BadRequest, Conflict, ResourceError."""
    relative = workspace_path("path", path, sandboxes.settings)
    async with (
        _borrow(sandboxes, caller, sandbox_id, provider) as lease,
        lease.sandbox.files.upload(relative, key=key, offset=offset, size=size) as upload,
    ):
        yield upload


@guarded(Kind.FILES, Permission.ACCESS_FILES, audited=False)
async def uploaded(sandboxes: Sandboxes, caller: Caller, path: str, key: str, *, provider: str | None, sandbox_id: str | None) -> int:
    """How many bytes are kept of an upload. Raises BadRequest, NotFound."""
    relative = workspace_path("path", path, sandboxes.settings)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        return await lease.sandbox.files.uploaded(relative, key)


@guarded(Kind.FILES, Permission.ACCESS_FILES)
async def discard_upload(sandboxes: Sandboxes, caller: Caller, path: str, key: str, *, provider: str | None, sandbox_id: str | None) -> None:
    """Remove what is kept of an upload. Raises BadRequest, NotFound, Conflict."""
    relative = workspace_path("path", path, sandboxes.settings)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        await lease.sandbox.files.discard_upload(relative, key)


@guarded_stream(Kind.FILES, Permission.ACCESS_FILES, audited=False)
async def pack_files(sandboxes: Sandboxes, caller: Caller, path: str, *, provider: str | None, sandbox_id: str | None) -> AsyncGenerator[bytes]:
    """A directory as .tar.gz, in pieces. Raises BadRequest, NotFound."""
    relative = workspace_path("path", path, sandboxes.settings, root_ok=True)
    most = sandboxes.settings.file_stream_bytes
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease, aclosing(lease.sandbox.files.pack(relative, max_bytes=most)) as pieces:
        async for piece in pieces:
            yield piece


@guarded(Kind.FILES, Permission.ACCESS_FILES)
async def unpack_files(
    sandboxes: Sandboxes, caller: Caller, path: str, data: AsyncIterator[bytes], *, provider: str | None, sandbox_id: str | None
) -> None:
    """Put what a .tar.gz holds into a directory. Raises BadRequest, ResourceError."""
    relative = workspace_path("path", path, sandboxes.settings, root_ok=True)
    async with _borrow(sandboxes, caller, sandbox_id, provider) as lease:
        await lease.sandbox.files.unpack(relative, data)


def _borrow(sandboxes: Sandboxes, caller: Caller, sandbox_id: str | None, provider: str | None) -> AbstractAsyncContextManager[Lease]:
    return sandboxes.borrow(caller, sandbox_id or HOME, provider)
