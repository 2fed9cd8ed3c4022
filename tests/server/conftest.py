"""One server with the twin for all tests of this folder, and a client that looks like a simple one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from tests.support.twin_server import TwinServer, running_twin

Post = Callable[..., httpx2.Response]


@pytest.fixture(scope="session")
def served() -> Iterator[TwinServer]:
    """A server whose waits are short."""
    with running_twin(body_timeout_s=0.5) as server:
        yield server


@pytest.fixture(scope="session")
def client() -> Iterator[httpx2.Client]:
    """Sends what it is told to, and nothing by itself but what every HTTP client does."""
    with httpx2.Client(timeout=10) as made:
        yield made


@pytest.fixture
def post(served: TwinServer, client: httpx2.Client) -> Post:
    """Post one operation as JSON; keyword arguments but `headers` are members of the body."""

    def send(query: Any, *, headers: dict[str, str] | None = None, **members: Any) -> httpx2.Response:
        return client.post(served.url, json={"query": query, **members}, headers=headers)

    return send
