"""What tests look for in the events of an execution of Alice's."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from sandql.core.values import Completed, Event, Output
from sandql.resolvers import executions
from sandql.sandboxes.borrow import Sandboxes
from tests.support.house import ALICE


async def watched(house: Sandboxes, id_: str, after: int = 0) -> list[Event]:
    """All events behind one, up to the end."""
    async with asyncio.timeout(30), aclosing(executions.watch_execution(house, ALICE, id_, after)) as events:
        return [event async for event in events]


async def until_printed(house: Sandboxes, id_: str, text: bytes) -> None:
    """Wait until a run has printed something."""
    seen = b""
    async with asyncio.timeout(30), aclosing(executions.watch_execution(house, ALICE, id_, 0)) as events:
        async for event in events:
            seen += event.data if isinstance(event, Output) else b""
            if text in seen:
                return
    raise AssertionError(f"it printed {seen!r}")


def text_of(events: list[Event]) -> str:
    """What it printed."""
    return b"".join(event.data for event in events if isinstance(event, Output)).decode("utf-8", "replace")


def end_of(events: list[Event]) -> Completed:
    """Its last event."""
    last = events[-1]
    assert isinstance(last, Completed)
    return last
