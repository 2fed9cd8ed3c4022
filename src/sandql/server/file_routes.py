"""Files over plain HTTP, as streams: `/sandboxes/{id}/files/{path}`.

    GET, HEAD   a file, or a range of it; a directory as .tar.gz with `?archive=tar.gz`, or where application/gzip is accepted
    PUT         a file, whole or in parts that can be resumed; a directory from a .tar.gz with `?archive=tar.gz`
    DELETE      a file or an empty directory; any directory with `?recursive=true`; with Upload-Id, what has come of that upload

What a caller keeps is never a page of ours: it comes as an attachment, of no type that a browser would run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import parse_qs, quote, unquote_to_bytes

from starlette.types import Message, Receive, Scope, Send

from sandql.core.errors import BadRequest, DeadlinePassed, Forbidden, NotFound, PayloadTooLarge, PreconditionFailed, SandqlError
from sandql.core.log import get_logger
from sandql.core.settings import Settings
from sandql.core.values import Caller, FileType
from sandql.resolvers import files as resolvers
from sandql.sandboxes.borrow import Sandboxes
from sandql.server.byte_ranges import ByteRange, NotSatisfiable, asked_range, http_date, is_expected, is_not_modified
from sandql.server.client_watch import unless_gone
from sandql.server.graphql_errors import RequestRefused, ending_refusal, internal_error, refusal
from sandql.server.origins import OriginPolicy
from sandql.server.request_body import ClientGone
from sandql.server.request_context import caller_of, request_id_of, sandboxes_of
from sandql.server.request_watch import facts_of
from sandql.server.responses import CLOSE, Header, send_json, send_refusal

_log = get_logger(__name__)

_CHUNK_BYTES: Final = 512 << 10
_TAKE_S: Final = 60.0  # a client that takes nothing for so long is taken for gone
_METHODS: Final = b"GET, HEAD, PUT, DELETE"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")
_SAFE: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"private, no-cache"),
)


@dataclass(frozen=True, slots=True)
class _Request:
    """One request, and how to answer it."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Mapping[bytes, bytes]
    sandbox_id: str
    path: str
    query: Mapping[str, list[str]]

    @property
    def sandboxes(self) -> Sandboxes:
        return sandboxes_of(self.scope)

    @property
    def caller(self) -> Caller:
        return caller_of(self.scope)

    @property
    def provider(self) -> str | None:
        return self.query.get("provider", [None])[0]

    @property
    def is_archive(self) -> bool:
        """Whether a directory is meant, as an archive. Raises BadRequest."""
        kind = self.query.get("archive", [""])[0]
        if kind not in ("", "tar.gz"):
            raise BadRequest(f"archive: must be tar.gz, got {kind[:20]!r}")
        return kind != ""

    async def begin(self, status: int, *headers: Header) -> None:
        """Send the head of an answer."""
        await self.send({"type": "http.response.start", "status": status, "headers": [*_SAFE, *headers]})

    async def piece(self, body: bytes = b"", *, more: bool = False) -> None:
        """Send some of a body. Raises ClientGone: the client has not taken what was sent before for too long."""
        try:
            async with asyncio.timeout(_TAKE_S):
                await self.send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError:
            raise ClientGone from None

    async def end(self, status: int, *headers: Header) -> None:
        """Send an answer without a body."""
        length = () if status in (204, 304) else ((b"content-length", b"0"),)
        await self.begin(status, *length, *headers)
        await self.piece()


class FileEndpoint:
    """An ASGI application for the paths above."""

    def __init__(self, settings: Settings, origins: OriginPolicy) -> None:
        self._settings = settings
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if reason := self._origins.refusal(headers):
                raise Forbidden(reason)
            await self._answer(_parsed(scope, receive, sending, headers))
        except ClientGone:
            pass
        except asyncio.CancelledError:  # the server, or the caller's credential, is ending: nothing else cancels a request
            if not begun:
                await send_refusal(send, ending_refusal(), headers=(CLOSE,))
        except SandqlError as error:
            facts_of(scope).refused(refused := refusal(error, scope["method"]))
            if begun:  # nothing can be said any more: that the answer is not whole shows by the connection's end
                _log.warning("an answer was cut off", request_id=request_id_of(scope), reason=error.code)
                return
            # The rest of a body that was not read is not waited for.
            closing = (CLOSE,) if scope["method"] == "PUT" else ()
            await send_refusal(send, refused, headers=closing)
        except Exception as error:
            facts_of(scope).failed([answer := internal_error(error, request_id_of(scope))])
            if begun:
                return
            await send_json(send, {"errors": [answer]}, status=500, headers=(CLOSE,))

    async def _answer(self, request: _Request) -> None:
        method = request.scope["method"]
        if method in ("GET", "HEAD"):
            if self._origins.is_foreign_read(request.headers):
                raise Forbidden("this request was sent for a page of another site; SANDQL_ALLOWED_ORIGINS lists those that may")
            await unless_gone(self._read(request), request.receive)
        elif method == "PUT":
            await self._write(request)
        elif method == "DELETE":
            if b"if-match" in request.headers or b"if-none-match" in request.headers:
                raise BadRequest("If-Match, If-None-Match: are not taken by DELETE")
            await self._delete(request)
        else:
            text = f"method: {method[:20]} is not taken here"
            refused = RequestRefused([{"message": text, "extensions": {"code": "METHOD_NOT_ALLOWED", "status": 405}}], 405)
            await send_refusal(request.send, refused, headers=((b"allow", _METHODS),))

    async def _delete(self, request: _Request) -> None:
        where = {"provider": request.provider, "sandbox_id": request.sandbox_id}
        key = _upload_key(request.headers)
        if key is not None:
            await resolvers.discard_upload(request.sandboxes, request.caller, request.path, key, **where)
        else:
            recursive = request.query.get("recursive", ["false"])[0] == "true"
            await resolvers.remove_file(request.sandboxes, request.caller, request.path, recursive=recursive, **where)
        await request.end(204)

    async def _read(self, request: _Request) -> None:
        where = {"provider": request.provider, "sandbox_id": request.sandbox_id}
        key = _upload_key(request.headers)
        if key is not None and request.scope["method"] == "HEAD":
            offset = await resolvers.uploaded(request.sandboxes, request.caller, request.path, key, **where)
            await request.end(200, (b"upload-offset", str(offset).encode()))
            return
        if request.is_archive or (_wants_archive(request.headers) and await self._is_directory(request)):
            async with aclosing(resolvers.pack_files(request.sandboxes, request.caller, request.path, **where)) as pieces:
                await self._send_archive(request, pieces)
            return
        async with resolvers.open_file(request.sandboxes, request.caller, request.path, **where) as file:
            if file.size > self._settings.file_stream_bytes:
                raise PayloadTooLarge(f"path: at most {self._settings.file_stream_bytes} bytes are sent, {request.path[:100]!r} has {file.size}")
            described: list[Header] = [
                (b"etag", f'"{file.tag}"'.encode()),
                (b"last-modified", http_date(file.modified_at).encode()),
                (b"accept-ranges", b"bytes"),
            ]
            if b"if-match" in request.headers and not is_expected(request.headers, file.tag):
                raise PreconditionFailed(f"path: {request.path[:100]!r} is not as the request expects it; look at it again")
            if is_not_modified(request.headers, file.tag, file.modified_at):
                await request.end(304, *described)
                return
            try:
                asked = asked_range(request.headers, file.tag, file.modified_at, file.size)
            except NotSatisfiable:
                await request.end(416, (b"content-range", f"bytes */{file.size}".encode()))
                return
            part = asked or ByteRange(0, file.size)
            if asked is not None:
                described.append((b"content-range", f"bytes {part.begin}-{part.end - 1}/{file.size}".encode()))
            described += [(b"content-length", str(part.end - part.begin).encode()), *_attachment(request.path)]
            await request.begin(200 if asked is None else 206, *described)
            at = part.begin
            while at < part.end and request.scope["method"] == "GET":
                data = await file.read(at, min(_CHUNK_BYTES, part.end - at))
                if not data:  # the connection is closed before all that was announced has come, as for a file that was written to
                    raise ClientGone
                at += len(data)
                await request.piece(data, more=at < part.end)
            if part.begin == part.end or request.scope["method"] == "HEAD":
                await request.piece()

    async def _send_archive(self, request: _Request, pieces: AsyncGenerator[bytes]) -> None:
        first = await anext(pieces, b"")  # what is wrong with the path shows before an answer is begun
        name = (request.path.rstrip("/").rpartition("/")[2] or "workspace") + ".tar.gz"
        await request.begin(200, (b"content-type", b"application/gzip"), *_attachment(name)[1:])
        if request.scope["method"] == "GET":
            await request.piece(first, more=True)
            async for piece in pieces:
                await request.piece(piece, more=True)
        await request.piece()

    async def _expect(self, request: _Request) -> None:
        """Refuse what would be refused at its end before it has come."""
        if b"if-match" not in request.headers and b"if-none-match" not in request.headers:
            return
        tag: str | None = None
        where = {"provider": request.provider, "sandbox_id": request.sandbox_id}
        with suppress(NotFound, BadRequest):
            async with resolvers.open_file(request.sandboxes, request.caller, request.path, **where) as file:
                tag = file.tag
        if not is_expected(request.headers, tag):
            raise PreconditionFailed(f"path: {request.path[:100]!r} is not as the request expects it; look at it again")

    async def _is_directory(self, request: _Request) -> bool:
        found = await resolvers.find_file(request.sandboxes, request.caller, request.path, provider=request.provider, sandbox_id=request.sandbox_id)
        return found.type is FileType.DIRECTORY

    async def _write(self, request: _Request) -> None:
        most = self._settings.file_stream_bytes
        length = _number(request.headers, b"content-length")
        if length is not None and length > most:
            raise PayloadTooLarge(f"body: at most {most} bytes, got {length}; SANDQL_FILE_STREAM_BYTES is the bound")
        where = {"provider": request.provider, "sandbox_id": request.sandbox_id}
        key = _upload_key(request.headers)
        offset = _number(request.headers, b"upload-offset") or 0
        whole = request.headers.get(b"upload-complete", b"?1").strip() != b"?0"
        if b"content-range" in request.headers:
            raise BadRequest("Content-Range: is not taken by PUT; send parts with Upload-Id and Upload-Offset")
        if request.is_archive and (key is not None or offset or not whole):
            raise BadRequest("Upload-Id, Upload-Offset, Upload-Complete: an archive is sent whole, in one request, without them")
        if key is None and (offset or not whole):
            raise BadRequest("Upload-Id: is needed to send a file in parts; give all its parts the same one")
        if request.is_archive:
            async with aclosing(_body(request.receive, most, self._settings.body_timeout_s)) as body:
                await resolvers.unpack_files(request.sandboxes, request.caller, request.path, body, **where)
            await request.end(204)
            return
        await self._expect(request)
        async with resolvers.upload_file(request.sandboxes, request.caller, request.path, key=key, offset=offset, size=length, **where) as upload:
            try:
                async with aclosing(_body(request.receive, most - upload.offset, self._settings.body_timeout_s)) as body:
                    async for piece in body:
                        await upload.write(piece)
            finally:
                await upload.flush()
            if not whole:
                await request.end(202, (b"upload-offset", str(upload.offset).encode()))
                return
            tag = await upload.commit(partial(is_expected, request.headers))
            await request.end(201, (b"etag", f'"{tag}"'.encode()), (b"upload-offset", str(upload.offset).encode()))


def _parsed(scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]) -> _Request:
    """What is asked for. Raises BadRequest, NotFound."""
    # Starlette's own decoding would turn bytes that are not UTF-8 into other names.
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    before, _, rest = raw.partition(b"/sandboxes/")
    sandbox_id, _, path = rest.partition(b"/files")
    if unquote_to_bytes(before) != scope.get("root_path", "").encode() or not sandbox_id:  # the route was found in the decoded path
        raise NotFound("sandboxId: no sandbox of yours has this id")
    try:
        return _Request(
            scope,
            receive,
            send,
            headers,
            unquote_to_bytes(sandbox_id).decode(),
            unquote_to_bytes(path.partition(b"?")[0].removeprefix(b"/")).decode(),
            parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=10),
        )
    except ValueError:
        raise BadRequest("path: must be UTF-8, percent-encoded, with at most 10 fields in the query") from None


async def _body(receive: Receive, most: int, patience_s: float) -> AsyncGenerator[bytes]:
    """The body as it comes; each piece must come within `patience_s`. Raises PayloadTooLarge, DeadlinePassed, ClientGone."""
    taken = 0
    while True:
        try:
            async with asyncio.timeout(patience_s):
                message = await receive()
        except TimeoutError:
            raise DeadlinePassed(f"body: must go on within {patience_s:g} seconds; SANDQL_BODY_TIMEOUT_S is the bound") from None
        if message["type"] != "http.request":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        taken += len(piece)
        if taken > most:
            raise PayloadTooLarge(f"body: at most {most} bytes more, got {taken} or more; SANDQL_FILE_STREAM_BYTES is the bound")
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


def _wants_archive(headers: Mapping[bytes, bytes]) -> bool:
    return b"application/gzip" in headers.get(b"accept", b"")


def _upload_key(headers: Mapping[bytes, bytes]) -> str | None:
    given = headers.get(b"upload-id")
    if given is None:
        return None
    key = given.decode("latin-1").strip()
    if not _KEY.match(key):
        raise BadRequest(f"Upload-Id: must match {_KEY.pattern[:-2]}, got {key[:64]!r}")
    return key


def _number(headers: Mapping[bytes, bytes], name: bytes) -> int | None:
    given = headers.get(name)
    if given is None:
        return None
    if not given.isdigit() or len(given) > 18:
        raise BadRequest(f"{name.decode()}: must be a number of bytes, got {given.decode('latin-1')[:40]!r}")
    return int(given)


def _attachment(path: str) -> list[Header]:
    name = quote(path.rstrip("/").rpartition("/")[2], safe="")
    return [(b"content-type", b"application/octet-stream"), (b"content-disposition", f"attachment; filename*=UTF-8''{name}".encode())]
