"""Each provider of the registry, really started, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from sandql.providers.base import Provider
from sandql.providers.registry import provider_names
from tests.support.engine import open_provider


@pytest.fixture(scope="session", params=provider_names())
async def provider(request: pytest.FixtureRequest) -> AsyncGenerator[Provider]:
    """A started provider."""
    async with open_provider(request.param) as opened:
        yield opened
