"""Executions through a real server: watched over every transport with connections that are cut, and over a server that is ended or killed."""

from __future__ import annotations

import json
import os
import signal
import socket as sockets
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx2
import pytest

from tests.server.test_streams import MULTIPART_ACCEPT
from tests.support.raw_http import graphql_bytes
from tests.support.server import Server, running_server
from tests.websocket.client import socket

_SMALL: dict[str, Any] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0}
_LINES = 120
_STEADY = f"import time\nfor n in range({_LINES}):\n    print('line', n, '☃', flush=True)\n    time.sleep(0.005)"
_ENDLESS = "import itertools, time\nfor n in itertools.count():\n    print(n, flush=True)\n    time.sleep(0.002)"
_WATCH = """subscription ($id: ID!, $after: Int) { executionEvents(id: $id, after: $after) {
  __typename
  ... on ExecutionStarted { seq id }
  ... on ExecutionOutput { seq stream text }
  ... on ExecutionCompleted { seq result { id outcome output stderr } } } }"""
_START = """mutation ($code: String!, $key: String, $more: Boolean) {
  startExecution(code: $code, language: "python", idempotencyKey: $key, interactive: $more) { id status } }"""

Event = dict[str, Any]
Watch = Callable[[Server, str, int], Iterator[Event]]


class Refused(Exception):
    """The server answered with an error; its code is the message."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the real engine."""
    with running_server(**_SMALL) as running:
        yield running


def ask(server: Server, query: str, **variables: object) -> Any:
    """The data of a query or a mutation. Raises Refused."""
    answer = httpx2.post(f"{server.url}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
    if answer.get("errors"):
        raise Refused(answer["errors"][0]["extensions"]["code"])
    return answer["data"]


def start(server: Server, code: str, *, key: str | None = None, more: bool = False) -> str:
    return ask(server, _START, code=code, key=key, more=more)["startExecution"]["id"]


def over_websocket(server: Server, id_: str, after: int) -> Iterator[Event]:
    with socket(server.ws_url) as connection:
        connection.subscribe("1", _WATCH, id=id_, after=after)
        while (message := connection.receive())["type"] == "next":
            yield message["payload"]["data"]["executionEvents"]
        assert message["type"] == "complete", message


@contextmanager
def _stream(server: Server, id_: str, after: int, accept: str) -> Generator[Iterator[str]]:
    body = {"query": _WATCH, "variables": {"id": id_, "after": after}}
    with httpx2.stream("POST", f"{server.url}/graphql", json=body, headers={"accept": accept}, timeout=30) as response:
        assert response.status_code == 200
        yield response.iter_lines()


def over_server_sent_events(server: Server, id_: str, after: int) -> Iterator[Event]:
    with _stream(server, id_, after, "text/event-stream") as lines:
        for line in lines:
            if line.startswith("data: "):
                yield json.loads(line[6:])["data"]["executionEvents"]


def over_multipart(server: Server, id_: str, after: int) -> Iterator[Event]:
    with _stream(server, id_, after, MULTIPART_ACCEPT) as lines:
        for line in lines:
            if line.startswith('{"payload"'):
                yield json.loads(line)["payload"]["data"]["executionEvents"]


TRANSPORTS = pytest.mark.parametrize("watch", [over_websocket, over_server_sent_events, over_multipart], ids=["websocket", "sse", "multipart"])


def take(watch: Watch, server: Server, id_: str, after: int, most: int) -> list[Event]:
    """At most so many events; then the connection is cut."""
    found: list[Event] = []
    events = watch(server, id_, after)
    for event in events:
        found.append(event)
        if len(found) == most:
            break
    getattr(events, "close")()  # noqa: B009  (an iterator for its readers, a generator for us)
    return found


def numbers(events: list[Event]) -> list[int]:
    return [event["seq"] for event in events]


def text_of(events: list[Event]) -> str:
    return "".join(event.get("text", "") for event in events)


@TRANSPORTS
def test_a_watcher_that_loses_its_connection_again_and_again_misses_nothing(server: Server, watch: Watch) -> None:
    id_ = start(server, _STEADY)
    found: list[Event] = []
    while not found or found[-1]["__typename"] != "ExecutionCompleted":
        found += take(watch, server, id_, len(found), 1 + len(found) // 2)
    assert numbers(found) == list(range(1, len(found) + 1))
    assert text_of(found) == "".join(f"line {n} ☃\n" for n in range(_LINES))
    assert found[-1]["result"] == {"id": id_, "outcome": "COMPLETED", "output": text_of(found), "stderr": ""}
    for after in (0, 1, len(found) - 1, len(found), len(found) + 7):
        assert take(watch, server, id_, after, 10_000) == found[after:], "a replay is the same each time"


@TRANSPORTS
def test_what_is_not_ones_own_is_not_found(server: Server, watch: Watch) -> None:
    if watch is over_websocket:
        with socket(server.ws_url) as connection:
            connection.subscribe("1", _WATCH, id="ex_nobodys")
            (error,) = connection.receive()["payload"]
    else:
        body = {"query": _WATCH, "variables": {"id": "ex_nobodys"}}
        accept = MULTIPART_ACCEPT if watch is over_multipart else "text/event-stream"
        text = httpx2.post(f"{server.url}/graphql", json=body, headers={"accept": accept}, timeout=30).text
        line = next(line for line in text.splitlines() if "NOT_FOUND" in line)
        answer = json.loads(line.removeprefix("data: "))
        (error,) = answer.get("payload", answer)["errors"]
    assert error["extensions"]["code"] == "NOT_FOUND"


def test_a_query_pages_through_the_events(server: Server) -> None:
    id_ = start(server, _STEADY)
    query = """query ($id: ID!, $after: Int) { execution(id: $id) {
      status outcome lastSeq language provider sandboxId result { output } events(after: $after, first: 25) { __typename
        ... on ExecutionStarted { seq } ... on ExecutionOutput { seq text } ... on ExecutionCompleted { seq } } } }"""
    found: list[Event] = []
    while not found or found[-1]["__typename"] != "ExecutionCompleted":
        execution = ask(server, query, id=id_, after=len(found))["execution"]
        assert len(execution["events"]) <= 25
        found += execution["events"]
    execution = ask(server, query, id=id_, after=0)["execution"]
    assert (execution["status"], execution["outcome"], execution["lastSeq"]) == ("ENDED", "COMPLETED", len(found))
    assert (execution["language"], execution["provider"], execution["sandboxId"]) == ("python", "local", None)
    assert execution["result"]["output"] == text_of(found)
    listed = ask(server, "{ executions(first: 3, status: ENDED) { nodes { id status } pageInfo { hasNextPage } } }")["executions"]
    assert id_ in [node["id"] for node in listed["nodes"]]


def test_a_conversation(server: Server) -> None:
    id_ = start(server, "for line in iter(input, 'bye'):\n    print(line.upper(), flush=True)", more=True)
    send = "mutation ($id: ID!, $data: String!) { sendInput(id: $id, data: $data) }"
    events = over_websocket(server, id_, 0)
    assert next(events)["__typename"] == "ExecutionStarted"
    for word in ("one", "zwei ☃"):
        assert ask(server, send, id=id_, data=f"{word}\n")["sendInput"] is True
        assert next(events)["text"] == f"{word.upper()}\n"
    assert ask(server, send, id=id_, data="bye\n")["sendInput"] is True
    assert [event["__typename"] for event in events] == ["ExecutionCompleted"]
    with pytest.raises(Refused, match="CONFLICT"):
        ask(server, send, id=id_, data="late\n")
    assert ask(server, "mutation ($id: ID!) { cancelExecution(id: $id) }", id=id_)["cancelExecution"] is False


def test_a_background_command_takes_a_signal(server: Server) -> None:
    started = ask(server, """mutation { startCommand(line: "trap 'echo caught' INT; echo up; sleep 60 & wait") { id language status } }""")[
        "startCommand"
    ]
    assert (started["language"], started["status"]) == ("command", "RUNNING")
    events = over_websocket(server, started["id"], 0)
    while "up" not in next(events).get("text", ""):
        pass
    assert ask(server, "mutation ($id: ID!) { cancelExecution(id: $id, signal: INT) }", id=started["id"])["cancelExecution"] is True
    assert "caught\n" in text_of(list(events))


def _wait(holds: Callable[[], bool], what: str) -> None:
    until = monotonic() + 20
    while not holds():
        assert monotonic() < until, what
        sleep(0.01)


def test_a_client_that_is_cut_ends_what_it_waits_for_and_not_what_it_started(server: Server) -> None:
    code = json.dumps("import time\nprint('up', flush=True)\ntime.sleep(2)\nprint('done')")
    running = "{ executions(status: RUNNING) { nodes { id } } }"
    same = f'mutation {{ executeCode(code: {code}, language: "python", idempotencyKey: "cut") {{ outcome output }} }}'
    connection = sockets.create_connection(("127.0.0.1", server.port))
    connection.sendall(graphql_bytes(same))
    _wait(lambda: bool(ask(server, running)["executions"]["nodes"]), "the run begins")
    (node,) = ask(server, running)["executions"]["nodes"]
    connection.close()
    assert list(over_websocket(server, node["id"], 0))[-1]["result"]["outcome"] == "CANCELLED"
    assert ask(server, same)["executeCode"]["outcome"] == "CANCELLED", "the same key, the same answer"

    connection = sockets.create_connection(("127.0.0.1", server.port))
    connection.sendall(graphql_bytes(f'mutation {{ startExecution(code: {code}, language: "python") {{ id }} }}'))
    connection.close()
    _wait(lambda: bool(ask(server, running)["executions"]["nodes"]), "it was started, and goes on")
    (node,) = ask(server, running)["executions"]["nodes"]
    assert text_of(list(over_websocket(server, node["id"], 0))) == "up\ndone\n"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_server_that_ends_loses_no_event(end: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="sandql-ended-", dir="/var/tmp") as folder:
        with running_server(state_dir=folder, **_SMALL) as first:
            done = start(first, "print('whole')", key="done")
            whole = list(over_websocket(first, done, 0))
            cut = start(first, _ENDLESS, key="cut")
            seen: list[Event] = []
            try:
                for event in over_websocket(first, cut, 0):
                    seen.append(event)
                    if len(seen) == 60:
                        os.kill(first.process.pid, end)
            except Exception as error:
                assert "onnection" in type(error).__name__, error  # that is how a client notices
            first.process.wait(20)
        with running_server(state_dir=folder, **_SMALL) as second:
            assert list(over_websocket(second, done, 0)) == whole
            after = list(over_websocket(second, cut, 0))
            assert len(seen) >= 60
            assert after[: len(seen)] == seen, "what was delivered is there as it was"
            assert numbers(after) == list(range(1, len(after) + 1))
            assert text_of(after) == "".join(f"{n}\n" for n in range(text_of(after).count("\n")))
            last = after[-1]["result"]
            assert (last["outcome"], last["output"]) == ("SANDBOX_LOST", text_of(after))
            assert last["stderr"].startswith("the server was restarted" if end == signal.SIGTERM else "the server ended")
            assert (start(second, "print('whole')", key="done"), start(second, _ENDLESS, key="cut")) == (done, cut), "the keys are known, too"
            assert ask(second, "{ executions { nodes { status } } }")["executions"]["nodes"] == [{"status": "ENDED"}] * 2
            assert {path.name for path in (Path(folder) / "executions").iterdir()} == {done, cut}
