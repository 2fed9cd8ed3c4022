"""Where Prometheus reads: an own listener, so that the public one need not show what goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandql.core.errors import Forbidden
from sandql.core.log import get_logger
from sandql.core.metrics import CONTENT_TYPE, Metrics
from sandql.core.permissions import Permission
from sandql.core.settings import Settings, SettingsError
from sandql.server.graphql_errors import refusal
from sandql.server.request_context import caller_of, sandboxes_of

_PATIENCE_S: Final = 5.0  # for a head to come, and for an answer to be taken
_HEAD_BYTES: Final = 16 * 1024
_log = get_logger(__name__)


async def public_metrics(request: Request) -> Response:
    """What the house counts, at the server's own address, for administrators."""
    if Permission.ADMINISTER not in caller_of(request.scope).permissions.allowed:
        refused = refusal(Forbidden(f"/metrics: needs the permission {Permission.ADMINISTER}"))
        return JSONResponse({"errors": refused.errors}, refused.status)
    metrics = sandboxes_of(request.scope).metrics
    assert metrics is not None, "the route is there only with SANDQL_METRICS_PUBLIC"
    return Response(metrics.write(), media_type=CONTENT_TYPE, headers={"cache-control": "no-store"})


@asynccontextmanager
async def metrics_listener(settings: Settings, metrics: Metrics | None) -> AsyncGenerator[None]:
    """Listen at `metrics_host` and `metrics_port`, if there is a port, and stop on every way out. Raises SettingsError."""
    if settings.metrics_port is None or metrics is None:
        yield
        return
    try:
        listener = await asyncio.start_server(partial(_answer, metrics), settings.metrics_host, settings.metrics_port, limit=_HEAD_BYTES)
    except OSError as error:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        raise SettingsError(f"SANDQL_METRICS_HOST, SANDQL_METRICS_PORT: cannot listen at {where}: {error.strerror or error}") from None
    host, port = listener.sockets[0].getsockname()[:2]
    _log.info("metrics are ready", address=f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics")
    try:
        yield
    finally:
        listener.close()


async def _answer(metrics: Metrics, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request and close: a scrape every few seconds needs no more."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            line, _, _ = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
            method, _, rest = line.partition(b" ")
            found = method == b"GET" and rest.partition(b" ")[0].partition(b"?")[0] == b"/metrics"
            status, body = (b"200 OK", metrics.write()) if found else (b"404 Not Found", b"GET /metrics\n")
            kind = CONTENT_TYPE.encode() if found else b"text/plain; charset=utf-8"
            head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, kind, len(body))
            writer.write(head + body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # whoever it was does not keep to the bounds, or is gone
    finally:
        writer.transport.abort()
