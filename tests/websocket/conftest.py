"""One server for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Server, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server process with the real engine, whose waits are short."""
    with running_server(init_timeout_s=0.5, max_subscriptions=100) as running:
        yield running
