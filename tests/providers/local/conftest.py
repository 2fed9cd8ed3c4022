"""One engine with the default settings for the tests of this folder that need no other."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from sandql.providers.base import Provider
from tests.support.engine import open_provider


@pytest.fixture(scope="session")
async def provider() -> AsyncGenerator[Provider]:
    """A started local provider."""
    async with open_provider() as opened:
        yield opened
