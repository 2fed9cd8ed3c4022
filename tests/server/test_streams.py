"""Subscriptions over HTTP: server-sent events and multipart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from email.parser import BytesParser
from typing import Any

import httpx2
import pytest
from starlette.types import Message

from sandql.server.negotiation import EVENT_STREAM, MULTIPART
from sandql.server.result_streams import send_stream
from tests.server.conftest import Post
from tests.support.twin_server import TwinServer

MULTIPART_ACCEPT = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/graphql-response+json,application/json;q=0.9'
SUBSCRIPTION = """subscription ($code: String!, $language: String = "script") { executeCode(code: $code, language: $language) {
  __typename
  ... on ExecutionStarted { seq id }
  ... on ExecutionOutput { seq stream text }
  ... on ExecutionCompleted { seq result { outcome output } } } }"""


def events(body: str) -> list[tuple[str, Any]]:
    """What an EventSource would dispatch."""
    assert "\r" not in body
    found: list[tuple[str, Any]] = []
    for block in body.split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        fields = dict(line.split(":", 1) for line in lines if line)
        if "event" in fields:
            data = fields["data"].strip()
            found.append((fields["event"].strip(), json.loads(data) if data else None))
    return found


def parts(response: httpx2.Response) -> list[Any]:
    """The JSON of each part of a multipart body."""
    head = f"content-type: {response.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + response.content)
    assert message.is_multipart()
    return [json.loads(part.get_payload()) for part in message.get_payload()]  # pyright: ignore[reportUnknownVariableType, reportArgumentType, reportAttributeAccessIssue, reportUnknownMemberType]


def seen(results: list[Any]) -> list[tuple[str, int]]:
    return [(result["data"]["executeCode"]["__typename"], result["data"]["executeCode"]["seq"]) for result in results]


EXPECTED = [("ExecutionStarted", 1), ("ExecutionOutput", 2), ("ExecutionOutput", 3), ("ExecutionCompleted", 4)]


def test_server_sent_events(post: Post) -> None:
    response = post(SUBSCRIPTION, variables={"code": "out 1\nerr ü"}, headers={"accept": "text/event-stream"})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "no-transform" in response.headers["cache-control"]
    found = events(response.text)
    assert [name for name, _ in found] == ["next"] * 4 + ["complete"]
    assert found[-1] == ("complete", None)
    results = [data for _, data in found[:-1]]
    assert seen(results) == EXPECTED
    assert results[2]["data"]["executeCode"] == {"__typename": "ExecutionOutput", "seq": 3, "stream": "STDERR", "text": "ü\n"}
    assert results[3]["data"]["executeCode"]["result"] == {"outcome": "COMPLETED", "output": "1\n"}


def test_an_event_source_is_told_when_to_connect_again(post: Post) -> None:
    response = post("{ __typename }", headers={"accept": "text/event-stream"})
    assert response.text.startswith("retry: 1000\n")
    assert post("subscription { nope }", headers={"accept": "text/event-stream"}).text.startswith("retry: 1000\n")


def test_multipart(post: Post) -> None:
    response = post(SUBSCRIPTION, variables={"code": "out 1\nerr ü"}, headers={"accept": MULTIPART_ACCEPT})
    assert response.headers["content-type"] == 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
    results = [part["payload"] for part in parts(response)]
    assert seen(results) == EXPECTED


def test_anything_is_acceptable_means_events(post: Post) -> None:
    assert post(SUBSCRIPTION, variables={"code": ""}, headers={"accept": "*/*"}).headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "multipart/mixed", "multipart/mixed;deferSpec=20220824"])
def test_a_client_that_takes_no_stream_is_told_so(served: TwinServer, post: Post, accept: str) -> None:
    runs = served.twin.runs
    response = post(SUBSCRIPTION, variables={"code": ""}, headers={"accept": accept})
    assert response.status_code == 406
    assert "text/event-stream" in response.json()["errors"][0]["message"]
    assert served.twin.runs == runs


def test_queries_and_mutations_come_as_events_for_those_who_take_only_these(post: Post) -> None:
    query = post("{ __typename }", headers={"accept": "text/event-stream"})
    assert events(query.text) == [("next", {"data": {"__typename": "Query"}}), ("complete", None)]


def test_a_plain_query_of_urql_is_json(post: Post) -> None:
    accept = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
    assert post("{ __typename }", headers={"accept": accept}).json() == {"data": {"__typename": "Query"}}


def test_what_cannot_be_run_is_said_in_the_stream(post: Post) -> None:
    response = post("subscription { nope }", headers={"accept": "text/event-stream"})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    [(kind, result), end] = events(response.text)
    assert kind == "next"
    assert "nope" in result["errors"][0]["message"]
    assert end == ("complete", None)


def test_what_cannot_be_run_is_plain_json_for_who_reads_it(post: Post) -> None:
    response = post("subscription { nope }", headers={"accept": "text/event-stream, application/json"})
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()["errors"]


@pytest.mark.parametrize(
    ("code", "language", "expected"),
    [("", "nope", "BAD_REQUEST"), ("out 1\nrefuse", "script", "PAYLOAD_TOO_LARGE"), ("out 1\ndefect", "script", "INTERNAL_ERROR")],
)
def test_what_fails_on_the_way_is_said_and_ends_the_stream(post: Post, code: str, language: str, expected: str) -> None:
    variables = {"code": code, "language": language}
    found = events(post(SUBSCRIPTION, variables=variables, headers={"accept": "text/event-stream"}).text)
    assert found[-1] == ("complete", None)
    (error,) = found[-2][1]["errors"]
    assert error["extensions"]["code"] == expected
    assert "secret" not in error["message"]
    last = parts(post(SUBSCRIPTION, variables=variables, headers={"accept": MULTIPART_ACCEPT}))[-1]
    assert last["payload"]["errors"][0]["extensions"]["code"] == expected


@pytest.mark.parametrize(("media", "piece"), [(EVENT_STREAM, b":\n\n"), (MULTIPART, b"\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql")])
def test_a_silent_stream_is_kept_alive(media: str, piece: bytes) -> None:
    sent: list[bytes] = []
    beats = asyncio.Event()

    async def results() -> AsyncGenerator[dict[str, Any]]:
        yield {"data": 1}
        await beats.wait()

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))
        if sent[2:].count(piece) >= 3:
            beats.set()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    asyncio.run(asyncio.wait_for(send_stream(results(), media, receive, send, keep_alive_s=0.01), 10))
    assert sent[2:].count(piece) >= 3


def test_a_stream_of_a_mebibyte_arrives_whole(post: Post) -> None:
    found = events(post(SUBSCRIPTION, variables={"code": "flood 64 16384"}, headers={"accept": "text/event-stream"}).text)
    text = "".join(data["data"]["executeCode"].get("text", "") for name, data in found if name == "next")
    assert len(text) == 64 * 16384
