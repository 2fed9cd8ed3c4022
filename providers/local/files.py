"""The files of a kept sandbox of this machine."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from typing import Final, Protocol, TypeVar

from sandql.core.errors import Conflict, NotFound
from sandql.core.files import FileChanges
from sandql.core.values import FileEntry, Limits
from sandql.providers.local import unpacking, uploads
from sandql.providers.local.homes import Home
from sandql.providers.local.packing import packed
from sandql.providers.local.regular import told
from sandql.providers.local.scarce import scarce
from sandql.providers.local.threads import Gate, in_thread
from sandql.providers.local.trees import remove_tree
from sandql.providers.local.uploads import Expected, Part
from sandql.providers.local.watching import Watching
from sandql.providers.local.workspace import Workspace
from sandql.providers.local.writes import Writes, sync_all
from sandql.usage.storage import Share

_MAX_LISTED: Final = 65_536
_TOGETHER_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 4096  # what a file takes on disk is a multiple of this, as good as everywhere
_ENTRY_BYTES: Final = 4096  # what an archive says of an entry
_FREE_ENTRIES: Final = 64  # an archive may have some that make nothing, as the one of the folder itself

Value = TypeVar("Value")


class LocalFiles:
    """The files below a directory that the house keeps; see `sandql.providers.base.Files`."""

    def __init__(self, home: Home, limits: Limits, watching: Watching, share: Share | None = None) -> None:
        self._home = home
        self._place = home.place
        self._quota = (limits.workspace_bytes, limits.workspace_inodes)
        self._watching = watching
        self._share = share
        self._uploads = uploads.folder_of(home.files)

    async def list(
        self, path: str, *, recursive: bool = False, glob: str | None = None, first: int | None = None, after: str | None = None
    ) -> list[FileEntry]:
        """List a directory; see `sandql.providers.base.Files`."""
        return await self._do(lambda workspace: workspace.list_entries(path, recursive, _MAX_LISTED, glob=glob, first=first, after=after))

    async def stat(self, path: str) -> FileEntry:
        """What a path names; see `sandql.providers.base.Files`."""
        return await self._do(lambda workspace: workspace.stat(path))

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        """Read a file; see `sandql.providers.base.Files`."""
        return await self._do(lambda workspace: workspace.read(path, max_bytes))

    async def read_part(self, path: str, *, offset: int, length: int | None, max_bytes: int) -> tuple[bytes, int]:
        """Read some of a file; see `sandql.providers.base.Files`."""
        return await self._do(lambda workspace: workspace.read_part(path, max_bytes, offset, length))

    async def write(self, path: str, content: bytes, *, append: bool = False, mode: int | None = None) -> None:
        """Write a file; see `sandql.providers.base.Files`."""
        await self._change(lambda workspace: workspace.write(path, content, *self._quota, append=append, mode=mode))

    async def make_directory(self, path: str) -> None:
        """Make a folder; see `sandql.providers.base.Files`."""
        await self._change(lambda workspace: workspace.make_directory(path, self._quota))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Move something; see `sandql.providers.base.Files`."""
        await self._change(lambda workspace: workspace.move(source, target, overwrite, self._quota))

    async def copy(self, source: str, target: str, *, overwrite: bool = False, recursive: bool = False) -> None:
        """Copy something; see `sandql.providers.base.Files`."""
        await self._change(lambda workspace: workspace.copy(source, target, overwrite, recursive, self._quota))

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove something; see `sandql.providers.base.Files`."""
        await self._change(lambda workspace: workspace.remove(path, recursive, self._quota))

    @asynccontextmanager
    async def open(self, path: str) -> AsyncGenerator[LocalReader]:
        """Open a file for reading; see `sandql.providers.base.Files`."""
        reader = await self._do(lambda workspace: LocalReader(workspace.open(path)), drop=LocalReader.close)
        try:
            yield reader
        finally:
            reader.close()

    @asynccontextmanager
    async def upload(self, path: str, *, key: str | None = None, offset: int = 0, size: int | None = None) -> AsyncGenerator[LocalUpload]:
        """Begin or go on with an upload; see `sandql.providers.base.Files`."""

        def begin(workspace: Workspace) -> Part:
            uploads.remove_old(self._uploads)
            freed = workspace.freed_by(path)
            if size is not None:
                workspace.writes(self._quota).check(size - freed, 0, path)
            return Part(self._uploads, path, key, offset, freed)

        try:
            upload = LocalUpload(await self._work(begin, drop=Part.close), self._writing, path)
        except BaseException:
            self._count_anew()
            raise
        try:
            yield upload
        finally:
            try:
                await in_thread(upload.part.close)
            finally:
                if not upload.committed:
                    self._count_anew()

    async def uploaded(self, path: str, key: str) -> int:
        """How much of an upload is kept; see `sandql.providers.base.Files`."""
        return await in_thread(partial(uploads.offset_of, self._uploads, path, key))

    async def discard_upload(self, path: str, key: str) -> None:
        """Remove what is kept of an upload; see `sandql.providers.base.Files`."""
        await in_thread(partial(uploads.discard, self._uploads, path, key), gate=self._place.changing)
        self._count_anew()

    async def pack(self, path: str, *, max_bytes: int) -> AsyncGenerator[bytes]:
        """A folder as .tar.gz; see `sandql.providers.base.Files`."""
        folder_fd = await self._do(lambda workspace: workspace.open_folder(path), drop=os.close)
        async with aclosing(packed(folder_fd, path, max_bytes, self._home.name)) as pieces:
            async for piece in pieces:
                yield piece

    async def unpack(self, path: str, data: AsyncIterator[bytes]) -> None:
        """Put a .tar.gz into a folder; see `sandql.providers.base.Files`."""
        async with self.upload(path) as upload:
            async for piece in data:
                await upload.write(piece)
            await upload.flush()
            await self._work(lambda workspace: self._unpack(workspace, path, upload.part), gate=self._place.unpacking)

    async def changes(self, path: str, *, recursive: bool = False) -> AsyncGenerator[FileChanges]:
        """What becomes of a folder; see `sandql.providers.base.Files`."""
        workspace = await in_thread(self._open, drop=Workspace.close)
        with closing(workspace):
            async with aclosing(self._watching.changes(workspace, path, recursive, self._home.name)) as changes:
                async for change in changes:
                    yield change

    async def _do(self, work: Callable[[Workspace], Value], drop: Callable[[Value], object] | None = None) -> Value:
        return await self._work(work, gate=self._place.reading, drop=drop)

    async def _change(self, work: Callable[[Workspace], None]) -> None:
        await self._work(work, gate=self._place.changing)

    def _count_anew(self) -> None:
        """Have it known anew what lies here, since something that was on its way did not come."""
        if self._share is not None:
            self._share.doubt()

    async def _writing(self, work: Callable[[Writes], Value]) -> Value:
        return await self._work(lambda workspace: work(workspace.writes(self._quota)))

    async def _work(self, work: Callable[[Workspace], Value], *, gate: Gate | None = None, drop: Callable[[Value], object] | None = None) -> Value:
        def opened() -> Value:
            with scarce("the files"), self._there(), closing(self._open()) as workspace:
                return work(workspace)

        return await in_thread(opened, gate=gate, drop=drop)

    def _open(self) -> Workspace:
        with self._there():
            fd = os.open(self._home.files, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return Workspace(fd, self._place, self._share)
        finally:
            os.close(fd)

    @contextmanager
    def _there(self) -> Generator[None]:
        """Say of what is missing since the sandbox was destroyed that it is the sandbox."""
        try:
            yield
        except FileNotFoundError:
            if self._home.files.exists():
                raise
            raise NotFound("sandboxId: this sandbox is gone") from None

    def _unpack(self, workspace: Workspace, path: str, part: Part) -> None:
        taken_bytes = taken_names = 0
        writes = workspace.writes(self._quota)

        def room(more_bytes: int, more_names: int) -> None:
            nonlocal taken_bytes, taken_names
            taken_bytes += max(-(-more_bytes // _BLOCK_BYTES), more_names) * _BLOCK_BYTES  # a folder takes a block too
            taken_names += more_names
            writes.check(taken_bytes, taken_names, path)

        most = self._quota[0] + self._quota[1] * _ENTRY_BYTES
        beside = f"{secrets.token_hex(8)}.unpacking"
        archive_fd = part.detach()
        uploads_fd = os.open(self._uploads, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with told(path):
                os.mkdir(beside, 0o700, dir_fd=uploads_fd)
                made_fd = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=uploads_fd)
                try:
                    unpacking.unpack(archive_fd, made_fd, room, writes, most, self._quota[1] + _FREE_ENTRIES)
                    sync_all(made_fd)
                    with writes.turn():
                        room(0, 0)
                        workspace.make_directory(path, self._quota)
                        target_fd = workspace.open_folder(path)
                        try:
                            unpacking.merge(made_fd, target_fd, path)
                        finally:
                            os.close(target_fd)
                finally:
                    os.close(made_fd)
        finally:
            with suppress(OSError):
                remove_tree(uploads_fd, beside)
            os.close(uploads_fd)
            os.close(archive_fd)
            with writes.turn():
                writes.forget()


class LocalReader:
    """See `sandql.providers.base.FileReader`. `close` it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        info = os.fstat(fd)
        self._as_opened = _written(info)
        self.size = info.st_size
        self.tag = uploads.tag_of(info)
        self.modified_at = info.st_mtime

    async def read(self, offset: int, size: int) -> bytes:
        """Some bytes; see `sandql.providers.base.FileReader`."""
        return await in_thread(partial(self._read, offset, size))

    def _read(self, offset: int, size: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        if _written(os.fstat(self._fd)) != self._as_opened:
            raise Conflict("path: the file was written to while it was read; try again")
        return data

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)  # a thread whose caller is gone may still read by this number; nobody sees what


def _written(info: os.stat_result) -> tuple[int, int]:
    """What changes when a file is written to, and stays when another one takes its name."""
    return info.st_size, info.st_mtime_ns


class Writing(Protocol):
    """Does something in a thread with what writing into the workspace needs."""

    async def __call__(self, work: Callable[[Writes], Value], /) -> Value: ...


class LocalUpload:
    """See `sandql.providers.base.Upload`."""

    def __init__(self, part: Part, writing: Writing, path: str) -> None:
        self.part = part
        self._writing = writing
        self._path = path
        self._waiting = bytearray()
        self.committed = False

    @property
    def offset(self) -> int:
        """How many bytes have come."""
        return self.part.offset + len(self._waiting)

    async def write(self, data: bytes) -> None:
        """Add bytes; see `sandql.providers.base.Upload`."""
        self._waiting += data
        if len(self._waiting) >= _TOGETHER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits, so that it is kept."""
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            await self._writing(lambda writes: self.part.write(waiting, writes, self._path))

    async def commit(self, expected: Expected) -> str:
        """Make it the file; see `sandql.providers.base.Upload`."""
        await self.flush()
        tag = await self._writing(lambda writes: self.part.commit(writes, self._path, expected))
        self.committed = True
        return tag
