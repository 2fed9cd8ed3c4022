"""The real server in a thread of the test, with the twin behind it, so that a test can see what a request did."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

from sandql.core.settings import Settings, load_settings
from sandql.sandboxes.borrow import Sandboxes
from sandql.server.app import create_app
from sandql.server.serve import Server, listen, make_server
from tests.support.twin import TwinProvider

_WAIT_S = 10.0


@dataclass(frozen=True)
class TwinServer:
    """A server that answers, and the provider behind it."""

    port: int
    settings: Settings
    twin: TwinProvider
    server: Server

    @property
    def url(self) -> str:
        """Where GraphQL is."""
        return f"http://127.0.0.1:{self.port}/graphql"


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = _WAIT_S) -> float:
    """Wait until a condition holds, and answer how many seconds that took. Raises AssertionError."""
    start = monotonic()
    while not condition():
        assert monotonic() - start < timeout_s, f"{what}: not within {timeout_s} s"
        sleep(0.002)
    return monotonic() - start


@contextmanager
def running_twin(**settings: object) -> Generator[TwinServer]:
    """Serve with these settings on a free port, and end on every way out."""
    used = load_settings(port=0, **settings)
    twin = TwinProvider(used)

    @asynccontextmanager
    async def opener(opened: Settings) -> AsyncGenerator[Sandboxes]:
        yield Sandboxes(opened, {twin.name: twin})

    with listen(used) as listening:
        server = make_server(create_app(used, opener=opener), used)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            wait_for(lambda: server.started or not thread.is_alive(), "the server's start")
            yield TwinServer(listening.getsockname()[1], used, twin, server)
        finally:
            server.should_exit = True
            thread.join(_WAIT_S)
            assert not thread.is_alive(), "the server did not end"
