"""Work for a client who goes away is cancelled, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from starlette.types import Message

from sandql.server.client_watch import unless_gone
from sandql.server.request_body import ClientGone

pytestmark = pytest.mark.unit


class Client:
    """A client who stays until `leave` is set; `asked` says whether anybody looked."""

    def __init__(self) -> None:
        self.leave = asyncio.Event()
        self.asked = asyncio.Event()

    async def receive(self) -> Message:
        self.asked.set()
        await self.leave.wait()
        return {"type": "http.disconnect"}


class Work:
    """Work that never ends by itself; `cleaned_up` once it was cancelled and has had the time to clean up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cleaned_up = False

    async def run(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.cleaned_up = True


def run(test: Callable[[Client, Work], Coroutine[None, None, None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(10):
            await test(Client(), Work())

    asyncio.run(within())


def test_work_ends_when_its_client_has_gone() -> None:
    async def test(client: Client, work: Work) -> None:
        client.leave.set()
        with pytest.raises(ClientGone):
            await unless_gone(work.run(), client.receive)
        assert work.cleaned_up
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(test)


def test_work_that_has_ended_is_not_watched() -> None:
    async def test(client: Client, _work: Work) -> None:
        assert await unless_gone(asyncio.sleep(0, "value"), client.receive) == "value"
        assert not client.asked.is_set()

    run(test)


def test_what_work_raises_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("reason")

    async def test(client: Client, _work: Work) -> None:
        with pytest.raises(ValueError, match="reason"):
            await unless_gone(fail(), client.receive)

    run(test)


@pytest.mark.parametrize("leaves", [False, True])
def test_another_cancellation_stays_one(leaves: bool) -> None:
    async def test(client: Client, work: Work) -> None:
        task = asyncio.create_task(unless_gone(work.run(), client.receive))
        await client.asked.wait()
        if leaves:
            client.leave.set()
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        assert work.cleaned_up

    run(test)


def test_a_client_who_leaves_afterwards_cancels_nothing() -> None:
    async def answer(client: Client) -> str:
        await client.asked.wait()
        client.leave.set()
        await asyncio.sleep(0)
        return "value"

    async def test(client: Client, _work: Work) -> None:
        assert await unless_gone(answer(client), client.receive) == "value"
        for _ in range(5):
            await asyncio.sleep(0)

    run(test)
