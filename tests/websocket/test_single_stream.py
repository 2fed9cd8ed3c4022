"""graphql-sse's single connection mode, request by request."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.support.beat import BEAT, ends_soon
from tests.support.server import Server, running_server
from tests.websocket.client import STREAM, WAIT_S
from tests.websocket.test_flow import FLOOD, MiB, count_at_rest, resident_bytes

LANGUAGES = "{ languages { name } }"
TOKEN = "x-graphql-event-stream-token"


class Stream:
    """A reserved stream, and the events that come on it."""

    def __init__(self, http: httpx2.Client, token: str, lines: Iterator[str]) -> None:
        self.http = http
        self.token = token
        self._lines = lines

    def post(self, id_: str, query: str, **variables: object) -> httpx2.Response:
        """Ask for an operation."""
        body = {"query": query, "variables": variables, "extensions": {"operationId": id_}}
        return self.http.post("/graphql/stream", json=body, headers={TOKEN: self.token})

    def end(self, id_: str) -> httpx2.Response:
        """End an operation."""
        return self.http.delete("/graphql/stream", params={"operationId": id_}, headers={TOKEN: self.token})

    def event(self) -> tuple[str, Any]:
        """The next event: its kind and its data. Comments are passed over."""
        kind = ""
        for line in self._lines:
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return kind, json.loads(line.removeprefix("data: "))
        raise AssertionError("the stream ended")

    def results(self, id_: str) -> list[dict[str, Any]]:
        """All results of an operation, up to its `complete`."""
        found: list[dict[str, Any]] = []
        while (event := self.event()) != ("complete", {"id": id_}):
            if event[1]["id"] == id_:
                found.append(event[1]["payload"])
        return found

    def until_alive(self, id_: str) -> None:
        """Wait until the program of `BEAT` or another has printed something."""
        while True:
            data = self.event()[1]
            if data["id"] == id_ and data["payload"]["data"]["executeCode"].get("text"):
                return


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    """A client of the server."""
    with httpx2.Client(base_url=server.url, timeout=WAIT_S, trust_env=False) as client:
        yield client


def reserve(http: httpx2.Client) -> str:
    """A token."""
    answer = http.put("/graphql/stream")
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.text


@contextmanager
def opened(http: httpx2.Client) -> Generator[Stream]:
    """An open stream."""
    token = reserve(http)
    with http.stream("GET", "/graphql/stream", headers={TOKEN: token, "accept": "text/event-stream"}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Stream(http, token, response.iter_lines())


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    """The status of a refusal, and its code."""
    return answer.status_code, answer.json()["errors"][0]["extensions"]["code"]


def test_operations_share_a_stream(http: httpx2.Client) -> None:
    with opened(http) as stream:
        assert (stream.post("q", LANGUAGES).status_code, stream.post("s", STREAM, code="print('one')").status_code) == (202, 202)
        kinds: dict[str, list[str]] = {"q": [], "s": []}
        text = ""
        while [kinds["q"][-1:], kinds["s"][-1:]] != [["complete"], ["complete"]]:
            kind, data = stream.event()
            kinds[data["id"]].append(kind)
            if kind == "next" and data["id"] == "s":
                text += data["payload"]["data"]["executeCode"].get("text", "")
        assert kinds["q"] == ["next", "complete"]
        assert text == "one\n"


def test_a_token_may_be_in_the_address_as_an_event_source_sends_it(http: httpx2.Client) -> None:
    token = reserve(http)
    with http.stream("GET", f"/graphql/stream?token={token}", headers={"accept": "text/event-stream"}) as response:
        assert response.status_code == 200


def test_an_operation_may_start_before_the_stream_is_open(http: httpx2.Client) -> None:
    token = reserve(http)
    Stream(http, token, iter(())).post("q", LANGUAGES)
    with http.stream("GET", "/graphql/stream", headers={TOKEN: token, "accept": "text/event-stream"}) as response:
        assert Stream(http, token, response.iter_lines()).results("q")


def test_what_cannot_be_run_is_refused_at_once(http: httpx2.Client) -> None:
    with opened(http) as stream:
        assert code_of(stream.post("x", "{ nothing }")) == (400, "BAD_REQUEST")
        assert code_of(stream.post("x", "{ languages {")) == (400, "BAD_REQUEST")
        assert code_of(stream.post("", LANGUAGES)) == (400, "BAD_REQUEST")
        assert code_of(stream.post("x" * 257, LANGUAGES)) == (400, "BAD_REQUEST")
        no_id = http.post("/graphql/stream", json={"query": LANGUAGES}, headers={TOKEN: stream.token})
        assert code_of(no_id) == (400, "BAD_REQUEST")
        for body in (b"5", b"null", b"[]", b"\xff", b"[" * 100_000, b"{}"):
            answer = http.post("/graphql/stream", content=body, headers={TOKEN: stream.token, "content-type": "application/json"})
            assert answer.status_code == 400, body[:10]
        stream.post("x", LANGUAGES)
        assert stream.results("x"), "the id is free, and the stream goes on"


def test_a_refused_argument_is_a_result(http: httpx2.Client) -> None:
    with opened(http) as stream:
        stream.post("s", STREAM, code="1", timeout=0)
        [result] = stream.results("s")
        assert result["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_an_id_in_use_is_refused(http: httpx2.Client) -> None:
    with opened(http) as stream:
        stream.post("same", STREAM, code="import time; time.sleep(20)")
        assert code_of(stream.post("same", LANGUAGES)) == (409, "CONFLICT")


def test_a_stream_is_opened_once(http: httpx2.Client) -> None:
    with opened(http) as stream:
        assert code_of(http.get("/graphql/stream", headers={TOKEN: stream.token, "accept": "text/event-stream"})) == (409, "CONFLICT")
        stream.post("q", LANGUAGES)
        assert stream.results("q"), "the stream that was there goes on"


@pytest.mark.parametrize("token", ["", "guess", "x" * 43], ids=["none", "short", "long"])
def test_a_token_must_be_one_that_was_given(http: httpx2.Client, token: str) -> None:
    headers = {TOKEN: token, "accept": "text/event-stream"}
    assert code_of(http.get("/graphql/stream", headers=headers)) == (404, "NOT_FOUND")
    assert code_of(http.post("/graphql/stream", json={"query": LANGUAGES}, headers=headers)) == (404, "NOT_FOUND")
    assert code_of(http.delete("/graphql/stream?operationId=1", headers=headers)) == (404, "NOT_FOUND")


def test_tokens_cannot_be_guessed(http: httpx2.Client) -> None:
    tokens = {reserve(http) for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 43  # 256 bits


def test_a_reservation_that_is_not_used_is_dropped(http: httpx2.Client) -> None:
    token = reserve(http)
    Stream(http, token, iter(())).post("run", STREAM, code=BEAT, sandboxId="home", timeout=60_000)
    deadline = time.monotonic() + WAIT_S
    while http.delete("/graphql/stream?operationId=other", headers={TOKEN: token}).status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_delete_ends_the_run(server: Server, http: httpx2.Client) -> None:
    with opened(http) as stream:

        def leave() -> float:
            stream.post("run", STREAM, code=BEAT, sandboxId="home", timeout=60_000)
            stream.until_alive("run")
            ended = time.time()
            assert stream.end("run").status_code == 200
            assert stream.end("run").status_code == 200, "as often as one likes"
            return ended

        ends_soon(server, leave)
        stream.post("run", LANGUAGES)
        assert stream.results("run"), "the id is free again"


def test_closing_the_stream_ends_its_runs_and_its_token(server: Server, http: httpx2.Client) -> None:
    left: list[Stream] = []

    def leave() -> float:
        with opened(http) as stream:
            stream.post("run", STREAM, code=BEAT, sandboxId="home", timeout=60_000)
            stream.until_alive("run")
            ended = time.time()
        left.append(stream)
        return ended

    ends_soon(server, leave)
    assert code_of(left[-1].post("q", LANGUAGES)) == (404, "NOT_FOUND")


def test_a_reader_that_stops_stops_its_programs_and_nothing_else(server: Server, http: httpx2.Client) -> None:
    with opened(http) as stream:
        before = resident_bytes(server)
        stream.post("flood", STREAM, code=FLOOD, sandboxId="home", timeout=60_000)
        stopped = count_at_rest(server)
        assert stopped * 65_536 < 64 * MiB
        assert resident_bytes(server) - before < 32 * MiB
        for _ in range(400):
            stream.event()
        assert count_at_rest(server) > stopped


def test_operations_of_a_stream_are_bounded(http: httpx2.Client) -> None:
    with opened(http) as stream:
        answers = [stream.post(str(number), STREAM, code="import time; time.sleep(20)") for number in range(110)]
        assert [answer.status_code for answer in answers] == [202] * 100 + [429] * 10
        assert code_of(answers[-1]) == (429, "RATE_LIMITED")


def test_streams_are_bounded() -> None:
    """One caller has half of them at most."""
    with running_server(max_connections=6) as server, httpx2.Client(base_url=server.url, trust_env=False) as http:
        for _ in range(3):
            reserve(http)
        refused = http.put("/graphql/stream")
        assert code_of(refused) == (429, "RATE_LIMITED")
        assert int(refused.headers["retry-after"]) >= 1


def test_pages_of_other_origins_and_simple_requests_are_refused(server: Server, http: httpx2.Client) -> None:
    evil = {"origin": "https://evil.example"}
    assert code_of(http.put("/graphql/stream", headers=evil)) == (403, "FORBIDDEN")
    with opened(http) as stream:
        headers = {TOKEN: stream.token, "content-type": "text/plain"}
        assert http.post("/graphql/stream", content=b"{}", headers=headers).status_code == 415
        assert code_of(http.post("/graphql/stream", json={}, headers={TOKEN: stream.token, **evil})) == (403, "FORBIDDEN")
        stream.post("q", LANGUAGES)
        assert stream.results("q")


def test_other_methods_and_forms_are_refused(http: httpx2.Client) -> None:
    wrong = http.patch("/graphql/stream")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET, POST, PUT, DELETE"
    assert http.get("/graphql/stream", headers={TOKEN: reserve(http), "accept": "application/json"}).status_code == 406
