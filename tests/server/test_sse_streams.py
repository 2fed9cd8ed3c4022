"""Event streams that are gone when an operation is to start on them."""

from __future__ import annotations

import pytest

from sandql.core.errors import NotFound
from sandql.server.sse_streams import EventStreams
from tests.support.engine import until
from tests.support.house import ALICE

pytestmark = pytest.mark.unit


async def _never() -> None:
    pytest.fail("it was started")


@pytest.mark.parametrize("was_open", [True, False])
async def test_nothing_starts_on_a_stream_that_is_over(was_open: bool) -> None:
    streams = EventStreams(most=4, max_operations=4, open_within_s=0)
    token = streams.reserve(ALICE)
    found = streams.find(ALICE, token)
    if was_open:
        async with streams.opened(ALICE, token):
            pass
    assert await until(lambda: found.is_over)
    with pytest.raises(NotFound, match="PUT"):
        found.start("1", _never())
