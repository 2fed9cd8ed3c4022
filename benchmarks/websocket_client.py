"""A WebSocket client that only just understands graphql-transport-ws, so that it reads faster than any server writes."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any, Final

from benchmarks.failure import Failed

_TEXT: Final = 1
_CLOSE: Final = 8
_PING: Final = 9
_READ_BYTES: Final = 1 << 20
_WAIT_S: Final = 60.0
_RUN: Final = """subscription ($code: String!, $timeout: Int) {
  executeCode(code: $code, language: "python", timeout: $timeout) {
    ... on ExecutionOutput { text }
    ... on ExecutionCompleted { result { outcome } }
  }
}"""


class Socket:
    """An initialised connection. `close` it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S)
        self._buffer = bytearray()
        self._at = 0
        self._shake_hands()
        self.send({"type": "connection_init"})
        if json.loads(self.message()).get("type") != "connection_ack":
            raise Failed("the connection was not acknowledged")

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self._send_frame(_TEXT, json.dumps(message).encode())

    def run(self, id_: str, code: str, timeout_ms: int = 30_000) -> None:
        """Run a Python program and subscribe to its events."""
        self.send({"id": id_, "type": "subscribe", "payload": {"query": _RUN, "variables": {"code": code, "timeout": timeout_ms}}})

    def message(self) -> bytes:
        """The next message, not parsed. Pings are answered meanwhile. Raises Failed."""
        while True:
            kind, payload = self._frame()
            if kind == _TEXT:
                return payload
            if kind == _PING:
                self._send_frame(_PING + 1, payload)
            elif kind == _CLOSE:
                raise Failed(f"the server closed the socket: {payload[2:].decode()}")

    def close(self) -> None:
        """Close the connection, without a goodbye."""
        self._socket.close()

    def _shake_hands(self) -> None:
        self._socket.sendall(
            b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: c2FuZHFsLWJlbmNobWFyaw==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        )
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._fill()
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            raise Failed(self._buffer[:200].decode(errors="replace"))
        self._at = end + 4

    def _frame(self) -> tuple[int, bytes]:
        """The next frame (RFC 6455, section 5.2); the server sends each message in one."""
        first, size = self._take(2)
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return first & 0x0F, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            self._fill()
        data = bytes(memoryview(self._buffer)[self._at : self._at + size])
        self._at += size
        return data

    def _fill(self) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise Failed("the server closed the connection")
        self._buffer += data

    def _send_frame(self, kind: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        head = bytes((0x80 | kind, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
        repeated = mask * (size // 4 + 1)
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:size], "big")).to_bytes(size, "big")
        self._socket.sendall(head + mask + masked)
