"""HTTP by hand, for what no client library would send."""

from __future__ import annotations

import json
import socket


def post_bytes(body: bytes, *headers: str, content_type: str = "application/json", path: str = "/graphql") -> bytes:
    """A POST to GraphQL as bytes."""
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def graphql_bytes(query: str, *headers: str) -> bytes:
    """A POST of one operation as bytes."""
    return post_bytes(json.dumps({"query": query}).encode(), *headers)


def read_all(connection: socket.socket, timeout_s: float = 10.0) -> bytes:
    """Everything until the server closes the connection."""
    connection.settimeout(timeout_s)
    taken = bytearray()
    while piece := connection.recv(65_536):
        taken += piece
    return bytes(taken)


def read_until(connection: socket.socket, mark: bytes, timeout_s: float = 10.0) -> bytes:
    """Everything up to a mark and what came with it. Raises AssertionError where the connection ends before."""
    connection.settimeout(timeout_s)
    taken = bytearray()
    while mark not in taken:
        piece = connection.recv(65_536)
        assert piece, f"the server closed the connection after {bytes(taken[-500:])!r}"
        taken += piece
    return bytes(taken)
