"""A graphql-transport-ws client without manners of its own: it sends what it is told to."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

WAIT_S = 20  # for anything that must happen; a test that waits so long has failed

STREAM = """subscription ($code: String!, $sandboxId: ID, $timeout: Int) {
  executeCode(code: $code, language: "python", sandboxId: $sandboxId, timeout: $timeout) {
    __typename
    ... on ExecutionOutput { seq text }
    ... on ExecutionCompleted { seq result { outcome truncated } }
  }
}"""


class Socket:
    """One connection. `receive` answers the next message; `closed` what the server closed it with."""

    def __init__(self, connection: ClientConnection) -> None:
        self.raw = connection

    def send(self, message: Any) -> None:
        """Send a message as JSON, or a text as it is."""
        self.raw.send(message if isinstance(message, str) else json.dumps(message))

    def receive(self, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """The next message."""
        return json.loads(self.raw.recv(timeout_s))

    def init(self) -> None:
        """Make the handshake."""
        self.send({"type": "connection_init"})
        assert self.receive() == {"type": "connection_ack"}

    def subscribe(self, id_: str, query: str, **variables: object) -> None:
        """Start an operation."""
        self.send({"id": id_, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    def results(self, id_: str) -> list[dict[str, Any]]:
        """All results of an operation, up to its `complete`. Messages of others are passed over."""
        found: list[dict[str, Any]] = []
        while True:
            message = self.receive()
            if message.get("id") != id_:
                continue
            if message["type"] == "complete":
                return found
            assert message["type"] == "next", message
            found.append(message["payload"])

    def until_text(self, id_: str, text: str) -> None:
        """Wait until a subscription of `STREAM` has printed this."""
        while True:
            message = self.receive()
            assert message["type"] == "next", message
            if message["id"] == id_ and text in message["payload"]["data"]["executeCode"].get("text", ""):
                return

    def closed(self) -> tuple[int | None, str]:
        """Wait until the server has closed the connection; its code and reason. Messages before that are passed over."""
        try:
            while True:
                self.raw.recv(WAIT_S)
        except ConnectionClosed as error:
            return (None, "") if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)


@contextmanager
def socket(
    url: str,
    *,
    subprotocols: tuple[str, ...] = ("graphql-transport-ws",),
    origin: str | None = None,
    headers: Mapping[str, str] | None = None,
    init: bool = True,
) -> Generator[Socket]:
    """Connect, and make the handshake unless told not to."""
    names = [Subprotocol(name) for name in subprotocols] or None
    with connect(
        url,
        subprotocols=names,
        origin=None if origin is None else Origin(origin),
        additional_headers=headers,
        compression=None,
        max_size=None,
        max_queue=4,
        proxy=None,
        close_timeout=1,
    ) as connection:
        opened = Socket(connection)
        if init:
            opened.init()
        yield opened
