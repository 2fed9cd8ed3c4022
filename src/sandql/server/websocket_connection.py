"""One graphql-transport-ws connection: its handshake, its operations, its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from starlette.types import Receive, Send

from sandql.core.errors import Conflict, RateLimited, ResourceError, SandqlError, Unauthenticated
from sandql.server.credential_watch import CredentialWatch
from sandql.server.graphql_errors import RequestRefused, ending_refusal, refusal
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
from sandql.server.websocket_protocol import ENDING

_MAX_REPLIES: Final = 64  # pongs and refusals that wait for a client to read
_UNBROKEN_CHARS: Final = 64 * 1024  # of results that are written before others have their turn: a replay has many small ones
_SMALL_CHARS: Final = 4096  # that each result counts besides its own
_REASON_BYTES: Final = 123  # are all that a close frame has room for
_CLOSE_S: Final = 1.0  # a client that does not read is not waited for


Admit = Callable[[Mapping[str, Any] | None], Awaitable[CredentialWatch]]
"""Says who a client is by the payload of its `connection_init`; raises SandqlError where it is nobody."""

Execute = Callable[[Subscribe], AsyncGenerator[Result]]
"""Runs an operation and yields its results; raises RequestRefused. Closing the generator ends the operation."""


class _Gone(Exception):
    """The client is not there any more; `_take_messages` sees it too."""


class _Closed(Exception):
    """The connection must be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_REASON_BYTES].decode(errors="ignore")


_RESTART: Final = _Closed(1012, "Service Restart")


class Connection:
    """Serves one accepted socket until it ends; `serve` is called once.

    Each operation is a task that takes its next result only when the one before it has been handed to the transport, and the
    transport takes no more while the client leaves much unread. So a client that does not read holds back its own programs only.

    When the server ends, no operation is started any more, and the socket is closed with 1012, on which clients connect again, as soon as those
    that run have ended. Whoever is out of patience cancels `serve`: then they are ended, and the socket is closed at once.
    """

    def __init__(self, receive: Receive, send: Send, admit: Admit, execute: Execute, *, init_timeout_s: float, max_operations: int) -> None:
        self._receive = receive
        self._send = send
        self._admit = admit
        self._execute = execute
        self._init_timeout_s = init_timeout_s
        self._operations = OperationTasks(max_operations)
        self._writing = asyncio.Lock()
        self._replies: asyncio.Queue[str] = asyncio.Queue(_MAX_REPLIES)
        self._ending: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Take messages until either side closes; then every operation of this connection is ended, and waited for."""
        replier = asyncio.create_task(self._write_replies())
        async with self._operations:
            try:
                await self._take_messages()
            except _Closed as closed:
                self._operations.cancel()
                await self._close(closed)
            except asyncio.CancelledError:  # the time that the server has to end is over: nothing else cancels a connection
                self._operations.cancel()
                await self._close(_RESTART)
            finally:
                replier.cancel()
                if self._ending is not None:
                    self._ending.cancel()

    async def _take_messages(self) -> None:
        try:
            async with asyncio.timeout(self._init_timeout_s):
                watch = await self._initialise()
        except TimeoutError:
            raise _Closed(4408, "Connection initialisation timeout") from None
        if watch is None:
            return
        try:
            with watch:
                self._reply(ACK)
                while (text := await self._next()) is not None:
                    self._take(text[0])
        except Unauthenticated as error:
            raise _Closed(4403, f"Forbidden: {error.message}") from None
        except ResourceError as error:  # nobody can say whether the credential is valid
            raise _Closed(1013, f"Try again later: {error.message}") from None

    async def _initialise(self) -> CredentialWatch | None:
        """Take messages until the client has said who it is; None where it goes before that."""
        while (text := await self._next()) is not None:
            match self._parse(text[0]):
                case Control("connection_init", payload):
                    try:
                        return await self._admit(payload)
                    except Unauthenticated:
                        raise _Closed(4403, "Forbidden") from None
                    except SandqlError as error:
                        raise _Closed(1013, f"Try again later: {error.message}") from None
                case Control("ping"):
                    self._reply(PONG)
                case Subscribe():
                    raise _Closed(4401, "Unauthorized")
                case _:
                    pass  # a pong asks for nothing, and there is no operation that could be complete
        return None

    async def _next(self) -> tuple[str | None] | None:
        """The text of the next message, None in its place where it is not text; None where the client has gone."""
        await asyncio.sleep(0)  # `_receive` does not pause while messages are there: let the replies, and others, go on
        event = await self._receive()
        if event["type"] == ENDING:
            self._ending = asyncio.create_task(self._close_when_finished())
            event = await self._receive()
        return (event.get("text"),) if event["type"] == "websocket.receive" else None

    async def _close_when_finished(self) -> None:
        await self._operations.finished()
        await self._close(_RESTART)  # which `_receive` hears of

    def _parse(self, text: str | None) -> Control | Subscribe | Complete:
        try:
            return parse_message(text)
        except InvalidMessage as error:
            raise _Closed(4400, str(error)) from None

    def _take(self, text: str | None) -> None:
        match message := self._parse(text):
            case Control("connection_init"):
                raise _Closed(4429, "Too many initialisation requests")
            case Control("ping"):
                self._reply(PONG)
            case Control():
                pass  # a pong asks for nothing
            case Subscribe():
                self._start(message)
            case Complete(id_):
                self._operations.end(id_)

    def _start(self, asked: Subscribe) -> None:
        if self._ending is not None:
            self._reply(error_message(asked.id, ending_refusal().errors))
            return
        try:
            self._operations.start(asked.id, self._run(asked))
        except Conflict:
            name = asked.id.encode(errors="replace")[:80].decode(errors="ignore")  # a reason holds 123 bytes
            raise _Closed(4409, f"Subscriber for {name} already exists") from None
        except RateLimited as error:
            self._reply(error_message(asked.id, refusal(error).errors))

    async def _run(self, asked: Subscribe) -> None:
        """Run one operation to its end. It is ended by cancelling the task."""
        unbroken = 0
        try:
            try:
                async with aclosing(self._execute(asked)) as results:
                    async for result in results:
                        text = next_message(asked.id, result)
                        await self._write(text)
                        unbroken += len(text) + _SMALL_CHARS
                        if unbroken > _UNBROKEN_CHARS:
                            unbroken = 0
                            # Neither need wait: results that are always ready would let nothing else go on, not even `complete`.
                            await asyncio.sleep(0)
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
