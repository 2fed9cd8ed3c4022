"""Files of a workspace, and their bytes as text."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import strawberry

from sandql.core import files, values
from sandql.core.errors import BadRequest
from sandql.schema.enums import ChangeKind, Encoding, FileType
from sandql.schema.scalars import ByteCount

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@strawberry.type(description="A regular file, or what was asked for of it.")
class FileContent:
    """See `sandql.core.values.FileContent`."""

    path: str = strawberry.field(description="The path that was asked for.")
    content: str = strawberry.field(description="The bytes, written as `encoding` says; they are never mangled.")
    size: int = strawberry.field(description="How many bytes `content` stands for.")
    encoding: Encoding = strawberry.field(description="UTF8 where the bytes are UTF-8, else BASE64, unless one was asked for.")
    offset: ByteCount = strawberry.field(description="Where in the file they begin.")
    file_size: ByteCount = strawberry.field(description="How many bytes the file has in all.")


@strawberry.type(description="A name in a workspace.")
class FileEntry:
    """See `sandql.core.values.FileEntry`."""

    name: str = strawberry.field(description="The last part of the path. Bytes that are not UTF-8 come as U+FFFD.")
    path: str = strawberry.field(description="The path relative to the workspace.")
    type: FileType = strawberry.field(description="What it is.")
    size: ByteCount = strawberry.field(description="How many bytes it has.")
    modified_at: datetime = strawberry.field(description="When it was last written.")
    mode: int = strawberry.field(description="Its permission bits, as a number: 420 is what chmod calls 644.")


@strawberry.type(description="A path that changed.")
class FileChange:
    """See `sandql.core.files.FileChange`."""

    kind: ChangeKind = strawberry.field(description="What became of it.")
    path: str = strawberry.field(description="The path relative to the workspace.")
    type: FileType = strawberry.field(description="What it is, or was.")
    previous_path: str | None = strawberry.field(description="Where it was before it was MOVED.")


@strawberry.type(description="What changed within a short time.")
class FileChanges:
    """See `sandql.core.files.FileChanges`."""

    changes: list[FileChange] = strawberry.field(description="What changed, in order; the first time there are none: from then on nothing is missed.")
    overflow: bool = strawberry.field(description="Whether there was more than could be told: list the directory anew.")


def _shown(name: str) -> str:
    """A file's name as text that every reader takes: the system's names are bytes, and need not be UTF-8."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _moment(unix_s: float) -> datetime:
    """A program may set any time on its files, also one that no calendar has: the nearest that there is."""
    try:
        return _EPOCH + timedelta(seconds=unix_s)
    except (OverflowError, ValueError):
        return _LAST if unix_s > 0 else _FIRST


def file_content(value: values.FileContent, encoding: Encoding | None = None) -> FileContent:
    """The GraphQL form of a file's bytes. Raises BadRequest: they were asked for as UTF8, and are not."""
    return file_part(values.FilePart(value, 0, len(value.content)), encoding)


def file_part(value: values.FilePart, encoding: Encoding | None = None) -> FileContent:
    """The GraphQL form of some of a file's bytes. Raises BadRequest: they were asked for as UTF8, and are not."""
    data = value.content.content
    text = None
    if encoding is not Encoding.BASE64:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            if encoding is Encoding.UTF8:
                raise BadRequest(f"encoding: byte {value.offset + error.start} is not UTF-8; ask for BASE64") from None
    return FileContent(
        path=_shown(value.content.path),
        content=base64.b64encode(data).decode("ascii") if text is None else text,
        size=len(data),
        encoding=Encoding.BASE64 if text is None else Encoding.UTF8,
        offset=ByteCount(value.offset),
        file_size=ByteCount(value.file_size),
    )


def file_changes(value: files.FileChanges) -> FileChanges:
    """The GraphQL form of what changed."""
    changes = [FileChange(kind=item.kind, path=item.path, type=item.type, previous_path=item.previous_path) for item in value.changes]
    return FileChanges(changes=changes, overflow=value.overflow)


def file_entry(value: values.FileEntry) -> FileEntry:
    """The GraphQL form of a name in a workspace."""
    return FileEntry(
        name=_shown(value.name),
        path=_shown(value.path),
        type=value.type,
        size=ByteCount(max(value.size, 0)),
        modified_at=_moment(value.modified_at),
        mode=value.mode,
    )
