"""One graphql-transport-ws connection: its handshake, its operations, its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from starlette.types import Receive, Send

from sandql.core.errors import Conflict, RateLimited
from sandql.server.graphql_errors import RequestRefused, refusal
from sandql.server.graphql_execution import Result
from sandql.server.operation_tasks import OperationTasks
from sandql.server.websocket_messages import (
    ACK,
    PONG,
    Complete,
    Control,
    InvalidMessage,
    Subscribe,
    complete_message,
    error_message,
    next_message,
    parse_message,
)

_MAX_REPLIES: Final = 64  # pongs and refusals that wait for a client to read
_CLOSE_S: Final = 1.0  # a client that does not read is not waited for


Execute = Callable[[Subscribe], AsyncGenerator[Result]]
"""Runs an operation and yields its results; raises RequestRefused. Closing the generator ends the operation."""


class _Gone(Exception):
    """The client is not there any more; `_take_messages` sees it too."""


class _Closed(Exception):
    """The connection must be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """Serves one accepted socket until it ends; `serve` is called once.

    Each operation is a task that takes its next result only when the one before it has been handed to the transport, and the
    transport takes no more while the client leaves much unread. So a client that does not read holds back its own programs only.
    """

    def __init__(self, receive: Receive, send: Send, execute: Execute, *, init_timeout_s: float, max_operations: int) -> None:
        self._receive = receive
        self._send = send
        self._execute = execute
        self._init_timeout_s = init_timeout_s
        self._initialised = False
        self._operations = OperationTasks(max_operations)
        self._writing = asyncio.Lock()
        self._replies: asyncio.Queue[str] = asyncio.Queue(_MAX_REPLIES)

    async def serve(self) -> None:
        """Take messages until either side closes; then every operation of this connection is ended, and waited for."""
        replier = asyncio.create_task(self._write_replies())
        async with self._operations:
            try:
                await self._take_messages()
            except _Closed as closed:
                self._operations.cancel()
                await self._close(closed)
            finally:
                replier.cancel()

    async def _take_messages(self) -> None:
        try:
            async with asyncio.timeout(self._init_timeout_s) as deadline:
                while (event := await self._receive())["type"] == "websocket.receive":
                    self._take(event.get("text"))
                    if self._initialised:
                        deadline.reschedule(None)
                    await asyncio.sleep(0)  # `_receive` does not pause while messages are there: let the replies, and others, go on
        except TimeoutError:
            raise _Closed(4408, "Connection initialisation timeout") from None

    def _take(self, text: str | None) -> None:
        try:
            message = parse_message(text)
        except InvalidMessage as error:
            raise _Closed(4400, str(error)) from None
        match message:
            case Control("connection_init"):
                if self._initialised:
                    raise _Closed(4429, "Too many initialisation requests")
                self._initialised = True
                self._reply(ACK)
            case Control("ping"):
                self._reply(PONG)
            case Control():
                pass  # a pong asks for nothing
            case Subscribe():
                self._start(message)
            case Complete(id_):
                self._operations.end(id_)

    def _start(self, asked: Subscribe) -> None:
        if not self._initialised:
            raise _Closed(4401, "Unauthorized")
        try:
            self._operations.start(asked.id, self._run(asked))
        except Conflict:
            name = asked.id.encode(errors="replace")[:80].decode(errors="ignore")  # a reason holds 123 bytes
            raise _Closed(4409, f"Subscriber for {name} already exists") from None
        except RateLimited as error:
            self._reply(error_message(asked.id, refusal(error).errors))

    async def _run(self, asked: Subscribe) -> None:
        """Run one operation to its end. It is ended by cancelling the task."""
        try:
            try:
                async with aclosing(self._execute(asked)) as results:
                    async for result in results:
                        await self._write(next_message(asked.id, result))
                        await asyncio.sleep(0)  # neither need wait: results that are always ready would let nothing else go on, not even `complete`
            except RequestRefused as refused:
                last = error_message(asked.id, refused.errors)
            else:
                last = complete_message(asked.id)
            self._operations.release_id(asked.id)  # the client may use the id again as soon as it reads this
            await self._write(last)
        except _Gone:
            pass
        finally:
            self._operations.release_id(asked.id)

    async def _write(self, text: str) -> None:
        async with self._writing:  # one at a time: when the client reads again, they must not all be written at once
            try:
                await self._send({"type": "websocket.send", "text": text})
            except OSError:
                raise _Gone from None

    def _reply(self, text: str) -> None:
        try:
            self._replies.put_nowait(text)
        except asyncio.QueueFull:
            raise _Closed(4400, f"{_MAX_REPLIES} replies wait to be read; read them before sending more") from None

    async def _write_replies(self) -> None:
        """Write what `_take` answers: it must not wait itself, or a `complete` behind a ping would be seen late."""
        try:
            while True:
                await self._write(await self._replies.get())
        except _Gone:
            pass

    async def _close(self, ending: _Closed) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._send({"type": "websocket.close", "code": ending.code, "reason": ending.reason})
        except OSError:  # TimeoutError is one
            pass
