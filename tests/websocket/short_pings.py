"""The server with pings so often that a test need not wait for them: `python -m tests.websocket.short_pings`."""

from __future__ import annotations

from sandql.core.settings import load_settings
from sandql.server.app import create_app
from sandql.server.serve import listen, make_server


def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings()
    with listen(settings) as listening:
        server = make_server(create_app(settings), settings)
        server.config.ws_ping_interval = 0.1
        server.config.ws_ping_timeout = 1.0
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
