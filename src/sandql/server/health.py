"""Whether the server can do its work, for those who watch it. Starts no sandbox."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse

from sandql.resolvers.catalog import list_providers
from sandql.server.request_context import sandboxes_of

_NO_STORE = {"cache-control": "no-store"}


async def health(request: Request) -> JSONResponse:
    """200 when every provider can run code, else 503; `services` has a word for each, `providers` the reason and the isolation."""
    infos = list_providers(sandboxes_of(request.scope))
    healthy = all(info.available for info in infos)
    body = {
        "status": "healthy" if healthy else "degraded",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "services": {info.name: "healthy" if info.available else "unhealthy" for info in infos},
        "providers": {info.name: {"detail": info.detail, "isolation": asdict(info.isolation)} for info in infos},
    }
    return JSONResponse(body, 200 if healthy else 503, _NO_STORE)


async def live(_request: Request) -> JSONResponse:
    """200 as long as the server answers at all."""
    return JSONResponse({"status": "alive"}, headers=_NO_STORE)
