"""The event streams of graphql-sse's single connection mode: reservations, their operations, and what waits to be sent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from sandql.core.errors import Conflict, NotFound, RateLimited
from sandql.core.values import Caller
from sandql.server.graphql_errors import ErrorDict
from sandql.server.json_bytes import encode_json
from sandql.server.operation_tasks import OperationTasks

_WAITING: Final = 2  # events ready to be sent; an operation goes on when there is room for its next
_SHARES: Final = 2  # of all streams, of which a caller has one at most
_TOKEN_BYTES: Final = 32
_UNKNOWN: Final = "no event stream of yours has this token; reserve one with PUT"


def next_event(id_: str, result: Mapping[str, Any]) -> bytes:
    """A result of an operation."""
    return b"event: next\ndata: " + encode_json({"id": id_, "payload": result}) + b"\n\n"


def complete_event(id_: str) -> bytes:
    """The end of an operation."""
    return b"event: complete\ndata: " + encode_json({"id": id_}) + b"\n\n"


class EventStream:
    """One reservation, and the stream that fulfils it."""

    def __init__(self, caller: Caller, max_operations: int) -> None:
        self.caller = caller
        self.operations = OperationTasks(max_operations)
        self.is_open = False
        self.is_over = False
        self._events: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._unfinished: set[str] = set()

    async def next_result(self, id_: str, result: Mapping[str, Any]) -> None:
        """Hand over a result of an operation; waits until there is room."""
        await self._events.put(next_event(id_, result))

    def start(self, id_: str, work: Coroutine[None, None, None]) -> None:
        """Run `work` as the operation of that id. Raises as `OperationTasks.start`, and NotFound: the stream is over."""
        if self.is_over:  # since it was found
            work.close()
            raise NotFound(_UNKNOWN)
        self.operations.start(id_, work)
        self._unfinished.add(id_)

    def end(self, id_: str) -> None:
        """Cancel the operation of that id, if there is one. Nothing more is said of it."""
        self.operations.end(id_)
        self._unfinished.discard(id_)

    async def complete(self, id_: str) -> None:
        """Hand over the end of an operation; waits until there is room."""
        await self._events.put(complete_event(id_))
        self._unfinished.discard(id_)

    def last_events(self, errors: list[ErrorDict]) -> list[bytes]:
        """End all operations; what is to be sent still, and of each that had not ended why it has now."""
        self.operations.cancel()
        waiting = [self._events.get_nowait() for _ in range(self._events.qsize())]
        return [*waiting, *(next_event(id_, {"errors": errors}) + complete_event(id_) for id_ in sorted(self._unfinished))]

    async def take(self) -> bytes:
        """The next event, as it is sent."""
        return await self._events.get()


class EventStreams:
    """All reservations of the server, by their tokens. A token is of use to the caller who was given it only."""

    def __init__(self, *, most: int, max_operations: int, open_within_s: float) -> None:
        self._most = most
        self._max_operations = max_operations
        self._open_within_s = open_within_s
        self._streams: dict[str, EventStream] = {}

    def reserve(self, caller: Caller) -> str:
        """A token for a stream, to be opened within `open_within_s`.

        Raises:
            RateLimited: there are too many already.
        """
        if len(self._streams) >= self._most:
            message = f"at most {self._most} event streams at one time, and there are as many; try again later"
            raise RateLimited(message, retry_after_s=self._open_within_s)
        own = sum(stream.caller.subject == caller.subject for stream in self._streams.values())
        if own >= (share := max(1, self._most // _SHARES)):
            message = f"at most {share} event streams of a caller at one time, and you have as many; close one first"
            raise RateLimited(message, retry_after_s=self._open_within_s)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._streams[token] = EventStream(caller, self._max_operations)
        asyncio.get_running_loop().call_later(self._open_within_s, self._drop_unopened, token)
        return token

    def find(self, caller: Caller, token: str) -> EventStream:
        """The stream of that token. Raises NotFound."""
        stream = self._streams.get(token)
        if stream is None or stream.caller.subject != caller.subject:
            raise NotFound(_UNKNOWN)
        return stream

    @asynccontextmanager
    async def opened(self, caller: Caller, token: str) -> AsyncGenerator[EventStream]:
        """The stream of that token, while it is open; afterwards the token is void and the stream's operations are ended.

        Raises:
            NotFound: the caller has no such token.
            Conflict: the stream is open already.
        """
        stream = self.find(caller, token)
        if stream.is_open:
            raise Conflict("this event stream is open already; reserve another with PUT")
        stream.is_open = True
        async with stream.operations:
            try:
                yield stream
            finally:
                self._forget(token)  # first, so that no operation starts while they are being ended

    def _drop_unopened(self, token: str) -> None:
        stream = self._streams.get(token)
        if stream is not None and not stream.is_open:
            self._forget(token)
            stream.operations.cancel()

    def _forget(self, token: str) -> None:
        self._streams.pop(token).is_over = True
