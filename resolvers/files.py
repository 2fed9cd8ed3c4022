"""Files of a kept sandbox: the caller's home where no other is named."""

from __future__ import annotations

from sandql.core.values import HOME, Caller, FileContent, FileEntry
from sandql.resolvers.bounds import decode_content, workspace_path
from sandql.sandboxes.borrow import Sandboxes


async def list_files(
    sandboxes: Sandboxes, caller: Caller, path: str, *, recursive: bool = False, provider: str | None = None, sandbox_id: str | None = None
) -> list[FileEntry]:
    """List a directory, sorted by path. Raises BadRequest, NotFound."""
    where = sandboxes.provider(provider)
    relative = workspace_path("path", path, sandboxes.settings, root_ok=True)
    async with sandboxes.borrow(caller, where, sandbox_id or HOME) as sandbox:
        return await sandbox.list_files(relative, recursive=recursive)


async def read_file(sandboxes: Sandboxes, caller: Caller, path: str, *, provider: str | None = None, sandbox_id: str | None = None) -> FileContent:
    """Read a regular file whole. Raises BadRequest, NotFound, PayloadTooLarge."""
    where = sandboxes.provider(provider)
    relative = workspace_path("path", path, sandboxes.settings)
    async with sandboxes.borrow(caller, where, sandbox_id or HOME) as sandbox:
        return FileContent(path, await sandbox.read_file(relative, max_bytes=sandboxes.settings.file_bytes))


async def write_file(
    sandboxes: Sandboxes,
    caller: Caller,
    path: str,
    content: str | bytes,
    *,
    encoding: str = "UTF8",
    provider: str | None = None,
    sandbox_id: str | None = None,
) -> None:
    """Write a file whole, making its parents. Raises BadRequest, PayloadTooLarge, ResourceError."""
    where = sandboxes.provider(provider)
    relative = workspace_path("path", path, sandboxes.settings)
    data = content if isinstance(content, bytes) else decode_content("content", content, encoding, sandboxes.settings.file_bytes)
    async with sandboxes.borrow(caller, where, sandbox_id or HOME) as sandbox:
        await sandbox.write_file(relative, data)
