"""A GraphQL client for loads: one socket, many operations, and a way to lose it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

WAIT_S: Final = 60.0  # for anything that must happen; who waits so long has found a defect
_PROTOCOL: Final = Subprotocol("graphql-transport-ws")

Data = dict[str, Any]


class Lost(Exception):
    """The connection is gone; whether the server did what was asked is not known."""


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, errors: list[Data]) -> None:
        super().__init__(json.dumps(errors))
        self.code: str = errors[0].get("extensions", {}).get("code", "")


class Session:
    """One connection. `call` and `watch` may be used by many tasks at a time."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count()
        self._waiting: dict[str, asyncio.Queue[Data | None]] = {}
        self._reading = asyncio.ensure_future(self._read())

    async def call(self, query: str, **variables: object) -> Data:
        """Run a query or a mutation. Raises Lost, Refused."""
        async with asyncio.timeout(WAIT_S):
            results = self.watch(query, **variables)
            try:
                async for data in results:
                    return data
            finally:
                await results.aclose()
        raise Lost

    async def watch(self, query: str, **variables: object) -> AsyncGenerator[Data]:
        """Run an operation and yield the data of its results; to close it ends the operation. Raises Lost, Refused."""
        id_ = str(next(self._ids))
        queue = self._waiting[id_] = asyncio.Queue[Data | None]()
        complete = False
        try:
            await self._send({"id": id_, "type": "subscribe", "payload": {"query": query, "variables": variables}})
            while (message := await queue.get()) is not None:
                if message["type"] == "error":
                    complete = True
                    raise Refused(message["payload"])
                if message["type"] == "complete":
                    complete = True
                    return
                payload = message["payload"]
                if payload.get("errors"):
                    raise Refused(payload["errors"])
                yield payload["data"]
            raise Lost
        finally:
            del self._waiting[id_]
            if not complete:
                try:
                    await self._send({"id": id_, "type": "complete"})
                except Lost:
                    pass

    def drop(self) -> None:
        """Lose the connection as a laptop does whose lid closes: without a goodbye."""
        self._connection.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
        await asyncio.wait([self._reading])

    async def _send(self, message: Data) -> None:
        try:
            await self._connection.send(json.dumps(message))
        except ConnectionClosed:
            raise Lost from None

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                message = json.loads(text)
                queue = self._waiting.get(message.get("id", ""))
                if queue is not None:
                    queue.put_nowait(message)
        except ConnectionClosed:
            pass
        finally:
            for queue in self._waiting.values():
                queue.put_nowait(None)


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Session]:
    """Connect to a GraphQL socket and make the handshake. Raises Lost."""
    try:
        connection = await connect(url, subprotocols=[_PROTOCOL], max_size=None, open_timeout=WAIT_S, ping_interval=None)
        await connection.send('{"type": "connection_init"}')
        assert json.loads(await connection.recv()) == {"type": "connection_ack"}
    except (OSError, ConnectionClosed, TimeoutError):
        raise Lost from None
    session = Session(connection)
    try:
        yield session
    finally:
        await session.close()
