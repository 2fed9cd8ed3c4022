"""The server as a process: where it listens, and how long it waits for a slow client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sandql.core.settings import SettingsError, load_settings
from sandql.server.http_protocol import HEADER_BYTES, HttpProtocol
from sandql.server.serve import listen
from tests.support.raw_http import graphql_bytes, post_bytes, read_all, read_until
from tests.support.server import running_server
from tests.support.twin_server import TwinServer, running_twin, wait_for


@pytest.fixture
def connection(served: TwinServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """How long the server waits for the head of a request, in seconds."""
    monkeypatch.setattr(HttpProtocol, "header_s", 0.3)
    return 0.3


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_machines_are_not_served_without_authentication(host: str) -> None:
    with pytest.raises(SettingsError, match=r"SANDQL_HOST.*SANDQL_ALLOW_UNAUTHENTICATED"):
        listen(load_settings(host=host, port=0))


def test_other_machines_are_served_when_told_so() -> None:
    with listen(load_settings(host="0.0.0.0", port=0, allow_unauthenticated=True)) as listening:
        assert listening.getsockname()[1] > 0


def test_an_address_in_use_is_said() -> None:
    with listen(load_settings(port=0)) as first, pytest.raises(SettingsError, match="SANDQL_PORT"):
        listen(load_settings(port=first.getsockname()[1]))


@pytest.mark.parametrize("sent", [b"", b"GET /gra", b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nX-A: b"])
def test_a_head_that_does_not_end_is_not_waited_for(impatient: float, connection: socket.socket, sent: bytes) -> None:
    start = time.monotonic()
    connection.sendall(sent)
    assert read_all(connection).startswith(b"HTTP/1.1 408 ")
    assert impatient / 2 < time.monotonic() - start < 5


def test_a_head_by_single_bytes_is_not_waited_for(impatient: float, connection: socket.socket) -> None:
    start = time.monotonic()
    connection.settimeout(0.02)
    answer = b""
    while not answer and time.monotonic() - start < 5:
        try:
            connection.sendall(b"a")
            answer = connection.recv(1000)
        except TimeoutError:
            continue
    assert answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))


def test_the_second_request_is_not_waited_for_either(impatient: float, connection: socket.socket) -> None:
    connection.sendall(graphql_bytes("{ __typename }"))
    assert b'"Query"' in read_until(connection, b'"Query"')
    connection.sendall(b"POST /graphql HTTP/1.1\r\nHost:")
    assert b"HTTP/1.1 408 " in read_all(connection)


def test_a_slow_run_is_not_a_slow_head(impatient: float, connection: socket.socket) -> None:
    connection.sendall(graphql_bytes('mutation { executeCode(code: "sleep 0.9", language: "script") { success } }'))
    assert b"HTTP/1.1 200 " in read_until(connection, b'"success":true')
    connection.sendall(graphql_bytes("{ __typename }"))
    read_until(connection, b'"Query"')


def test_empty_lines_do_not_hold_a_connection(impatient: float, connection: socket.socket) -> None:
    connection.sendall(graphql_bytes("{ __typename }"))
    read_until(connection, b'"Query"')
    connection.sendall(b"\r\n\r\n")
    assert read_all(connection) == b""


def test_a_body_that_was_answered_early_is_passed_over(connection: socket.socket) -> None:
    connection.sendall(post_bytes(b"x" * 4 * HEADER_BYTES, content_type="text/plain"))
    assert read_until(connection, b"UNSUPPORTED_MEDIA_TYPE").startswith(b"HTTP/1.1 415 ")
    connection.sendall(graphql_bytes("{ __typename }"))
    assert read_until(connection, b'"Query"').startswith(b"HTTP/1.1 200 ")


def test_a_body_that_was_answered_early_does_not_hold_a_connection(impatient: float, connection: socket.socket) -> None:
    connection.sendall(post_bytes(b"x" * 1000, content_type="text/plain")[:-500])
    assert read_until(connection, b"UNSUPPORTED_MEDIA_TYPE").startswith(b"HTTP/1.1 415 ")
    connection.sendall(b"x" * 100)
    assert read_all(connection) == b""


def test_a_second_head_that_does_not_end_does_not_disturb_the_first_request(impatient: float, connection: socket.socket) -> None:
    connection.sendall(graphql_bytes('mutation { executeCode(code: "sleep 0.9", language: "script") { success } }') + b"POST /gra")
    answers = read_all(connection)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answers.partition(b'"success":true')[2]


def test_a_websocket_has_no_head_to_wait_for(impatient: float, served: TwinServer, connection: socket.socket) -> None:
    connection.sendall(graphql_bytes("{ __typename }"))
    read_until(connection, b'"Query"')
    head = ["GET /graphql HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    head += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: graphql-transport-ws"]
    connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
    read_until(connection, b"HTTP/1.1 101 ")
    message = b'{"type":"connection_init"}'
    connection.sendall(b"\x81" + bytes([0x80 | len(message)]) + bytes(4) + message)
    read_until(connection, b"connection_ack")
    connection.settimeout(impatient * 3)
    with pytest.raises(TimeoutError):
        connection.recv(1)


def test_a_head_over_its_bound_is_431(connection: socket.socket) -> None:
    connection.sendall(b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nX-A: ")
    connection.sendall(b"a" * (HEADER_BYTES + 1))
    assert read_all(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("line", [b"x-a: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["many", "one"])
def test_what_comes_behind_a_body_has_a_bound(connection: socket.socket, line: bytes) -> None:
    head = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"1\r\n{\r\n0\r\n" + (b"" if line.endswith(b"\n") else b"x-a: "))
    with suppress(ConnectionResetError, BrokenPipeError):  # closed by the server, with more on its way
        for _ in range(20 * HEADER_BYTES // len(line)):
            connection.sendall(line)
        read_all(connection)


def test_a_trailer_is_no_header(connection: socket.socket) -> None:
    body = b'{"query":"{ __typename }"}'
    head = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\nx-request-id: from-a-trailer\r\n\r\n")
    answer = read_until(connection, b'"Query"')
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"from-a-trailer" not in answer


def test_a_body_that_does_not_end_is_408(served: TwinServer, connection: socket.socket) -> None:
    start = time.monotonic()
    connection.sendall(post_bytes(b'{"query":')[:-4])
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"SANDQL_BODY_TIMEOUT_S" in answer
    assert served.settings.body_timeout_s / 2 < time.monotonic() - start < 5


def test_an_announced_body_over_its_bound_is_413_at_once(served: TwinServer, connection: socket.socket) -> None:
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {served.settings.body_bytes + 1}\r\n\r\n"
    connection.sendall(head.encode())
    assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_over_its_bound_is_413_while_it_comes() -> None:
    with running_twin(body_bytes=1024) as small, socket.create_connection(("127.0.0.1", small.port), timeout=10) as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"400\r\n" + b"[" * 1024 + b"\r\n")
        connection.sendall(b"400\r\n" + b"[" * 1024 + b"\r\n")
        assert read_until(connection, b"PAYLOAD_TOO_LARGE").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "multipart/mixed;subscriptionSpec=1.0"])
def test_a_server_that_ends_says_so_and_leaves_no_run(accept: str) -> None:
    kind = "mutation" if accept == "application/json" else "subscription"
    with running_twin(drain_s=0.2) as ending, socket.create_connection(("127.0.0.1", ending.port), timeout=10) as connection:
        connection.sendall(graphql_bytes(f'{kind} {{ executeCode(code: "hang", language: "script") {{ __typename }} }}', f"Accept: {accept}"))
        wait_for(lambda: ending.twin.running == 1, "the run begins")
        ending.server.should_exit = True
        answer = read_all(connection)
        wait_for(lambda: ending.twin.running == 0, "the run is cancelled")
    assert b"PROVIDER_UNAVAILABLE" in answer
    assert b"the server is ending" in answer
    assert answer.startswith(b"HTTP/1.1 503 " if kind == "mutation" else b"HTTP/1.1 200 ")


def test_the_real_server_says_where_it_is_and_ends_when_asked() -> None:
    with running_server() as server:
        assert httpx2.post(f"{server.url}/graphql", json={"query": "{ __typename }"}).json() == {"data": {"__typename": "Query"}}
    assert server.process.returncode == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"auth": "required"}, "nobody can come in yet: there is no API key; make one with `sandql keys create NAME`"),
        ({"jwt_jwks_url": "http://127.0.0.1:1/jwks"}, "the keys of the issuer cannot be fetched; tokens are refused"),
        ({"jwt_secret": "x" * 32}, "tokens meant for others are taken too: set SANDQL_JWT_ISSUER and SANDQL_JWT_AUDIENCE"),
        ({}, "callers need no credential, and each may do everything"),
    ],
)
def test_who_can_come_in_is_said_at_the_start(settings: dict[str, Any], said: str) -> None:
    with running_server(**settings) as server:
        assert httpx2.get(f"{server.url}/health").status_code == 200
        log = "".join(server.log)
    assert said in log
    assert "Traceback" not in log


def start_refused(**settings: object) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "SANDQL_PORT": "0"}
    environment |= {f"SANDQL_{name.upper()}": str(value) for name, value in settings.items()}
    done = subprocess.run([sys.executable, "-m", "sandql", "serve"], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


def test_a_database_that_cannot_be_used_is_said_in_a_line(tmp_path: Path) -> None:
    said = start_refused(state_dir=tmp_path, database_url="postgresql://me:s3cret@127.0.0.1:1/here")
    assert "sandql: SANDQL_DATABASE_URL: postgresql+asyncpg://me:***@127.0.0.1:1/here cannot be used" in said
    assert "s3cret" not in said


REFUSED: dict[str, tuple[str | None, str]] = {
    "a role with a mistake": ("[roles.student]\ncanExecutCode = true\n", "roles.student.canExecutCode is not known; known are canExecuteCode"),
    "a table that is not there": ("[role.student]\n", "role is not known; known are plans, roles"),
    "no rate": ('[plans.x.rates]\nexecute = "often"\n', 'plans.x.rates.execute must be one rate such as "100/15 minutes"'),
    "no quota": ("[plans.x.quota]\nmaxExecutions = -1\n", "plans.x.quota.maxExecutions must be a whole number from 0"),
    "no TOML": ("hello", "access.toml' cannot be read: Expected '='"),
    "no file": (None, "access.toml' cannot be read: No such file or directory"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_an_access_file_with_a_mistake_is_said_in_a_line(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "access.toml"
    if text is not None:
        file.write_text(text)
    lines = start_refused(state_dir=tmp_path / "state", access_file=file).splitlines()
    (line,) = [line for line in lines if line.startswith("sandql: ")]
    assert line.startswith("sandql: SANDQL_ACCESS_FILE: ")
    assert said in line


@pytest.mark.parametrize("name", ["server-id", "sandql.db"])
def test_a_state_folder_that_cannot_be_used_is_said_in_a_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()  # where a file must be
    said = start_refused(state_dir=tmp_path)
    assert f"cannot be used: {'Is a directory' if name == 'server-id' else 'unable to open database file'}" in said.splitlines()[-1]


def test_a_state_folder_is_one_servers() -> None:
    with tempfile.TemporaryDirectory() as folder, running_server(state_dir=folder) as server:
        assert f"sandql: SANDQL_STATE_DIR: '{folder}' is that of another server" in start_refused(state_dir=folder)
        assert httpx2.get(f"{server.url}/health").status_code == 200
