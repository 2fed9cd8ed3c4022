"""One real provider on one planted host for all attacks."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.attacks.house import House, open_house


@pytest.fixture(scope="package")
async def house() -> AsyncGenerator[House]:
    """The house under attack. Its end asserts that nothing is left."""
    async with open_house() as opened:
        yield opened
