"""The short way to the address that most requests are for."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Shortcut:
    """ASGI middleware, the last one: HTTP requests for `path` go to `endpoint` past the router, whose layers cost more than all before it."""

    def __init__(self, app: ASGIApp, path: str, endpoint: ASGIApp) -> None:
        self.app = app
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == scope.get("root_path", "") + self._path:
            await self._endpoint(scope, receive, send)
        else:
            await self.app(scope, receive, send)
