"""The ASGI application: which address is answered by what, and what is open while it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute, request_response

from sandql.core.settings import Settings
from sandql.sandboxes.borrow import Sandboxes, open_sandboxes
from sandql.server.graphql_errors import internal_error
from sandql.server.graphql_execution import GraphQL
from sandql.server.graphql_http import GraphQLEndpoint
from sandql.server.health import health, live
from sandql.server.origins import OriginPolicy
from sandql.server.pages import Pages
from sandql.server.request_context import request_id_of
from sandql.server.request_id import RequestId
from sandql.server.shortcut import Shortcut
from sandql.server.sse_single import SingleStreamEndpoint
from sandql.server.websocket import GraphQLSocket

OpenSandboxes = Callable[[Settings], AbstractAsyncContextManager[Sandboxes]]


async def _to_graphql(request: Request) -> Response:
    return RedirectResponse(request.scope.get("root_path", "") + "/graphql")


async def _not_served(_request: Request, error: Exception) -> Response:
    """What no route takes, in the shape of every other error."""
    assert isinstance(error, HTTPException)
    code = "NOT_FOUND" if error.status_code == 404 else error.detail.upper().replace(" ", "_")
    body = {"errors": [{"message": error.detail, "extensions": {"code": code, "status": error.status_code}}]}
    return JSONResponse(body, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    request_id = request_id_of(request.scope)
    return JSONResponse({"errors": [internal_error(error, request_id)]}, 500, {"x-request-id": request_id})


def create_app(settings: Settings, *, opener: OpenSandboxes = open_sandboxes) -> Starlette:
    """The application, not yet started; its lifespan opens the sandboxes with `opener` and closes them on every way out."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[dict[str, Any]]:
        async with opener(settings) as sandboxes:
            yield {"sandboxes": sandboxes}

    graphql = GraphQL(settings)
    origins = OriginPolicy(settings)
    pages = Pages()
    endpoint = GraphQLEndpoint(graphql, settings, origins, request_response(pages.index))
    middleware = [Middleware(RequestId)]
    if settings.allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=[origin.rstrip("/") for origin in settings.allowed_origins],
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
            max_age=600,
        )
        middleware.append(cors)
    middleware.append(Middleware(Shortcut, path="/graphql", endpoint=endpoint))
    return Starlette(
        routes=[
            Route("/graphql", endpoint),
            WebSocketRoute("/graphql", GraphQLSocket(graphql, settings, origins)),
            Route("/graphql/stream", SingleStreamEndpoint(graphql, settings, origins)),
            Route("/graphiql/{path:path}", pages.file),
            Route("/health", health),
            Route("/live", live),
            Route("/", _to_graphql),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _not_served, Exception: _failed},
        lifespan=lifespan,
    )
