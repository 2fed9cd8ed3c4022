"""Sockets that mean no good: each is left, and the server serves the next."""

from __future__ import annotations

import os
import socket as sockets
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from websockets.exceptions import InvalidStatus

from sandql.server.websocket_protocol import MAX_FRAGMENTS, STRANGER_BYTES, STRANGER_FRAGMENTS
from tests.support.forgery import SECRET, token
from tests.support.server import Server, running_server
from tests.websocket.client import STREAM, WAIT_S, Socket, socket
from tests.websocket.test_flow import MiB, resident_bytes

_HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
TEXT, _CONTINUATION, _CLOSE, _PING, _PONG = 1, 0, 8, 9, 10
_FIN = 0x80
_INIT = b'{"type":"connection_init"}'


@pytest.fixture(autouse=True)
def _still_serves(server: Server) -> Iterator[None]:
    """Whatever a test did, a well-behaved client is answered after it."""
    yield
    with socket(server.ws_url) as client:
        client.subscribe("s", STREAM, code="print('fine')")
        assert client.results("s")[-1]["data"]["executeCode"]["result"]["outcome"] == "COMPLETED"


def raw(server: Server) -> sockets.socket:
    """A socket after its handshake, to which anything may be written."""
    connection = sockets.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)
    connection.sendall(_HANDSHAKE.format(port=server.port).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return connection


def frame(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    """A masked frame, with a mask of zeros, of at most 125 bytes."""
    return bytes((opcode | _FIN * fin, 0x80 | len(data))) + bytes(4) + data


def long_frame(data: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """A frame of 126 to 65,535 bytes."""
    return struct.pack(">BBH", opcode | _FIN * fin, 0xFE, len(data)) + bytes(4) + data


def head(length: int, opcode: int = TEXT) -> bytes:
    """The head of a frame whose data is still to come."""
    return struct.pack(">BBQ", _FIN | opcode, 0xFF, length) + bytes(4)


def admitted(server: Server) -> sockets.socket:
    """A socket that has said who it is, and was told that this is well."""
    connection = raw(server)
    connection.sendall(frame(TEXT, _INIT))
    ack = b'{"type":"connection_ack"}'
    assert connection.recv(2 + len(ack), sockets.MSG_WAITALL) == bytes((_FIN | TEXT, len(ack))) + ack
    return connection


def close_code(connection: sockets.socket) -> int | None:
    """Read until the server ends the connection; the code of its close frame."""
    data = b""
    try:
        while part := connection.recv(65_536):
            data += part
    except ConnectionResetError:
        pass
    while len(data) >= 2:
        length = data[1] & 0x7F
        if data[0] & 0x0F == _CLOSE:
            return struct.unpack(">H", data[2:4])[0]
        data = data[2 + length :]
    return None


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (bytes(64), 1002),  # not masked
        (b"\xff" * 64, 1002),  # reserved bits
        (frame(3), 1002),  # no such opcode
        (frame(_CONTINUATION, b"x"), 1002),  # continues nothing
        (frame(_PING, fin=False), 1002),  # a control frame in parts
        (frame(TEXT, b"\xff\xfe"), 1007),  # not UTF-8
        (struct.pack(">BBQ", _FIN | TEXT, 0xFF, 2**62), 1009),  # would take 4 EiB
        (struct.pack(">BBQ", _FIN | TEXT, 0xFF, 2**63), 1009),  # an impossible length
    ],
    ids=["unmasked", "reserved", "opcode", "continuation", "split-ping", "utf8", "huge", "impossible"],
)
def test_a_broken_frame_ends_the_connection_at_once(server: Server, written: bytes, code: int) -> None:
    with raw(server) as connection:
        connection.sendall(written)
        assert close_code(connection) == code


def test_a_message_in_countless_parts_ends_the_connection(server: Server) -> None:
    with admitted(server) as connection:
        connection.sendall(frame(TEXT, fin=False))
        try:
            for _ in range(MAX_FRAGMENTS // 256 + 2):
                connection.sendall(frame(_CONTINUATION, fin=False) * 256)
        except ConnectionError:
            pass  # the server has left already
        assert close_code(connection) in (1009, None)  # None: its last bytes are lost when it leaves while more come in


@pytest.mark.parametrize(
    "written",
    [
        head(STRANGER_BYTES + 1),
        head(STRANGER_BYTES + 1, opcode=2),
        long_frame(bytes(40_000), fin=False) + head(STRANGER_BYTES - 40_000 + 1, _CONTINUATION),
        long_frame(bytes(40_000), fin=False) + frame(_PING) + frame(_PONG) + head(STRANGER_BYTES - 40_000 + 1, _CONTINUATION),
        frame(TEXT, fin=False) + frame(_CONTINUATION, fin=False) * STRANGER_FRAGMENTS,
        frame(TEXT, b'{"type":"ping"}') + head(STRANGER_BYTES + 1),
        frame(TEXT, _INIT[:9], fin=False) + frame(_CONTINUATION, _INIT[9:]) + head(33 * MiB),
    ],
    ids=["at-once", "binary", "in-parts", "in-parts-between-pings", "in-many-parts", "after-a-ping", "before-it-is-acknowledged"],
)
def test_who_has_not_said_who_it_is_is_listened_to_for_64_kib(server: Server, written: bytes) -> None:
    """It is left when the head of a frame says what is to come, which is not waited for."""
    with raw(server) as connection:
        connection.sendall(written)
        assert close_code(connection) == 1009


def test_a_credential_of_64_kib_is_taken_and_then_a_message_of_mebibytes(server: Server) -> None:
    with socket(server.ws_url, init=False) as client:
        long = '{"type":"connection_init","payload":{"any":"%s"}}'
        client.send(long % ("x" * (STRANGER_BYTES - len(long) + 2)))
        assert client.receive() == {"type": "connection_ack"}
        client.subscribe("m", STREAM, code="print(len('%s'))" % ("x" * 1000_000))
        assert client.results("m")[-1]["data"]["executeCode"]["result"]["outcome"] == "COMPLETED"


def test_a_message_over_the_bound_of_bodies_ends_the_connection_of_who_is_known_too(server: Server) -> None:
    with admitted(server) as connection:
        connection.sendall(head(33 * MiB))
        assert close_code(connection) == 1009


def test_noise_ends_the_connection(server: Server) -> None:
    for _ in range(50):
        with raw(server) as connection:
            try:
                connection.sendall(os.urandom(4096))
                connection.shutdown(sockets.SHUT_WR)
            except ConnectionError:
                continue
            close_code(connection)


def test_pings_of_a_client_that_does_not_read_take_no_memory(server: Server) -> None:
    with raw(server) as connection:
        connection.sendall(frame(TEXT, _INIT))
        before = resident_bytes(server)
        pings = frame(_PING, b"x" * 125) * 500
        for _ in range(2 * 1024):  # 128 MiB of them
            connection.sendall(pings)
        assert resident_bytes(server) - before < 32 * MiB


def test_a_client_that_asks_and_does_not_read_is_left() -> None:
    with running_server(max_subscriptions=1) as server, raw(server) as connection:
        connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        connection.settimeout(60)  # the buffers of the kernel hold thousands of answers
        connection.sendall(frame(TEXT, _INIT))
        before = resident_bytes(server)
        ask = b'{"type":"subscribe","id":"%s","payload":{"query":"subscription{executeCode(code:\\"%s\\",language:\\"python\\"){seq:__typename}}"}}'
        connection.sendall(long_frame(ask % (b"runs", b"import time; time.sleep(20)")))
        with pytest.raises(ConnectionError):
            connection.sendall(long_frame(ask % ("😀".encode() * 256, b"refused")) * 100_000)
        assert resident_bytes(server) - before < 32 * MiB


def test_a_thousand_subscriptions_are_a_hundred(server: Server) -> None:
    with socket(server.ws_url) as client:
        for number in range(1000):
            client.subscribe(str(number), STREAM, code="import time; time.sleep(20)", timeout=25_000)
        refused: set[str] = set()
        started: set[str] = set()
        while len(refused) + len(started) < 1000:
            message = client.receive()
            if message["type"] == "error":
                assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
                assert "100" in message["payload"][0]["message"]
                refused.add(message["id"])
            elif message["type"] == "next":
                started.add(message["id"])
        assert started == {str(number) for number in range(100)}


def test_subscribing_and_completing_in_haste_is_bounded(server: Server) -> None:
    with socket(server.ws_url) as client:
        before = resident_bytes(server)
        for number in range(2000):
            client.subscribe(str(number), STREAM, code="import time; time.sleep(20)")
            client.send({"id": str(number), "type": "complete"})
        client.send({"type": "ping"})
        while client.receive()["type"] != "pong":
            pass
        assert resident_bytes(server) - before < 32 * MiB


def test_sockets_that_never_begin_are_all_left(server: Server) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(socket(server.ws_url, init=False)) for _ in range(100)]
        assert {client.closed()[0] for client in clients} == {4408}


def test_connections_are_bounded() -> None:
    with running_server(max_connections=2, jwt_secret=SECRET) as server, _socket_of("alice", server) as first, _socket_of("bob", server):
        with pytest.raises(InvalidStatus) as refused, socket(server.ws_url):
            pass
        assert refused.value.response.status_code == 507
        first.subscribe("q", "{ languages { name } }")
        assert first.results("q")
        first.raw.close()
        with _socket_of("alice", server) as third:
            third.subscribe("q", "{ languages { name } }")
            assert third.results("q")


def _socket_of(subject: str, server: Server) -> AbstractContextManager[Socket]:
    return socket(server.ws_url, headers={"authorization": f"Bearer {token(sub=subject)}"})


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://evil.example:{port}", "file://", "://", "http://["])
def test_a_page_of_another_origin_is_refused(server: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, socket(server.ws_url, origin=origin.format(port=server.port)):
        pass
    assert refused.value.response.status_code == 403


def test_a_refused_page_writes_nothing_into_the_log() -> None:
    with running_server() as server:
        for _ in range(3):
            with pytest.raises(InvalidStatus), socket(server.ws_url + "?secret=1", origin="https://evil.example"):
                pass
    said = "".join(server.log)  # all of it: the server has ended
    assert "handshake" not in said
    assert "secret" not in said


def test_a_page_of_the_servers_own_origin_is_served(server: Server) -> None:
    with socket(server.ws_url, origin=server.url) as client:
        client.subscribe("q", "{ languages { name } }")
        assert client.results("q")


def test_a_page_of_an_allowed_origin_is_served() -> None:
    with running_server(allowed_origins='["https://app.example"]') as server:
        with socket(server.ws_url, origin="https://app.example") as client:
            client.subscribe("q", "{ languages { name } }")
            assert client.results("q")
        with pytest.raises(InvalidStatus), socket(server.ws_url, origin="https://app.example.evil.example"):
            pass
