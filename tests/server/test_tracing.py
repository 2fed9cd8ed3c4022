"""Traces of a real server, as a real collector gets them."""

from __future__ import annotations

import gzip
import json
import os
import socket as python_socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.server import Server, running_server
from tests.support.tokens import SECRET as JWT_SECRET
from tests.support.tokens import token
from tests.support.twin_server import wait_for
from tests.websocket.client import Socket, socket

_SMALL: dict[str, Any] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0}
SECRET = "plAnted-5ecret"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collector() -> Generator[tuple[str, list[bytes]]]:
    """A collector on loopback: its address, and what it was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def spans(bodies: list[bytes]) -> list[Span]:
    found: list[Span] = []
    for body in bodies:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                found += scope.spans
    return found


def test_an_operation_is_a_trace_with_its_parts_that_goes_on_with_the_callers() -> None:
    with collector() as (endpoint, bodies):
        with running_server(otlp_endpoint=endpoint, jwt_secret=JWT_SECRET, **_SMALL) as server:
            valid = token("alice")
            query = 'mutation Compute($code: String!) { executeCode(code: $code, language: "python") { outcome } }'
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "authorization": f"Bearer {valid}"}
            httpx2.post(f"{server.url}/graphql", json={"query": query, "variables": {"code": f"print('{SECRET}')"}}, headers=headers)
            httpx2.get(f"{server.url}/{SECRET}", params={"token": SECRET}, headers={"x-api-key": SECRET, "cookie": f"a={valid}"})
            httpx2.put(f"{server.url}/sandboxes/home/files/{SECRET}", content=SECRET.encode(), headers={"authorization": f"Bearer {valid}"})
            httpx2.post(f"{server.url}/graphql", json={"query": f"{{ {SECRET} ", "operationName": SECRET, "variables": {"a": SECRET}})
            with socket(server.ws_url, init=False) as client:
                client.send({"type": "connection_init", "payload": {"authorization": f"Bearer {valid}"}})
                client.receive()
                client.subscribe("a", f'subscription Watch {{ executeCode(code: "print(\'{SECRET}\')", language: "python") {{ __typename }} }}')
                client.results("a")
        assert server.process.returncode == 0
        found = spans(bodies)  # the server sends what is left when it ends
    (root,) = (span for span in found if span.parent_span_id.hex() == PARENT)
    assert root.trace_id.hex() == TRACE
    attributes = {item.key: item.value for item in root.attributes}
    assert attributes["graphql.operation.name"].string_value == "Compute"
    assert attributes["http.route"].string_value == "/graphql"
    assert attributes["http.response.status_code"].int_value == 200
    parts = [span for span in found if span.parent_span_id == root.span_id]
    assert sorted(span.name for span in parts) == ["borrow", "queue", "run", "settle"]
    assert all(root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano for span in parts)
    (watch,) = (span for span in found if any(item.value.string_value == "Watch" for item in span.attributes))
    assert {span.name for span in found if span.parent_span_id == watch.span_id} == {"borrow", "queue", "run", "settle"}
    assert SECRET.encode() not in b"".join(bodies)
    assert valid.encode() not in b"".join(bodies)


def test_an_operation_on_a_socket_goes_on_with_the_trace_that_was_named_nearest_to_it() -> None:
    """In its own extensions, in `connection_init`, in the handshake; what cannot be one begins a trace, and does no harm."""
    traces = {name: f"{number:032x}" for number, name in enumerate(("Handshake", "Init", "Own"), 0xA0)}

    def parent(name: str) -> dict[str, Any]:
        return {"traceparent": f"00-{traces[name]}-{PARENT}-01", "tracestate": f"at={name.lower()}"}

    wrong: list[Any] = [
        1,
        None,
        [],
        "",
        "00-x",
        "00-" + "0" * 32 + f"-{PARENT}-01",
        "ff" + parent("Own")["traceparent"][2:],
        "x" * 10_000,
        "\ud800" * 55,
    ]
    with collector() as (endpoint, bodies):
        with running_server(otlp_endpoint=endpoint, **_SMALL) as server:
            payloads: list[dict[str, Any] | None] = [None, parent("Init"), {"traceparent": 5, "tracestate": {}}]
            for payload in payloads:
                with socket(server.ws_url, init=False, headers=parent("Handshake")) as client:
                    client.send({"type": "connection_init", "payload": payload})
                    client.receive()
                    _ask(client, "Init" if payload == parent("Init") else "Handshake", {})
                    _ask(client, "Own", parent("Own"))
            with socket(server.ws_url) as client:
                for value in wrong:
                    _ask(client, "Wrong", {"traceparent": value, "tracestate": value})
        assert server.process.returncode == 0
        assert not [line for line in server.log if "trace" in line.lower()]
        found = spans(bodies)
    names = {span.span_id: item.value.string_value for span in found for item in span.attributes if item.key == "graphql.operation.name"}
    roots = [(names[span.span_id], span) for span in found if span.span_id in names]
    for name, trace in traces.items():
        mine = [span for found_name, span in roots if found_name == name]
        assert [(span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) for span in mine] == [
            (trace, PARENT, f"at={name.lower()}") for _ in mine
        ]
    assert sorted(name for name, _ in roots) == ["Handshake"] * 2 + ["Init"] + ["Own"] * 3 + ["Wrong"] * len(wrong)
    alone = [span for name, span in roots if name == "Wrong"]
    assert {span.parent_span_id for span in alone} == {b""}
    assert len({span.trace_id for span in alone}) == len(wrong)


def _ask(client: Socket, name: str, extensions: dict[str, Any]) -> None:
    client.send({"id": name, "type": "subscribe", "payload": {"query": f"query {name} {{ viewer {{ role }} }}", "extensions": extensions}})
    assert client.results(name)[0]["data"]


class _Traced:
    """What a collector has got of a server that has ended."""

    def __init__(self, bodies: list[bytes]) -> None:
        self.spans = spans(bodies)

    def root(self, **wanted: str) -> Span:
        """The one span of an operation that has these attributes, dots written as underscores."""
        (found,) = (span for span in self.spans if wanted.items() <= _attributes(span).items())
        return found

    def parts(self, root: Span) -> dict[str, Span]:
        """What belongs to it, by name."""
        parts = [span for span in self.spans if span.parent_span_id == root.span_id]
        assert all(part.trace_id == root.trace_id for part in parts)
        assert all(part.end_time_unix_nano >= part.start_time_unix_nano > 0 for part in (*parts, root)), "a span has not ended"
        assert len({part.name for part in parts}) == len(parts)
        return {part.name: part for part in parts}


def _attributes(span: Span) -> dict[str, str]:
    return {item.key.replace(".", "_"): item.value.string_value for item in span.attributes}


@contextmanager
def traced(**settings: Any) -> Generator[tuple[Server, _Traced]]:
    """A server whose traces are looked at when it has ended."""
    seen = _Traced([])
    with collector() as (endpoint, bodies):
        with running_server(otlp_endpoint=endpoint, log_format="json", **_SMALL, **settings) as server:
            yield server, seen
        assert server.process.returncode == 0
        seen.spans = spans(bodies)


def ask(server: Server, query: str, accept: str = "application/json") -> httpx2.Response:
    return httpx2.post(f"{server.url}/graphql", json={"query": query}, headers={"accept": accept}, timeout=20)


_PARTS = {"borrow", "queue", "run", "settle"}
_HANG = 'executeCode(code: "print(1, flush=True); import time; time.sleep(60)", language: "python")'


def test_a_stream_and_a_file_are_traces_too() -> None:
    with traced() as (server, seen):
        ask(server, 'subscription Stream { executeCode(code: "print(1)", language: "python") { __typename } }', "text/event-stream")
        assert httpx2.put(f"{server.url}/sandboxes/home/files/a.txt", content=b"a").status_code == 201
        assert httpx2.get(f"{server.url}/sandboxes/home/files/missing").status_code == 404
    assert seen.parts(seen.root(graphql_operation_name="Stream")).keys() == _PARTS
    put, missing = (span for span in seen.spans if span.name == "/sandboxes/{id}/files/{path:path}")
    assert (put.status.code, missing.status.code, missing.status.message) == (Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR, "NOT_FOUND")
    assert seen.parts(put).keys() == seen.parts(missing).keys() == {"borrow"}


def test_each_operation_on_a_single_connection_event_stream_is_a_trace_that_goes_on_with_the_callers() -> None:
    with traced() as (server, seen), httpx2.Client(base_url=server.url, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}, timeout=20) as client:
        token = {"x-graphql-event-stream-token": client.put("/graphql/stream").text}
        with client.stream("GET", "/graphql/stream", headers=token) as stream:
            for name, language in (("Fine", "python"), ("Bad", "klingon")):
                query = f'mutation {name} {{ executeCode(code: "1", language: "{language}") {{ outcome }} }}'
                client.post("/graphql/stream", json={"query": query, "extensions": {"operationId": name}}, headers=token)
            lines = stream.iter_lines()
            for _ in ("Fine", "Bad"):
                while next(lines) != "event: complete":
                    pass
    fine, bad = (seen.root(graphql_operation_name=name) for name in ("Fine", "Bad"))
    assert seen.parts(fine).keys() == _PARTS
    assert seen.parts(bad).keys() == {"borrow"}
    assert (fine.status.code, bad.status.message) == (Status.STATUS_CODE_UNSET, "BAD_REQUEST")
    for root in (fine, bad):
        assert (root.name, root.trace_id.hex(), root.parent_span_id.hex()) == ("/graphql/stream", TRACE, PARENT)


def test_what_is_started_goes_on_in_the_trace_of_its_start() -> None:
    with traced() as (server, seen):
        started = ask(server, 'mutation Start { startExecution(code: "import time; time.sleep(0.1)", language: "python") { id } }').json()
        id_ = started["data"]["startExecution"]["id"]
        ask(server, f'subscription Follow {{ executionEvents(id: "{id_}") {{ __typename }} }}', "text/event-stream")
        ask(server, f"mutation Last {{ startExecution({_HANG[12:-1]}) {{ id }} }}")
        wait_for(lambda: ask(server, "{ executions(status: RUNNING) { nodes { id } } }").json()["data"]["executions"]["nodes"], "the last one")
    start = seen.root(graphql_operation_name="Start")
    parts = seen.parts(start)
    assert parts.keys() == _PARTS
    assert parts["run"].end_time_unix_nano > start.end_time_unix_nano, "the answer did not wait for the program"
    assert seen.parts(seen.root(graphql_operation_name="Follow")) == {}
    assert seen.parts(seen.root(graphql_operation_name="Last"))["run"].status.code == Status.STATUS_CODE_ERROR, "it was cut off by the server's end"


def test_what_is_cancelled_ends_its_spans_and_says_so() -> None:
    with traced() as (server, seen):
        with socket(server.ws_url) as client:
            client.subscribe("a", f"subscription Unsubscribed {{ {_HANG} {{ __typename }} }}")
            client.receive()
            client.send({"id": "a", "type": "complete"})
            client.subscribe("b", f"subscription Closed {{ {_HANG} {{ __typename }} }}")
            client.receive()
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{server.url}/graphql", json={"query": f"mutation Gone {{ {_HANG} {{ outcome }} }}"}, timeout=0.5)
        wait_for(lambda: '"operation":"Gone"' in "".join(server.log), "the end of the one whose client has gone")
    for name in ("Unsubscribed", "Closed", "Gone"):
        root = seen.root(graphql_operation_name=name)
        assert (root.status.code, root.status.message) == (Status.STATUS_CODE_ERROR, "CANCELLED"), name
        parts = seen.parts(root)
        assert parts.keys() == _PARTS, name
        assert parts["run"].status.code == Status.STATUS_CODE_ERROR, name


def test_an_error_of_the_house_is_one_and_a_program_that_fails_is_none() -> None:
    with traced(max_concurrent_runs=1, max_queued_runs=0) as (server, seen):
        ask(server, 'mutation Failed { executeCode(code: "1/0", language: "python") { outcome } }')
        ask(server, 'mutation Bad { executeCode(code: "1", language: "klingon") { outcome } }')
        ask(server, "query Invalid { nothing }")
        with socket(server.ws_url) as client:
            client.subscribe("a", f"subscription Full {{ {_HANG} {{ __typename }} }}")
            client.receive()
            ask(server, 'mutation Refused { executeCode(code: "1", language: "python") { outcome } }')
    assert seen.root(graphql_operation_name="Failed").status.code == Status.STATUS_CODE_UNSET
    bad, refused = (seen.root(graphql_operation_name=name) for name in ("Bad", "Refused"))
    assert (bad.status.message, refused.status.message) == ("BAD_REQUEST", "RESOURCE_ERROR")
    assert seen.parts(bad)["borrow"].status.code == Status.STATUS_CODE_UNSET
    assert seen.parts(bad).keys() == {"borrow"}
    for part in ("run", "queue"):
        assert seen.parts(refused)[part].status.message == "ResourceError", "the class of an error, and not its words"
    assert sum(span.status.message == "BAD_REQUEST" for span in seen.spans) == 2, "a document that is refused is a trace without a name"


def test_a_collector_that_hangs_delays_nothing_and_is_not_waited_for_at_the_end() -> None:
    with (
        python_socket.create_server(("127.0.0.1", 0)) as silent,  # takes connections, and says nothing
        running_server(otlp_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", log_format="json", **_SMALL) as server,
    ):
        with httpx2.Client(timeout=2) as client:
            for _ in range(1500):  # more spans than a batch has
                assert client.post(f"{server.url}/graphql", json={"query": "{ __typename }"}).status_code == 200
        server.process.terminate()
        server.process.wait(15)
    assert server.process.returncode == 0
    assert "Traceback" not in "".join(server.log)


def test_a_collector_that_is_not_there_delays_nothing() -> None:
    with running_server(otlp_endpoint=f"http://user:{SECRET}@127.0.0.1:9", log_format="json", log_level="debug", **_SMALL) as server:
        for _ in range(5):
            assert httpx2.post(f"{server.url}/graphql", json={"query": "{ __typename }"}, timeout=2).status_code == 200
        server.process.terminate()
        began = time.monotonic()
        server.process.wait(15)
        assert time.monotonic() - began < 8
    assert server.process.returncode == 0
    assert SECRET not in "".join(server.log), "the collector's password"


def test_a_collector_that_is_not_there_is_named_once_and_without_its_path() -> None:
    endpoint = f"http://user:{SECRET}@127.0.0.1:9/{SECRET}"
    with running_server(otlp_endpoint=endpoint, log_format="json", log_level="debug", **_SMALL) as server:
        httpx2.post(f"{server.url}/graphql", json={"query": "{ __typename }"})
    lines = [line for line in server.log if "takes no traces" in line]
    assert [json.loads(line)["collector"] for line in lines] == ["127.0.0.1:9"]
    assert SECRET not in "".join(server.log)


def test_without_the_extra_the_setting_is_refused_in_a_line() -> None:
    program = "import sys; sys.modules['opentelemetry'] = None; sys.argv = ['sandql', 'serve']; from sandql.cli import main; main()"
    environment = {**os.environ, "SANDQL_PORT": "0", "SANDQL_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "sandql: SANDQL_OTLP_ENDPOINT: needs the extra `otel`" in done.stderr
    assert "Traceback" not in done.stderr
