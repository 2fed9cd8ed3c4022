"""One server and one set of npm packages for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import npm_ci
from tests.support.server import Server, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server process with the real engine."""
    with running_server() as running:
        yield running


@pytest.fixture(scope="session")
def scripts() -> Path:
    """The folder of the node scripts, their packages installed."""
    return npm_ci(Path(__file__).parent)
