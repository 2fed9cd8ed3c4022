"""What may be tried on a socket before anybody has said who they are: each costs little, is left soon, and starts nothing."""

from __future__ import annotations

import contextlib
import json
import socket as sockets
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.server import Server, running_server
from tests.support.tokens import SECRET, token
from tests.websocket.client import STREAM, WAIT_S, socket
from tests.websocket.test_flow import MiB, resident_bytes
from tests.websocket.test_hostile import TEXT, close_code, frame, long_frame, raw

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_PING, _PONG = 9, 10


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that lets nobody in without a token, and does not wait long for one."""
    with running_server(jwt_secret=SECRET, init_timeout_s=0.5, pool_size=1, node_pool_size=0, program_pool_size=0) as running:
        yield running


@pytest.fixture(autouse=True)
def _still_serves(guarded: Server) -> Iterator[None]:
    """Whatever a test did, who has a token is answered after it."""
    yield
    with socket(guarded.ws_url, init=False) as client:
        client.send({"type": "connection_init", "payload": {"token": token("alice")}})
        assert client.receive() == {"type": "connection_ack"}
        client.subscribe("q", "{ viewer { role } }")
        assert client.results("q") == [{"data": {"viewer": {"role": "developer"}}}]


def _handshake(server: Server, *changed: str) -> bytes:
    """The head of the answer to a handshake with these headers; those of the same name are left out of the usual ones."""
    usual = [
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: graphql-transport-ws",
    ]
    names = {header.partition(":")[0].lower() for header in changed}
    lines = ["GET /graphql HTTP/1.1", *(header for header in usual if header.partition(":")[0].lower() not in names), *changed]
    with sockets.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as connection:
        connection.sendall("\r\n".join(line for line in lines if not line.endswith(":")).encode("latin-1") + b"\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionError):
            while b"\r\n\r\n" not in answer and (piece := connection.recv(65_536)):
                answer += piece
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        ("Sec-WebSocket-Version: 8",),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"),
        ("Sec-WebSocket-Version:",),
        ("Sec-WebSocket-Key:",),
        ("Sec-WebSocket-Key: short",),
        (f"Sec-WebSocket-Key: {_KEY}", f"Sec-WebSocket-Key: {_KEY}"),
        ("Sec-WebSocket-Key: \xff\xfe",),
        ("Sec-WebSocket-Protocol: graphql-transport-ws, ,\xff(",),
    ],
    ids=["version", "two-versions", "no-version", "no-key", "short-key", "two-keys", "key-of-noise", "protocol-of-noise"],
)
def test_a_handshake_that_is_none_opens_nothing(guarded: Server, headers: tuple[str, ...]) -> None:
    answer = _handshake(guarded, *headers)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 426 ")), answer[:200]
    assert b"Traceback" not in answer


@pytest.mark.parametrize("name", ["X-Large", "Sec-WebSocket-Protocol", "Cookie", "Sec-WebSocket-Extensions"])
def test_a_giant_header_opens_nothing(guarded: Server, name: str) -> None:
    before = resident_bytes(guarded)
    answer = _handshake(guarded, f"{name}: {'a, ' * 200_000}")
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b"", answer[:200]  # nothing: its last bytes are lost where more came than was read
    assert resident_bytes(guarded) - before < 16 * MiB


def test_a_thousand_subprotocols_are_looked_through_for_the_one(guarded: Server) -> None:
    names = ", ".join(f"p{number}" for number in range(1000))
    assert b" 101 " in _handshake(guarded, f"Sec-WebSocket-Protocol: {names}, graphql-transport-ws").partition(b"\r\n")[0]
    probed = _handshake(guarded, f"Sec-WebSocket-Protocol: {names}")
    assert b"sec-websocket-protocol" not in probed.lower(), "none is chosen, so a browser closes it as well"


def test_what_is_sent_with_the_handshake_is_not_taken_for_an_operation(guarded: Server) -> None:
    """By who hopes that it is looked at before the credential is."""
    ask = {"id": "1", "type": "subscribe", "payload": {"query": STREAM, "variables": {"code": "print('it ran')"}}}
    with raw(guarded) as connection:
        connection.sendall(long_frame(json.dumps(ask).encode()) + frame(TEXT, b'{"type":"connection_init"}'))
        assert close_code(connection) == 4401


@pytest.mark.parametrize("payload", [{}, {"token": "x"}, {"token": None}, {"token": 5}, {"token": "", "apiKey": ""}, {"Authorization": "Basic YTpi"}])
def test_who_is_nobody_is_let_in_by_no_second_try(guarded: Server, payload: dict[str, object]) -> None:
    """Not in the same breath either: what stands behind a refusal is not read."""
    with socket(guarded.ws_url, init=False) as client:
        with contextlib.suppress(ConnectionClosed):  # it may be faster than all that is sent
            for tried in (payload, {"token": token("alice")}):
                client.send({"type": "connection_init", "payload": tried})
            client.subscribe("1", "{ viewer { id } }")
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403


def test_two_beginnings_in_one_breath_are_one_too_many(guarded: Server) -> None:
    with socket(guarded.ws_url, init=False) as client:
        with contextlib.suppress(ConnectionClosed):
            for name in ("alice", "bob"):
                client.send({"type": "connection_init", "payload": {"token": token(name)}})
            client.subscribe("1", "{ viewer { id } }")
        assert client.closed()[0] == 4429


def _flood(connection: sockets.socket, data: bytes) -> None:
    """Write the same again and again, until the server has left."""
    with contextlib.suppress(ConnectionError):
        while True:
            connection.sendall(data)


@pytest.mark.parametrize("opcode", [_PING, _PONG])
def test_control_frames_do_not_make_the_wait_for_a_beginning_longer(guarded: Server, opcode: int) -> None:
    before = resident_bytes(guarded)
    with raw(guarded) as connection:
        _flood(connection, frame(opcode, b"x" * 125) * 200)
    assert resident_bytes(guarded) - before < 32 * MiB


@pytest.mark.parametrize("kind", ["ping", "pong"])
def test_pings_of_the_protocol_do_not_either(guarded: Server, kind: str) -> None:
    before = resident_bytes(guarded)
    with raw(guarded) as connection:
        _flood(connection, frame(TEXT, b'{"type":"%s"}' % kind.encode()) * 500)
    assert resident_bytes(guarded) - before < 32 * MiB


def test_a_message_that_never_ends_is_not_waited_for(guarded: Server) -> None:
    with raw(guarded) as connection:
        connection.sendall(frame(TEXT, b'{"type":', fin=False))
        assert close_code(connection) == 4408
