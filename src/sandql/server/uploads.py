"""Files sent beside a request, by the GraphQL multipart request specification."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from sandql.core.errors import BadRequest, DeadlinePassed, PayloadTooLarge
from sandql.core.settings import Settings
from sandql.server.request_body import ClientGone, bounded_receive
from sandql.server.request_params import Params, parse_operations, read_json

_MAX_FILES: Final = 64
_MAX_FIELDS: Final = 2  # `operations` and `map`


async def read_upload(scope: Scope, receive: Receive, settings: Settings) -> Params | list[Params]:
    """The requests of a multipart body, with the files' bytes in their variables. Files wait on disk until all is here.

    Raises:
        BadRequest, PayloadTooLarge, DeadlinePassed: it is not acceptable.
        ClientGone: the client closed the connection.
    """
    request = Request(scope, bounded_receive(receive, settings.body_bytes))
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            form = await request.form(max_files=_MAX_FILES, max_fields=_MAX_FIELDS, max_part_size=settings.body_bytes)
    except TimeoutError:
        raise DeadlinePassed(f"body: must arrive within {settings.body_timeout_s:g} seconds; SANDQL_BODY_TIMEOUT_S is the bound") from None
    except ClientDisconnect:
        raise ClientGone from None
    except (HTTPException, MultiPartException) as error:
        raise BadRequest(f"body: is not multipart/form-data that can be read: {error}") from None
    try:
        operations = _json_field(form, "operations")
        paths = _json_field(form, "map")
        if not isinstance(operations, dict | list) or not isinstance(paths, dict):
            raise BadRequest("operations and map: must be JSON objects (operations may be a list)")
        for name, places in cast("dict[str, Any]", paths).items():
            await _place(form.get(name), name, places, cast("dict[str, Any] | list[Any]", operations), settings)
        return parse_operations(operations, settings.max_batch)
    finally:
        await form.close()


def _json_field(form: FormData, name: str) -> Any:
    value = form.get(name)
    if not isinstance(value, str):
        raise BadRequest(f"{name}: is missing; a multipart request has the fields operations, map, then the files")
    return read_json(value, name)


async def _place(file: object, name: str, places: Any, operations: dict[str, Any] | list[Any], settings: Settings) -> None:
    if not isinstance(file, UploadFile):
        raise BadRequest(f"map: names the file {name[:64]!r}, which is not in the request")
    if (file.size or 0) > settings.file_bytes:
        raise PayloadTooLarge(f"file {name[:64]!r}: at most {settings.file_bytes} bytes, got {file.size}")
    if not isinstance(places, list) or not places:
        raise BadRequest(f"map.{name[:64]}: must be a list of paths as variables.file")
    content = await file.read()
    for place in cast("list[Any]", places):
        _set(operations, str(place), content)


def _set(operations: dict[str, Any] | list[Any], path: str, content: bytes) -> None:
    """Put a file's bytes in place of the null at a path as `variables.files.0`, or `0.variables.file` in a batch."""
    refused = BadRequest(f"map: {path[:100]!r} must lead to a null in the variables of operations")
    parts = path.split(".")
    if "variables" not in parts[: 1 + isinstance(operations, list)] or parts.index("variables") == len(parts) - 1 or len(parts) > 32:
        raise refused
    target: Any = operations
    try:
        for part in parts[:-1]:
            target = _step(target, part)
        if _step(target, parts[-1]) is not None:
            raise refused
    except (KeyError, IndexError, ValueError, TypeError):
        raise refused from None
    target[int(parts[-1]) if isinstance(target, list) else parts[-1]] = content


def _step(target: Any, part: str) -> Any:
    if isinstance(target, list):
        return cast("list[Any]", target)[int(part)]
    if isinstance(target, Mapping):
        return cast("Mapping[str, Any]", target)[part]
    raise TypeError(part)
