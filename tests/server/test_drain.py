"""What clients see when the server is told to end, and of its health before."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.requests import Request

from sandql.access.access import Access
from sandql.server.health import Health
from tests.server.test_streams import MULTIPART_ACCEPT
from tests.support.house import open_house
from tests.support.postgres import running_postgres
from tests.support.server import Server, running_server
from tests.support.twin_server import wait_for
from tests.websocket.client import STREAM, WAIT_S, socket

_SMALL: dict[str, Any] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0}
_RUN = 'mutation ($code: String!) { executeCode(code: $code, language: "python", sandboxId: "home") { output outcome } }'
_EVENTS = """subscription ($id: ID!, $after: Int!) {
  executionEvents(id: $id, after: $after) { __typename ... on ExecutionOutput { seq text } ... on ExecutionCompleted { seq } }
}"""


@contextmanager
def running(server: Server, code: str) -> Generator[list[httpx2.Response]]:
    """Run code for a client that waits for it in a thread; on leaving, it has been answered. The file `began` says that it runs."""
    answers: list[httpx2.Response] = []

    def ask() -> None:
        body = {"query": _RUN, "variables": {"code": "open('began', 'w').close()\n" + code}}
        answers.append(httpx2.post(f"{server.url}/graphql", json=body, timeout=WAIT_S))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    began = f"{server.url}/sandboxes/home/files/began"
    wait_for(lambda: httpx2.get(began).status_code == 200, "the run")
    yield answers
    thread.join(WAIT_S)


def test_a_run_on_its_way_ends_and_its_answer_arrives_and_nobody_new_comes_in() -> None:
    with running_server(drain_s=15, **_SMALL) as server:
        wait = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('done')"
        with running(server, wait) as answers:
            client = httpx2.Client(timeout=WAIT_S)
            with client.stream("PUT", f"{server.url}/sandboxes/home/files/go", content=_late(server), headers={"expect": ""}) as put:
                assert put.status_code in (201, 204, 200)
        assert answers[0].json() == {"data": {"executeCode": {"output": "done\n", "outcome": "COMPLETED"}}}
        assert server.process.wait(WAIT_S) == 0


def _late(server: Server) -> Generator[bytes]:
    """A body that ends when the server does not take connections any more."""
    yield b"g"
    server.process.terminate()
    wait_for(lambda: _refused(server), "the listener's end")
    yield b"o"


def _refused(server: Server) -> bool:
    try:
        httpx2.get(f"{server.url}/live", timeout=5)
    except httpx2.TransportError:  # refused, or closed before it was looked at
        return True
    return False


def test_a_run_that_does_not_end_is_cancelled_in_time() -> None:
    with running_server(drain_s=0.3, **_SMALL) as server:
        with running(server, "import time\ntime.sleep(60)") as answers:
            server.process.terminate()
        assert answers[0].status_code == 503
        assert answers[0].headers["retry-after"] == "1"
        assert answers[0].json()["errors"][0]["extensions"]["code"] == "PROVIDER_UNAVAILABLE"
        assert server.process.wait(WAIT_S) == 0


def test_operations_on_sockets_end_well_while_idle_sockets_are_told_to_connect_again_at_once(tmp_path: Path) -> None:
    with running_server(drain_s=15, state_dir=tmp_path, **_SMALL) as server, socket(server.ws_url) as busy, socket(server.ws_url) as idle:
        with socket(server.ws_url, init=False) as silent:
            wait = "import os, time\nopen('began', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('done')"
            busy.subscribe("run", _RUN, code=wait)
            busy.subscribe("stream", STREAM, code=f"{wait}\nopen('ran', 'w').close()", sandboxId="home")
            wait_for(lambda: httpx2.get(f"{server.url}/sandboxes/home/files/began").status_code == 200, "the run")

            def go() -> Generator[bytes]:
                yield b"g"
                server.process.terminate()
                assert [client.closed() for client in (idle, silent)] == [(1012, "Service Restart")] * 2
                busy.subscribe("late", _RUN, code="open('late', 'w').close()")
                while (message := busy.receive())["id"] != "late":
                    assert message["type"] == "next"
                assert message["type"] == "error"
                assert message["payload"][0]["extensions"] == {"code": "PROVIDER_UNAVAILABLE", "status": 503, "retryAfter": 1}
                yield b"o"

            assert httpx2.put(f"{server.url}/sandboxes/home/files/go", content=go(), timeout=WAIT_S).status_code == 201
        ended: dict[str, Any] = {}
        last: dict[str, Any] = {}
        while len(ended) < 2:
            message = busy.receive()
            if message["type"] == "complete":
                ended[message["id"]] = last[message["id"]]
            last[message["id"]] = message.get("payload")
        assert ended["run"] == {"data": {"executeCode": {"output": "done\n", "outcome": "COMPLETED"}}}
        assert ended["stream"]["data"]["executeCode"]["result"]["outcome"] == "COMPLETED"
        assert busy.closed() == (1012, "Service Restart")
        assert server.process.wait(WAIT_S) == 0
    assert [len(list(tmp_path.rglob(name))) for name in ("ran", "late")] == [1, 0], "what was refused has done nothing"


@pytest.mark.parametrize("accept", ["text/event-stream", MULTIPART_ACCEPT], ids=["events", "multipart"])
def test_a_stream_that_does_not_end_is_ended_properly(accept: str) -> None:
    with running_server(drain_s=0.3, **_SMALL) as server:
        body = {"query": STREAM, "variables": {"code": "import time; print('on', flush=True); time.sleep(60)"}}
        with httpx2.stream("POST", f"{server.url}/graphql", json=body, headers={"accept": accept}, timeout=WAIT_S) as answer:
            pieces = answer.iter_text()
            text = next(pieces)
            while '"on\\n"' not in text:
                text += next(pieces)
            server.process.terminate()
            text += "".join(pieces)
        results = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith(("{", 'data: {"'))]
        last = results[-1].get("payload", results[-1])
        assert last["errors"][0]["extensions"] == {"code": "PROVIDER_UNAVAILABLE", "status": 503, "retryAfter": 1}
        assert text.endswith("event: complete\ndata:\n\n" if accept == "text/event-stream" else "--graphql--\r\n")
        assert server.process.wait(WAIT_S) == 0


def test_a_subscription_is_told_to_connect_again_and_misses_nothing() -> None:
    seen: list[int] = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as state:
        with running_server(state_dir=state, drain_s=0.3, **_SMALL) as server:
            code = "import time\nfor n in range(10**6):\n    print(n, flush=True)\n    time.sleep(0.01)"
            query = 'mutation ($code: String!) { startExecution(code: $code, language: "python") { id } }'
            answer = httpx2.post(f"{server.url}/graphql", json={"query": query, "variables": {"code": code}}).json()
            id_ = answer["data"]["startExecution"]["id"]
            with socket(server.ws_url) as client:
                client.subscribe("events", _EVENTS, id=id_, after=0)
                while len(seen) < 5:
                    seen += _seqs(client.receive())
                server.process.terminate()
                code_and_reason = _drained(client, seen)
            assert code_and_reason == (1012, "Service Restart")
        with running_server(state_dir=state, **_SMALL) as again, socket(again.ws_url) as client:
            client.subscribe("events", _EVENTS, id=id_, after=seen[-1])
            results = client.results("events")
    rest = [event["data"]["executionEvents"] for event in results]
    numbers = seen + [event["seq"] for event in rest]
    assert numbers == list(range(2, len(numbers) + 2)), "each once and in order"
    assert rest[-1]["__typename"] == "ExecutionCompleted"


def _seqs(message: dict[str, Any]) -> list[int]:
    event = message["payload"]["data"]["executionEvents"]
    return [event["seq"]] if "seq" in event else []


def _drained(client: Any, seen: list[int]) -> tuple[int | None, str]:
    from websockets.exceptions import ConnectionClosed

    try:
        while True:
            message = client.receive()
            assert message["type"] == "next", message
            seen += _seqs(message)
    except ConnectionClosed as error:
        return (None, "") if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)


async def answer(health: Health, sandboxes: object) -> tuple[int, dict[str, Any]]:
    response = await health.answer(Request({"type": "http", "state": {"sandboxes": sandboxes}, "headers": []}))
    return response.status_code, json.loads(bytes(response.body))


async def test_health_says_ready_and_draining_with_each_service() -> None:
    health = Health()
    async with open_house() as house:
        status, body = await answer(health, house)
        assert (status, body["status"], body["services"]) == (200, "healthy", {"local": "healthy", "database": "healthy"})
        health.draining = True
        status, body = await answer(health, house)
        assert (status, body["status"]) == (503, "draining")


async def test_health_says_that_the_database_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandql.server.health._TRUSTED_S", 0.0)
    health = Health()
    with running_postgres() as url:
        opened = open_house(database_url=url)
        house = await opened.__aenter__()
        assert (await answer(health, house))[0] == 200
    try:
        status, body = await answer(health, house)
        assert (status, body["status"], body["services"]) == (503, "degraded", {"local": "healthy", "database": "unhealthy"})
    finally:
        await opened.__aexit__(None, None, None)


async def test_the_database_is_not_asked_more_often_than_every_few_seconds() -> None:
    asked = 0

    class Counted:
        async def read(self, _work: object) -> None:
            nonlocal asked
            asked += 1

    health = Health()
    for _ in range(5):
        assert (await answer(health, SimpleNamespace(providers={}, store=Counted(), access=Access())))[0] == 200
    assert asked == 1
