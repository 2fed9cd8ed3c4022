"""The ASGI application: which address is answered by what, and what is open while it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute, request_response

from sandql.access.address_limits import AddressLimits
from sandql.access.callers import open_authenticator
from sandql.core.settings import Settings, SettingsError
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.house import open_sandboxes
from sandql.server.authenticate import Authenticate
from sandql.server.file_routes import FileEndpoint
from sandql.server.graphql_errors import internal_error
from sandql.server.graphql_execution import GraphQL
from sandql.server.graphql_http import GraphQLEndpoint
from sandql.server.health import Health, live
from sandql.server.origins import OriginPolicy
from sandql.server.pages import Pages
from sandql.server.rate_headers import RateHeaders
from sandql.server.request_context import request_id_of
from sandql.server.request_id import RequestId
from sandql.server.request_watch import RequestWatch
from sandql.server.routes import RouteNames
from sandql.server.shortcut import Shortcut
from sandql.server.sse_single import SingleStreamEndpoint
from sandql.server.websocket import GraphQLSocket

_EXPOSED: Final = (
    *("x-request-id", "retry-after", "ratelimit", "ratelimit-policy"),
    *("etag", "content-range", "accept-ranges", "upload-offset", "content-disposition"),
)

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


def _metrics_door(settings: Settings, sandboxes: Sandboxes) -> AbstractAsyncContextManager[None]:
    if settings.metrics_port is None:
        return nullcontext()
    from sandql.server.metrics_door import metrics_listener  # not imported where nobody reads them

    return metrics_listener(settings, sandboxes.metrics)


def _tracing(settings: Settings) -> AbstractAsyncContextManager[object]:
    """What begins traces, where a collector is to have them. Raises SettingsError."""
    if settings.otlp_endpoint is None:
        return nullcontext()
    if not settings.otlp_endpoint.startswith(("http://", "https://")):
        raise SettingsError("SANDQL_OTLP_ENDPOINT: must begin with http:// or https://")
    try:
        from sandql.server.otel import open_tracing  # an extra, and not imported where nobody traces
    except ImportError:
        raise SettingsError("SANDQL_OTLP_ENDPOINT: needs the extra `otel`: pip install 'sandql[otel]'") from None
    return open_tracing(settings.otlp_endpoint)


async def _public_metrics(request: Request) -> Response:
    from sandql.server.metrics_door import public_metrics

    return await public_metrics(request)


def create_app(settings: Settings, *, opener: OpenSandboxes = open_sandboxes) -> Starlette:
    """The application, not yet started; its lifespan opens the sandboxes with `opener` and closes them on every way out.

    Raises:
        SettingsError: a setting of the doors is not acceptable.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[dict[str, Any]]:
        async with (
            _tracing(settings) as tracing,  # closed last: what runs until the end has spans too
            opener(settings) as sandboxes,
            open_authenticator(settings, sandboxes.api_keys, sandboxes.access) as authenticator,
            _metrics_door(settings, sandboxes),
        ):
            yield {"sandboxes": sandboxes, "authenticator": authenticator, "address_limits": address_limits, "health": health, "tracing": tracing}

    health = Health()
    address_limits = AddressLimits(settings.address_rate)
    graphql = GraphQL(settings)
    origins = OriginPolicy(settings)
    pages = Pages()
    files = FileEndpoint(settings, origins)
    endpoint = GraphQLEndpoint(graphql, settings, origins, request_response(pages.index))
    routes = [
        Route("/graphql", endpoint),
        WebSocketRoute("/graphql", GraphQLSocket(graphql, settings, origins)),
        Route("/graphql/stream", SingleStreamEndpoint(graphql, settings, origins)),
        Route("/graphiql/{path:path}", pages.file),
        Route("/sandboxes/{id}/files", files),
        Route("/sandboxes/{id}/files/{path:path}", files),
        Route("/health", health.answer),
        Route("/live", live),
        Route("/", _to_graphql),
    ]
    if settings.metrics_public:
        routes.append(Route("/metrics", _public_metrics))
    middleware = [
        Middleware(RequestId),
        Middleware(RequestWatch, routes=RouteNames(routes), log=settings.request_log),
        Middleware(RateHeaders),
    ]
    if settings.allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=600,
        )
        middleware.append(cors)
    middleware.append(Middleware(Authenticate, settings=settings))
    middleware.append(Middleware(Shortcut, path="/graphql", endpoint=endpoint))
    return Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={HTTPException: _not_served, Exception: _failed},
        lifespan=lifespan,
    )
