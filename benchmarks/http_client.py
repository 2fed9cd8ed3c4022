"""A load generator that costs little, since it shares the server's cores: raw sockets, requests built once, answers compared whole."""

from __future__ import annotations

import json
import select
import socket
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from benchmarks.failure import Failed

_RUN: Final = "mutation ($code: String!, $language: String!) { executeCode(code: $code, language: $language) { output success } }"
_LENGTH: Final = b"content-length: "
_READ_BYTES: Final = 65_536
_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Question:
    """A request as bytes, and the body that must come back; `expected` is None where it may be any success."""

    request: bytes
    expected: bytes | None


def question(query: str, variables: dict[str, Any] | None = None, expected: object = None, *, token: str | None = None) -> Question:
    """A GraphQL request, of whom the token is; `expected` is the `data` that it must bring."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    proof = "" if token is None else f"authorization: Bearer {token}\r\n"
    head = f"POST /graphql HTTP/1.1\r\nhost: localhost\r\n{proof}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    answer = None if expected is None else json.dumps({"data": expected}, separators=(",", ":")).encode()
    return Question(head.encode() + body, answer)


def run_code(code: str, language: str, *, token: str | None = None) -> Question:
    """Run a program that prints 1, in a fresh sandbox."""
    return question(_RUN, {"code": code, "language": language}, {"executeCode": {"output": "1\n", "success": True}}, token=token)


class Connection:
    """A connection that is kept alive. `close` it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def send(self, asked: Question) -> None:
        """Send a request."""
        self._socket.sendall(asked.request)

    def receive(self, asked: Question) -> bytes | None:
        """Take what has come; the body when it is whole, else None. Raises Failed."""
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise Failed("the server closed the connection")
        self._received += data
        head_end = self._received.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return None
        at = self._received.find(_LENGTH, 0, head_end) + len(_LENGTH)
        length = int(self._received[at : self._received.index(b"\r", at)])
        if len(self._received) < head_end + length:
            return None
        body = self._received[head_end : head_end + length]
        self._received = self._received[head_end + length :]
        if asked.expected is not None and body != asked.expected:
            raise Failed(f"expected {asked.expected[:200]!r}, got {body[:500]!r}")
        return body

    def ask(self, asked: Question) -> float:
        """Send a request and wait for its answer; returns the seconds between. Raises Failed."""
        began = perf_counter()
        self.send(asked)
        while self.receive(asked) is None:
            pass
        return perf_counter() - began

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Load:
    """What a load was: seconds for each request, and for all."""

    latencies_s: list[float]
    elapsed_s: float

    @property
    def per_s(self) -> float:
        """Requests in a second."""
        return len(self.latencies_s) / self.elapsed_s


def load(port: int, asked: Question, at_once: int, *, seconds: float = 0.0, most: int | None = None) -> Load:
    """Keep `at_once` requests on their way, each on a connection of its own, for `seconds` or until `most` were sent.

    Raises:
        Failed: an answer was not the expected one.
    """
    connections = {connection.fileno(): connection for connection in (Connection(port) for _ in range(at_once))}
    try:
        for connection in connections.values():  # opening a connection is not what is measured
            connection.ask(asked)
        return _drive(connections, asked, seconds, most)
    finally:
        for connection in connections.values():
            connection.close()


def _drive(connections: dict[int, Connection], asked: Question, seconds: float, most: int | None) -> Load:
    epoll = select.epoll()
    sent_at: dict[int, float] = {}
    latencies: list[float] = []
    began = perf_counter()
    sent = 0
    for fd, connection in connections.items():
        epoll.register(fd, select.EPOLLIN)
        sent_at[fd] = perf_counter()
        connection.send(asked)
        sent += 1
    while len(latencies) < sent:
        ready = epoll.poll(_WAIT_S)
        if not ready:
            raise Failed(f"no answer within {_WAIT_S:.0f} s; {sent - len(latencies)} requests wait for one")
        for fd, _ in ready:
            connection = connections[fd]
            if connection.receive(asked) is None:
                continue
            now = perf_counter()
            latencies.append(now - sent_at[fd])
            if sent < most if most is not None else now - began < seconds:
                sent_at[fd] = now
                connection.send(asked)
                sent += 1
    epoll.close()
    return Load(latencies, perf_counter() - began)
