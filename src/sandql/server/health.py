"""Whether the server can do its work, for those who watch it. Starts no sandbox."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse

from sandql.core.log import get_logger
from sandql.resolvers.catalog import list_providers
from sandql.server.request_context import sandboxes_of
from sandql.store.store import Store

_NO_STORE: Final = {"cache-control": "no-store"}
_TRUSTED_S: Final = 3.0  # for which an answer of the database is good enough
_PATIENCE_S: Final = 2.0  # for the database to answer
_log = get_logger(__name__)


class Health:
    """Answers `/health`. `draining` is set when the server begins to end: no new work should be sent to it."""

    def __init__(self) -> None:
        self.draining = False
        self._database_is_healthy = True
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def answer(self, request: Request) -> JSONResponse:
        """200 when every provider can run code and the database answers, else 503; `services` has a word for each."""
        sandboxes = sandboxes_of(request.scope)
        infos = list_providers(sandboxes)
        services = {info.name: "healthy" if info.available else "unhealthy" for info in infos}
        if (store := sandboxes.store) is not None:
            services["database"] = "healthy" if await self._database(store) else "unhealthy"
        healthy = all(service == "healthy" for service in services.values())
        body: dict[str, Any] = {
            "status": "draining" if self.draining else "healthy" if healthy else "degraded",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "services": services,
            "providers": {info.name: {"detail": info.detail, "breaker": info.breaker, "isolation": asdict(info.isolation)} for info in infos},
        }
        if sandboxes.access.rates is not None:  # where Redis does not answer each server counts rates alone, and works all the same
            body["rateLimits"] = {"degraded": sandboxes.access.rates.degraded}
        return JSONResponse(body, 200 if healthy and not self.draining else 503, _NO_STORE)

    async def _database(self, store: Store) -> bool:
        """Whether the database answers: asked once every few seconds, however many ask here."""
        if self._asking is None and time.monotonic() - self._asked_at > _TRUSTED_S:
            self._asking = asyncio.create_task(self._ask(store))
        if self._asking is not None:
            await asyncio.shield(self._asking)
        return self._database_is_healthy

    async def _ask(self, store: Store) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await store.read(_select_one)
            self._database_is_healthy = True
        except Exception as error:  # whatever it is, it does not answer
            if self._database_is_healthy:
                _log.warning("the database does not answer", reason=type(error).__name__)
            self._database_is_healthy = False
        finally:
            self._asked_at = time.monotonic()
            self._asking = None


async def _select_one(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT 1"))


async def live(_request: Request) -> JSONResponse:
    """200 as long as the server answers at all."""
    return JSONResponse({"status": "alive"}, headers=_NO_STORE)
