"""A thousand requests that make no sense, by a fixed seed: each is answered or refused, and none is a defect of the server."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator

from tests.support.twin_server import TwinServer

WORDS = [
    "{",
    "}",
    "(",
    ")",
    "query",
    "mutation",
    "subscription",
    "fragment F on Query",
    "...F",
    "__typename",
    "languages",
    "name",
    "$a",
    ":",
    "!",
    "[",
    "]",
]
MORE_WORDS = [
    "executeCode",
    '"',
    '"""',
    "\\u0000",
    "\ud800",
    "é",
    "#",
    "\0",
    "@include",
    "(if: $a)",
    "1e999",
    "null",
    "-",
    "&",
    "|",
    "\n",
    "__schema",
    "types",
    "a" * 300,
]
TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain",
    "",
    "a/b;;;=",
    "\xff",
]
ACCEPTS = [
    "*/*",
    "application/json",
    "application/graphql-response+json",
    "text/event-stream",
    "text/html",
    "",
    ";;,,q=,",
    "a/b;q=x",
    "multipart/mixed;subscriptionSpec=1.0",
]
METHODS = ["POST"] * 6 + ["GET", "GET", "HEAD", "PUT", "BREW", "OPTIONS"]


def bodies(choose: random.Random) -> Iterator[bytes]:
    """Bodies without end, from nearly right to noise."""
    while True:
        text = " ".join(choose.choices(WORDS + MORE_WORDS, k=choose.randrange(1, 40)))
        value = choose.choice([text, None, 5, [], {}, [text], {"query": text}, [{"query": text}] * 3, {"query": {"a": 1}}, True, 1e308])
        members = {"query": choose.choice([text, "{ __typename }", value]), "variables": choose.choice([None, {}, value, {"a": value}])}
        members |= {
            "operationName": choose.choice([None, "", text, value]),
            "extensions": choose.choice([None, {}, value, {"persistedQuery": value}]),
        }
        good = json.dumps(choose.choice([members, value, [members]])).encode("utf-8", "replace")
        cut = choose.randrange(len(good) + 1)
        yield choose.choice(
            [
                good,
                good,
                good,
                good[:cut],
                good[:cut] + b"\xff" + good[cut:],
                choose.randbytes(cut),
                b"[" * choose.randrange(1, 5000),
                b"--x\r\n" + good,
            ]
        )


def test_a_thousand_malformed_requests_are_no_defect(served: TwinServer) -> None:
    choose = random.Random(20260101)
    statuses: dict[int, int] = {}
    source = bodies(choose)
    for number in range(1000):
        body, method = next(source), choose.choice(METHODS)
        path = choose.choice(
            [
                "/graphql",
                "/graphql",
                "/graphql?query=%ff",
                "/graphql?" + "".join(choose.choices("abc=&%{}query_", k=30)),
                "/graphql?query={__typename}",
            ]
        )
        headers = [("Content-Type", choose.choice(TYPES)), ("Accept", choose.choice(ACCEPTS)), ("apollo-require-preflight", "1")]
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        answer = exchange(served.port, head.encode("latin-1") + body)
        status = int(answer.split(b" ", 2)[1])
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500, f"request {number}: {head}{body!r}\n{answer!r}"
        assert b"INTERNAL_ERROR" not in answer, f"request {number}: {head}{body!r}\n{answer!r}"
    assert sum(statuses.values()) == 1000
    assert {200, 400, 405, 406, 415} <= set(statuses)


def exchange(port: int, request: bytes) -> bytes:
    """Everything that the server answers to some bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        taken = bytearray()
        try:
            connection.sendall(request)
            while piece := connection.recv(65_536):
                taken += piece
        except (ConnectionResetError, BrokenPipeError):
            assert taken, "the server closed the connection without a word"
        return bytes(taken)
