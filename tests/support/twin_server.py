"""The real server in a thread of the test, with the twin behind it, so that a test can see what a request did."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

from sandql.access.access import Access
from sandql.access.roles import Roles
from sandql.core.access_file import read_access_file
from sandql.core.settings import Settings, load_settings
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.breaker import Breaker
from sandql.sandboxes.durable import open_durable
from sandql.sandboxes.run_bounds import RunBounds
from sandql.server.app import create_app
from sandql.server.serve import Server, listen, make_server
from sandql.store.store import open_store
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
def running_twin(access: Access | None = None, bounds: RunBounds | None = None, *, keep: bool = False, **settings: object) -> Generator[TwinServer]:
    """Serve with these settings on a free port, and end on every way out. With `keep` there is a database in the state folder of the settings."""
    used = load_settings(port=0, **settings)
    twin = TwinProvider(used)

    @asynccontextmanager
    async def opener(opened: Settings) -> AsyncGenerator[Sandboxes]:
        admits = access or Access(roles=Roles(read_access_file(opened.access_file).roles), most_streams=opened.max_streams)
        breakers = {twin.name: Breaker(twin, opened.breaker_failures, opened.breaker_pause_s)}
        if not keep:
            yield Sandboxes(opened, {twin.name: twin}, access=admits, bounds=bounds, breakers=breakers)
            return
        async with (
            open_store(opened.database_url, opened.state_dir) as database,
            open_durable(opened, {twin.name: twin}, "twin", database, admits, breakers) as durable,
        ):
            yield Sandboxes(opened, {twin.name: twin}, durable, admits, bounds=bounds, breakers=breakers)

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
