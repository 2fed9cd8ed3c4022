"""The server looks whether a silent client is still there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.support.beat import BEAT, ends_soon
from tests.support.server import Server, running_server
from tests.websocket.client import STREAM, socket
from tests.websocket.test_flow import FLOOD
from tests.websocket.test_hostile import TEXT, close_code, frame, long_frame, raw

_COMMAND = ("-m", "tests.websocket.short_pings")


@pytest.fixture(scope="module")
def pinging() -> Iterator[Server]:
    """A server that pings ten times a second."""
    with running_server(command=_COMMAND) as running:
        yield running


def test_a_client_that_answers_stays(pinging: Server) -> None:
    with socket(pinging.ws_url) as client:
        client.subscribe("s", STREAM, code="import time; time.sleep(2); print('late')")  # silent for longer than a pong may take
        client.until_text("s", "late")


def test_a_client_that_does_not_answer_is_left_and_its_run_ends(pinging: Server) -> None:
    def leave() -> float:
        with raw(pinging) as connection:
            connection.sendall(frame(TEXT, b'{"type":"connection_init"}'))
            payload = {"query": STREAM, "variables": {"code": BEAT, "sandboxId": "home", "timeout": 60_000}}
            connection.sendall(long_frame(json.dumps({"type": "subscribe", "id": "1", "payload": payload}).encode()))
            assert close_code(connection) == 1011
        return time.time()

    ends_soon(pinging, leave)


def test_a_client_that_does_not_read_for_good_does_not_keep_its_run() -> None:
    with running_server(command=_COMMAND, max_concurrent_runs=1) as server, raw(server) as connection:
        payload = {"query": STREAM, "variables": {"code": FLOOD, "sandboxId": "home", "timeout": 60_000}}
        connection.sendall(frame(TEXT, b'{"type":"connection_init"}'))
        connection.sendall(long_frame(json.dumps({"type": "subscribe", "id": "1", "payload": payload}).encode()))
        seen = b""
        while b"xxxx" not in seen and (part := connection.recv(4096)):
            seen += part
        with socket(server.ws_url) as client:
            client.subscribe("s", STREAM, code="print('there is room again')")
            client.until_text("s", "there is room again")
