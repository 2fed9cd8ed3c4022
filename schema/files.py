"""Files of a workspace, and their bytes as text."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import strawberry

from sandql.core import values
from sandql.schema.enums import Encoding, FileType
from sandql.schema.scalars import ByteCount

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@strawberry.type(description="A regular file, whole.")
class FileContent:
    """See `sandql.core.values.FileContent`."""

    path: str = strawberry.field(description="The path that was asked for.")
    content: str = strawberry.field(description="The bytes, written as `encoding` says; they are never mangled.")
    size: int = strawberry.field(description="How many bytes the file has.")
    encoding: Encoding = strawberry.field(description="UTF8 where the bytes are UTF-8, else BASE64.")


@strawberry.type(description="A name in a workspace.")
class FileEntry:
    """See `sandql.core.values.FileEntry`."""

    name: str = strawberry.field(description="The last part of the path. Bytes that are not UTF-8 come as U+FFFD.")
    path: str = strawberry.field(description="The path relative to the workspace.")
    type: FileType = strawberry.field(description="What it is.")
    size: ByteCount = strawberry.field(description="How many bytes it has.")
    modified_at: datetime = strawberry.field(description="When it was last written.")


def _shown(name: str) -> str:
    """A file's name as text that every reader takes: the system's names are bytes, and need not be UTF-8."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _moment(unix_s: float) -> datetime:
    """A program may set any time on its files, also one that no calendar has: the nearest that there is."""
    try:
        return _EPOCH + timedelta(seconds=unix_s)
    except (OverflowError, ValueError):
        return _LAST if unix_s > 0 else _FIRST


def file_content(value: values.FileContent) -> FileContent:
    """The GraphQL form of a file's bytes."""
    try:
        content, encoding = value.content.decode(), Encoding.UTF8
    except UnicodeDecodeError:
        content, encoding = base64.b64encode(value.content).decode("ascii"), Encoding.BASE64
    return FileContent(path=_shown(value.path), content=content, size=len(value.content), encoding=encoding)


def file_entry(value: values.FileEntry) -> FileEntry:
    """The GraphQL form of a name in a workspace."""
    return FileEntry(
        name=_shown(value.name),
        path=_shown(value.path),
        type=value.type,
        size=ByteCount(max(value.size, 0)),
        modified_at=_moment(value.modified_at),
    )
