"""However an operation or a connection ends, the run behind it ends, and soon."""

from __future__ import annotations

import time

import pytest

from tests.support.beat import BEAT, ends_soon
from tests.support.server import Server, running_server
from tests.websocket.client import STREAM, WAIT_S, Socket, socket


def start(client: Socket) -> None:
    """Start the program and wait until it is alive."""
    client.subscribe("run", STREAM, code=BEAT, sandboxId="home", timeout=60_000)
    client.until_text("run", "alive")


def test_complete_ends_the_run(server: Server) -> None:
    def leave() -> float:
        with socket(server.ws_url) as client:
            start(client)
            client.send({"id": "run", "type": "complete"})
            ended = time.time()
            client.subscribe("run", "{ languages { name } }")
            assert client.results("run"), "the id is free at once, and nothing of the old run comes under it"
            return ended

    ends_soon(server, leave)


def test_closing_the_socket_ends_the_run(server: Server) -> None:
    def leave() -> float:
        with socket(server.ws_url) as client:
            start(client)
            ended = time.time()
            client.raw.close()
        return ended

    ends_soon(server, leave)


def test_a_lost_connection_ends_the_run(server: Server) -> None:
    def leave() -> float:
        with socket(server.ws_url) as client:
            start(client)
            ended = time.time()
            client.raw.socket.shutdown(2)
        return ended

    ends_soon(server, leave)


def test_a_broken_protocol_ends_the_run(server: Server) -> None:
    def leave() -> float:
        with socket(server.ws_url) as client:
            start(client)
            ended = time.time()
            client.send("garbage")
            assert client.closed()[0] == 4400
        return ended

    ends_soon(server, leave)


def test_a_complete_for_nothing_is_no_fault(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.send({"id": "never", "type": "complete"})
        client.subscribe("q", "{ languages { name } }")
        assert client.results("q")


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "running"])
def test_the_end_of_the_server_is_said(busy: bool) -> None:
    with running_server(drain_s=0.5) as server, socket(server.ws_url) as client:
        if busy:
            client.subscribe("run", STREAM, code="import time; print('on', flush=True); time.sleep(30)")
            client.until_text("run", "on")
        server.process.terminate()
        assert client.closed() == (1012, "Service Restart")
        assert server.process.wait(WAIT_S) is not None
