"""The protocol, message by message."""

from __future__ import annotations

import json

import pytest

from tests.support.server import Server
from tests.websocket.client import STREAM, socket

LANGUAGES = "{ languages { name } }"


@pytest.mark.parametrize("offered", [("graphql-ws",), ("soap",), ()])
def test_only_the_current_protocol_is_spoken(server: Server, offered: tuple[str, ...]) -> None:
    with socket(server.ws_url, subprotocols=offered, init=False) as client:
        assert client.raw.subprotocol is None
        assert client.closed() == (4406, "Subprotocol not acceptable")


def test_the_current_protocol_is_chosen_among_several(server: Server) -> None:
    with socket(server.ws_url, subprotocols=("graphql-ws", "graphql-transport-ws")) as client:
        assert client.raw.subprotocol == "graphql-transport-ws"


def test_queries_mutations_and_subscriptions_are_answered(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.subscribe("q", LANGUAGES)
        [query] = client.results("q")
        assert {"name": "python"} in query["data"]["languages"]

        client.subscribe("m", 'mutation { executeCode(code: "print(6 * 7)", language: "python") { output success } }')
        assert client.results("m") == [{"data": {"executeCode": {"output": "42\n", "success": True}}}]

        client.subscribe("s", STREAM, code="print('one', flush=True); print('two')")
        events = [result["data"]["executeCode"] for result in client.results("s")]
        assert events[0]["__typename"] == "ExecutionStarted"
        assert "".join(event.get("text", "") for event in events) == "one\ntwo\n"
        assert events[-1] == {"__typename": "ExecutionCompleted", "seq": len(events), "result": {"outcome": "COMPLETED", "truncated": False}}


def test_a_failed_program_is_a_result_and_not_an_error(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.subscribe("s", STREAM, code="raise SystemExit(3)")
        assert client.results("s")[-1]["data"]["executeCode"]["result"]["outcome"] == "FAILED"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"query": "{ languages {"}, "Syntax Error"),
        ({"query": "{ nothing }"}, "Cannot query field"),
        ({"query": "query A { languages { name } }", "operationName": "B"}, "B"),
        ({"query": "query A { languages { name } } query B { languages { name } }"}, "operationName"),
        ({"query": "query ($a: Int!) { files(path: $a) { name } }", "variables": {}}, "$a"),
        ({"query": "{" + "".join(f"a{n}: languages {{ name }} " for n in range(100)) + "}"}, "aliases"),
        ({"query": STREAM, "variables": {"code": "1", "timeout": 0}}, "timeout"),
    ],
    ids=["syntax", "unknown-field", "unknown-operation", "no-operation-name", "missing-variable", "aliases", "argument"],
)
def test_what_cannot_be_run_is_an_error_message_and_leaves_the_socket_open(server: Server, payload: dict[str, object], message: str) -> None:
    with socket(server.ws_url) as client:
        client.subscribe("other", STREAM, code="import time; print('on', flush=True); time.sleep(0.5); print('and on')")
        client.until_text("other", "on\n")
        client.send({"id": "x", "type": "subscribe", "payload": payload})
        answer = client.receive()
        assert answer["id"] == "x"
        assert answer["type"] == "error"
        [error] = answer["payload"]
        assert message in error["message"]

        assert "and on" in json.dumps(client.results("other")), "another operation of the socket goes on"
        client.subscribe("x", LANGUAGES)
        assert client.results("x"), "the id is free again"


def test_an_error_in_a_field_is_part_of_the_result(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.subscribe("q", '{ readFile(path: "../x") { content } }')
        [result] = client.results("q")
        assert result["data"] == {"readFile": None}
        assert result["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_pings_are_answered_before_and_after_the_handshake(server: Server) -> None:
    with socket(server.ws_url, init=False) as client:
        client.send({"type": "ping"})
        assert client.receive() == {"type": "pong"}
        client.init()
        client.send({"type": "pong", "payload": {"any": "thing"}})
        for _ in range(500):
            client.send({"type": "ping", "payload": {}})
        assert [client.receive() for _ in range(500)] == [{"type": "pong"}] * 500


def test_a_client_that_does_not_begin_is_left(server: Server) -> None:
    with socket(server.ws_url, init=False) as client:
        client.send({"type": "ping"})  # is no beginning
        assert client.closed() == (4408, "Connection initialisation timeout")


def test_a_client_that_began_may_be_silent(server: Server) -> None:
    with socket(server.ws_url) as client, socket(server.ws_url, init=False) as other:
        assert other.closed()[0] == 4408  # the time in which a client must begin has passed for both
        client.subscribe("q", LANGUAGES)
        assert client.results("q")


def test_a_second_beginning_is_refused(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.send({"type": "connection_init"})
        assert client.closed() == (4429, "Too many initialisation requests")


def test_an_operation_before_the_beginning_is_refused(server: Server) -> None:
    with socket(server.ws_url, init=False) as client:
        client.subscribe("q", LANGUAGES)
        assert client.closed() == (4401, "Unauthorized")


def test_an_id_in_use_is_refused(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.subscribe("same", STREAM, code="import time; time.sleep(20)")
        client.subscribe("same", LANGUAGES)
        assert client.closed() == (4409, "Subscriber for same already exists")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "no JSON",
        "5",
        "null",
        "[]",
        "{}",
        '{"type": 5}',
        '{"type": "start", "id": "1", "payload": {"query": "{ languages { name } }"}}',
        '{"type": "connection_init", "payload": []}',
        '{"type": "ping", "payload": 1}',
        '{"type": "subscribe", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": 5, "payload": {"query": "{ a }"}}',
        json.dumps({"type": "subscribe", "id": "x" * 257, "payload": {"query": "{ a }"}}),
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 5}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "operationName": 5}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "extensions": ""}}',
        '{"type": "complete"}',
        '{"type": "ping", "payload": {"a": NaN}}',
        "[" * 100_000,
        '{"type":"ping","payload":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",
    ],
    ids=lambda text: text[:60],
)
def test_what_is_not_a_message_closes_the_socket(server: Server, message: str) -> None:
    with socket(server.ws_url) as client:
        client.send(message)
        code, reason = client.closed()
        assert code == 4400
        assert reason


def test_a_binary_message_closes_the_socket(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.raw.send(b'{"type": "ping"}')
        assert client.closed() == (4400, "a message must be text")


def test_a_lone_surrogate_in_code_is_refused_without_closing(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.send(json.dumps({"id": "s", "type": "subscribe", "payload": {"query": STREAM, "variables": {"code": "print('\ud800')"}}}))
        answer = client.receive()
        assert (answer["id"], answer["type"]) == ("s", "error")
        assert answer["payload"][0]["extensions"]["code"] == "BAD_REQUEST"
