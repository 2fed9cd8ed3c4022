"""The line of each request: what it says, and that nothing a caller sent or a program printed stands in the log, on any door."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import httpx2
import pytest

from sandql.core.log import configure_logging
from sandql.server.request_watch import Facts
from tests.support.server import Server, running_server
from tests.support.tokens import SECRET as JWT_SECRET
from tests.support.tokens import token
from tests.support.twin_server import running_twin, wait_for
from tests.websocket.client import socket

SECRET = "plAnted-5ecret"
RUN = 'mutation Compute($code: String!, $stdin: String, $env: JSON) { executeCode(code: $code, language: "python", stdin: $stdin) { outcome } }'
_SMALL: dict[str, Any] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0}


@pytest.fixture(scope="module", params=["json", "console"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(log_format=request.param, log_level="debug", jwt_secret=JWT_SECRET, **_SMALL) as made:
        yield made


@pytest.fixture(scope="module")
def json_server() -> Iterator[Server]:
    with running_server(log_format="json", **_SMALL) as made:
        yield made


def line_of(server: Server, request_id: str) -> dict[str, Any]:
    """The line of a request, once it is there."""

    def found() -> list[str]:
        return [line for line in list(server.log) if f'"request_id":"{request_id}"' in line]

    wait_for(lambda: bool(found()), f"the line of {request_id}")
    (line,) = found()
    return json.loads(line)


def post(server: Server, body: object, request_id: str = "", **headers: str) -> httpx2.Response:
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx2.post(f"{server.url}/graphql", json=body, headers={"x-request-id": request_id or "unnamed", **headers}, timeout=20)


def test_a_request_has_one_line_with_what_it_was_and_how_it_ended(json_server: Server) -> None:
    post(
        json_server,
        {"query": 'mutation Compute($c: String!) { executeCode(code: $c, language: "python") { outcome } }', "variables": {"c": "1"}},
        "good",
    )
    line = line_of(json_server, "good")
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("duration_ms") > 0
    assert line.pop("sent_bytes") > 10
    assert line.pop("received_bytes") > 10
    assert line.pop("cost") > 0
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "good",
        "caller": "local",
        "route": "/graphql",
        "operation": "Compute",
        "type": "mutation",
        "status": 200,
        "outcome": "OK",
        "results": 1,
    }


@pytest.mark.parametrize(
    ("query", "outcome"),
    [
        ("{ nothing }", "BAD_REQUEST"),
        ('mutation { executeCode(code: "1", language: "klingon") { outcome } }', "BAD_REQUEST"),
        ('{ file(sandboxId: "home", path: "missing") { path } }', "NOT_FOUND"),
    ],
)
def test_a_request_that_fails_says_by_which_code(json_server: Server, query: str, outcome: str) -> None:
    request_id = f"bad-{abs(hash(query))}"
    post(json_server, {"query": query}, request_id)
    assert line_of(json_server, request_id)["outcome"] == outcome


def test_an_operation_on_a_websocket_has_a_line_of_its_own(json_server: Server) -> None:
    with socket(json_server.ws_url) as client:
        request_id = client.raw.response.headers["x-request-id"] if client.raw.response else ""
        client.subscribe("one", 'subscription Watch { executeCode(code: "print(1)", language: "python") { __typename } }')
        client.results("one")
        client.subscribe("two", "{ languages { name } }")
        client.results("two")
        client.subscribe("three", 'subscription { executeCode(code: "import time; time.sleep(60)", language: "python") { __typename } }')
        client.receive()
        client.send({"id": "three", "type": "complete"})
        lines = [line_of(json_server, f"{request_id}-{number}") for number in (1, 2, 3)]
    assert [(line.get("operation"), line["type"], line["outcome"]) for line in lines] == [
        ("Watch", "subscription", "OK"),
        (None, "query", "OK"),
        (None, "subscription", "CANCELLED"),
    ]
    assert lines[0]["results"] == 3


def test_no_line_shows_what_was_sent_or_printed(server: Server) -> None:
    """Every door is used with planted secrets, well and badly; the server logs at its most talkative."""
    valid = token("alice")
    injected = "x\n2026 [error   ] forged\r\x1b[31m" + SECRET
    bodies: list[object] = [
        {"query": RUN, "variables": {"code": f"import sys; print('{SECRET}', sys.stdin.read())", "stdin": SECRET}},
        {"query": RUN, "variables": {"code": f"raise ValueError('{SECRET}')"}},
        {"query": RUN, "variables": {"code": 5, "stdin": SECRET}},
        {"query": RUN, "variables": {"code": "1", "env": {"A": SECRET}, SECRET: SECRET}},
        {"query": "query ($a: Int!) { nothing(a: $a) }", "variables": {"a": SECRET}},
        {"query": RUN, "operationName": injected, "variables": {"code": "1"}},
        {"query": f"query {{ {SECRET} "},
        {"query": f'mutation {{ executeCode(code: "{SECRET}", language: "{SECRET}") {{ outcome }} }}'},
        {"query": f'mutation {{ executeCode(code: "1", language: "python", env: [{{name: "A=", value: "{SECRET}"}}]) {{ outcome }} }}'},
        {"query": f'mutation {{ writeFile(sandboxId: "home", path: "{SECRET}", content: "{SECRET}") }}'},
        {"query": f'mutation {{ writeFile(sandboxId: "home", path: "../{SECRET}", content: "{SECRET}") }}'},
        {"query": f'mutation {{ startExecution(code: "{SECRET}", language: "python", idempotencyKey: "{SECRET}") {{ id }} }}'},
        [{"query": f'{{ file(path: "{SECRET}") {{ path }} }}'}] * 2,
        {"query": "{ __typename }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": SECRET}}},
        SECRET,
    ]
    for body in bodies:
        for accept in ("application/json", "text/event-stream"):
            post(server, body, authorization=f"Bearer {valid}", accept=accept, cookie=f"a={SECRET}")
    env = f'[{{name: "A", value: "{SECRET}"}}]'
    shown = 'import os; print(os.environ["A"])'
    query = f'mutation ($code: String!) {{ executeCode(code: $code, language: "python", env: {env}) {{ output }} }}'
    printed = post(server, {"query": query, "variables": {"code": shown}}, authorization=f"Bearer {valid}").json()
    assert printed["data"]["executeCode"]["output"] == f"{SECRET}\n"
    admin, make = token("root", role="admin"), 'mutation { createApiKey(name: "a", subject: "bob") { secret } }'
    issued = post(server, {"query": make}, authorization=f"Bearer {admin}")
    key = issued.json()["data"]["createApiKey"]["secret"]
    for headers in (
        *({"authorization": f"{scheme} {SECRET}"} for scheme in ("Bearer", "Basic", "Token", "ApiKey", "Digest", SECRET)),
        {"authorization": SECRET},
        {"authorization": f"Bearer {key}{SECRET}"},
        {"authorization": f"Bearer {key}"},
        {"x_api_key": key},
        {"x_api_key": f"sandql_{SECRET}"},
        {"x_api_key": key, "authorization": f"Bearer {valid}"},
        {"proxy_authorization": f"Basic {SECRET}", "cookie": f"token={valid}; authorization=Bearer {valid}; key={key}"},
    ):
        post(server, bodies[0], **headers)
    for name in ("api_key", "apiKey", "access_token", "authorization"):
        httpx2.get(f"{server.url}/graphql", params={"query": "{ __typename }", name: key}, headers={"accept": "application/json"})
    with httpx2.Client(headers={"authorization": f"Bearer {valid}"}) as http:
        torn = f'{{"query": "{SECRET}'
        http.post(f"{server.url}/graphql", content=torn, headers={"content-type": "application/json", "x-request-id": f"no space {SECRET}"})
        http.get(f"{server.url}/graphql", params={"query": f"{{ {SECRET} }}", "token": SECRET}, headers={"accept": "application/json"})
        http.get(f"{server.url}/{SECRET}?token={SECRET}")
        http.put(f"{server.url}/sandboxes/home/files/{SECRET}", content=SECRET.encode())
        http.get(f"{server.url}/sandboxes/home/files/{SECRET}")
        http.get(f"{server.url}/sandboxes/{SECRET}/files/{SECRET}?archive={SECRET}")
        http.post(f"{server.url}/graphql/stream?token={SECRET}", json={"query": SECRET})
    inner = {"headers": {"authorization": key}}
    for payload in ({"authorization": f"Bearer {SECRET}"}, {"Authorization": f"Basic {key}"}, {"x-api-key": f"{key}x"}, inner):
        with socket(server.ws_url, init=False) as client:
            client.send({"type": "connection_init", "payload": payload})
            assert client.closed()[0] in (4401, 4403)
    with socket(f"{server.ws_url}?token={SECRET}", init=False) as client:
        client.send({"type": "connection_init", "payload": {"authorization": f"Bearer {valid}", "of-another": SECRET}})
        client.receive()
        client.send({"id": SECRET, "type": "subscribe", "payload": {"query": RUN, "operationName": injected, "variables": {"code": SECRET}}})
        client.receive()
        client.subscribe("run", f'subscription {{ executeCode(code: "print(\'{SECRET}\')", language: "python") {{ __typename }} }}')
        client.results("run")
        client.send(SECRET)
        client.closed()
    post(server, {"query": "{ __typename }"}, "the-last", authorization=f"Bearer {valid}")
    wait_for(lambda: any("the-last" in line for line in list(server.log)), "the last line")
    said = "".join(server.log)
    assert said.count("request_id") > 2 * len(bodies)
    assert SECRET not in said
    assert valid not in said
    assert key not in said
    assert JWT_SECRET not in said
    assert SECRET.lower() not in said.lower()
    assert "forged" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_defect_is_logged_with_its_traceback_and_without_what_was_sent(log_format: str) -> None:
    root = logging.getLogger()
    before, log = (root.handlers[:], root.level), StringIO()
    configure_logging(log_format, "debug", log)
    try:
        with running_twin() as served:
            query = 'mutation Defect($code: String!, $stdin: String) { executeCode(code: $code, language: "script", stdin: $stdin) { output } }'
            body = {"query": query, "variables": {"code": f"out {SECRET}\ndefect", "stdin": SECRET}}
            answer = httpx2.post(served.url, json=body, headers={"cookie": SECRET})
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    assert SECRET not in answer.text
    assert "Traceback" in log.getvalue()
    assert "RuntimeError" in log.getvalue()
    assert SECRET not in log.getvalue()


def test_a_subject_cannot_begin_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from sandql.core.values import Caller
    from sandql.server import request_watch

    lines: list[dict[str, object]] = []
    monkeypatch.setattr(request_watch, "log_request", lines.append)
    Facts().log("r", Caller("a\nforged\x1b[0m\u2028" + "b" * 1000), "/graphql")
    subject = str(lines[0]["caller"])
    assert subject.isprintable()
    assert len(subject) < 400


def test_no_line_when_not_wanted() -> None:
    with running_server(request_log="false", log_format="json", **_SMALL) as quiet:
        post(quiet, {"query": "{ __typename }"}, "silent")
    assert not re.search(r"silent|\"request\"", "".join(quiet.log))
