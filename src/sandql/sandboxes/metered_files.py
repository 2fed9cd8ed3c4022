"""Files of which every byte that a caller writes or reads is counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from sandql.providers.base import FileReader, Files, Upload


class Count(Protocol):
    """Counts bytes."""

    def __call__(self, *, stored: int = 0, sent: int = 0) -> None: ...


class MeteredFiles:
    """See `sandql.providers.base.Files`."""

    def __init__(self, files: Files, count: Count) -> None:
        self._files = files
        self._count = count
        # What moves no bytes between the caller and the sandbox is as it is.
        self.list, self.stat, self.changes = files.list, files.stat, files.changes
        self.make_directory, self.move, self.copy, self.remove = files.make_directory, files.move, files.copy, files.remove
        self.uploaded, self.discard_upload = files.uploaded, files.discard_upload

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        """A regular file, whole."""
        content = await self._files.read(path, max_bytes=max_bytes)
        self._count(sent=len(content))
        return content

    async def read_part(self, path: str, *, offset: int, length: int | None, max_bytes: int) -> tuple[bytes, int]:
        """A part of a regular file, and the size of the file."""
        content, size = await self._files.read_part(path, offset=offset, length=length, max_bytes=max_bytes)
        self._count(sent=len(content))
        return content, size

    async def write(self, path: str, content: bytes, *, append: bool = False, mode: int | None = None) -> None:
        """Write a file."""
        await self._files.write(path, content, append=append, mode=mode)
        self._count(stored=len(content))

    @asynccontextmanager
    async def open(self, path: str) -> AsyncGenerator[FileReader]:
        """Open a regular file for reading."""
        async with self._files.open(path) as reader:
            metered = _Reader(reader)
            try:
                yield metered
            finally:
                self._count(sent=metered.sent)

    @asynccontextmanager
    async def upload(self, path: str, *, key: str | None = None, offset: int = 0, size: int | None = None) -> AsyncGenerator[Upload]:
        """Begin to write a file in pieces."""
        async with self._files.upload(path, key=key, offset=offset, size=size) as upload:
            metered = _Upload(upload)
            try:
                yield metered
            finally:
                self._count(stored=metered.stored)

    async def pack(self, path: str, *, max_bytes: int) -> AsyncGenerator[bytes]:
        """A directory as .tar.gz."""
        sent = 0
        try:
            async with aclosing(self._files.pack(path, max_bytes=max_bytes)) as pieces:
                async for piece in pieces:
                    sent += len(piece)
                    yield piece
        finally:
            self._count(sent=sent)

    async def unpack(self, path: str, data: AsyncIterator[bytes]) -> None:
        """Put what a .tar.gz holds into a directory."""
        stored = 0

        async def counted() -> AsyncGenerator[bytes]:
            nonlocal stored
            async for piece in data:
                stored += len(piece)
                yield piece

        try:
            async with aclosing(counted()) as pieces:
                await self._files.unpack(path, pieces)
        finally:
            self._count(stored=stored)


class _Reader:
    def __init__(self, reader: FileReader) -> None:
        self._reader = reader
        self.size, self.tag, self.modified_at = reader.size, reader.tag, reader.modified_at
        self.sent = 0

    async def read(self, offset: int, size: int) -> bytes:
        data = await self._reader.read(offset, size)
        self.sent += len(data)
        return data


class _Upload:
    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self.flush = upload.flush
        self.stored = 0

    @property
    def offset(self) -> int:
        return self._upload.offset

    async def write(self, data: bytes) -> None:
        await self._upload.write(data)
        self.stored += len(data)

    async def commit(self, expected: Callable[[str | None], bool]) -> str:
        return await self._upload.commit(expected)
