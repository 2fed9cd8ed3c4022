"""Serving: the application on a socket, until a signal ends it."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from sandql.core.settings import Settings, SettingsError
from sandql.server.app import create_app
from sandql.server.http_protocol import HttpProtocol
from sandql.server.websocket_protocol import WebSocketProtocol

_KEEP_ALIVE_S: Final = 60
_SWITCH_S: Final = 0.0005
_BACKLOG: Final = 2048
_WS_PING_S: Final = 20.0
_WS_PONG_S: Final = 60.0  # a client that does not read answers no ping either: this is how long it may hold its program back


class Lifespan(LifespanOn):
    """Opens and closes the application. `refused` is the setting with which it could not be opened: the log is not told."""

    refused: SettingsError | None = None

    async def send(self, message: LifespanSendMessage) -> None:
        """Hear from the application."""
        error = sys.exception()
        if message["type"] == "lifespan.startup.failed" and isinstance(error, SettingsError):
            self.refused = error
            message["message"] = ""
        await super().send(message)


class Server(uvicorn.Server):
    """A uvicorn server that says where it can be reached, once it can, and takes a signal as the request to end well."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application and the sockets. Raises SettingsError."""
        self.lifespan = lifespan = Lifespan(self.config)
        try:
            await super().startup(sockets)
        except SystemExit:
            if lifespan.refused is not None:
                raise lifespan.refused from None
            raise
        state = self.server_state
        if (sandboxes := lifespan.state.get("sandboxes")) is not None and sandboxes.metrics is not None:
            sandboxes.metrics.connections = lambda: len(state.connections)
        # Files and the database are worked on in threads, and a busy event loop keeps each of them waiting this long, time and again.
        sys.setswitchinterval(_SWITCH_S)
        gc.collect()
        gc.freeze()  # what is there by now stays: no collection has to look at it again
        gc.enable()
        for listening in sockets or ():
            host, port = listening.getsockname()[:2]
            sys.stdout.write(f"sandql is ready at http://{f'[{host}]' if ':' in host else host}:{port}/graphql\n")
            sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End when what runs has had its time, or at once when interrupted a second time."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        if (health := self.lifespan.state.get("health")) is not None:
            health.draining = True


def listen(settings: Settings) -> socket.socket:
    """A listening socket at `settings.host` and `settings.port`, where 0 takes a free one.

    Raises:
        SettingsError: the address cannot be used, or must not be without authentication.
    """
    if not (settings.is_loopback or settings.requires_credentials or settings.allow_unauthenticated):
        raise SettingsError(
            f"SANDQL_HOST: {settings.host!r} can be reached by other machines, and anyone who reaches it could run code; use 127.0.0.1, "
            "set SANDQL_AUTH=required and make API keys or set up tokens, or set SANDQL_ALLOW_UNAUTHENTICATED=true if that is meant"
        )
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)  # pyright: ignore[reportArgumentType]  (host and port)
    except OSError as error:
        raise SettingsError(f"SANDQL_HOST, SANDQL_PORT: cannot listen at {settings.host}:{settings.port}: {error.strerror or error}") from None


def make_server(app: ASGIApp, settings: Settings) -> Server:
    """A server for an application, to be run with the sockets of `listen`."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=settings.body_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=_WS_PING_S,
        ws_ping_timeout=_WS_PONG_S,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.drain_s,  # pyright: ignore[reportArgumentType]  (it is a time for asyncio, in seconds)
    )
    return Server(config)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: the address cannot be used, or must not be without authentication; the state folder or the database cannot be used.
    """
    with listen(settings) as listening:
        make_server(create_app(settings), settings).run(sockets=[listening])
