"""Python's gql: HTTP by httpx2, everything else by websockets."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from gql import Client, FileVar, GraphQLRequest, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport
from gql.transport.websockets import WebsocketsTransport

from tests.support.beat import BEAT, ends_soon
from tests.support.server import Server

LANGUAGES = "{ languages { name } }"
EXECUTE = 'mutation ($code: String!) { executeCode(code: $code, language: "python") { output outcome } }'
STREAM = """subscription ($code: String!, $sandboxId: ID) {
  executeCode(code: $code, language: "python", sandboxId: $sandboxId) {
    __typename
    ... on ExecutionOutput { text }
    ... on ExecutionCompleted { result { outcome } }
  }
}"""


@pytest.fixture
def http(server: Server) -> Iterator[Any]:
    """A connected client over HTTP, which has fetched the schema and checks its documents with it."""
    transport = HTTPXTransport(server.url + "/graphql", headers={"graphql-require-preflight": "1"}, trust_env=False)
    with Client(transport=transport, fetch_schema_from_transport=True) as session:
        yield session


def socket(server: Server) -> Client:
    """A client over WebSocket that pings the server ten times a second and expects an answer to each."""
    transport = WebsocketsTransport(server.ws_url, ping_interval=0.1, pong_timeout=5, connect_args={"proxy": None})
    return Client(transport=transport, fetch_schema_from_transport=True)


def test_queries_and_mutations_over_http(http: Any) -> None:
    assert {"name": "python"} in http.execute(gql(LANGUAGES))["languages"]
    executed = http.execute(GraphQLRequest(EXECUTE, variable_values={"code": "print('hello')"}))
    assert executed == {"executeCode": {"output": "hello\n", "outcome": "COMPLETED"}}


def test_an_error_over_http_has_its_code(http: Any) -> None:
    with pytest.raises(TransportQueryError) as refused:
        http.execute(gql('{ readFile(path: "../x") { content } }'))
    assert refused.value.errors is not None
    assert refused.value.errors[0]["extensions"]["code"] == "BAD_REQUEST"


def test_a_batch_over_http(http: Any) -> None:
    answers = http.execute_batch([GraphQLRequest(LANGUAGES), GraphQLRequest(EXECUTE, variable_values={"code": "print(2)"})])
    assert [list(answer) for answer in answers] == [["languages"], ["executeCode"]]


def test_a_file_over_http(http: Any) -> None:
    upload = "mutation ($path: String!, $file: Upload!) { uploadFile(path: $path, file: $file) }"
    file = FileVar(io.BytesIO("sent by gql: é".encode()), filename="gql.txt")
    assert http.execute(GraphQLRequest(upload, variable_values={"path": "gql.txt", "file": file}), upload_files=True) == {"uploadFile": True}
    assert http.execute(gql('{ readFile(path: "gql.txt") { content } }')) == {"readFile": {"content": "sent by gql: é"}}


async def test_every_kind_of_operation_over_websocket(server: Server) -> None:
    async with socket(server) as session:
        assert {"name": "python"} in (await session.execute(gql(LANGUAGES)))["languages"]
        executed = await session.execute(GraphQLRequest(EXECUTE, variable_values={"code": "print('hello')"}))
        assert executed == {"executeCode": {"output": "hello\n", "outcome": "COMPLETED"}}
        code = "import time\nprint('one', flush=True)\ntime.sleep(0.3)\nprint('two')"
        request = GraphQLRequest(STREAM, variable_values={"code": code})
        events = [event["executeCode"] async for event in session.subscribe(request)]
        assert "".join(event.get("text", "") for event in events) == "one\ntwo\n"
        assert events[-1]["result"]["outcome"] == "COMPLETED"


async def test_an_error_over_websocket_leaves_the_connection(server: Server) -> None:
    async with socket(server) as session:
        request = GraphQLRequest(STREAM, variable_values={"code": "1", "sandboxId": "of nobody"})
        with pytest.raises(TransportQueryError) as refused:
            await anext(session.subscribe(request))
        assert refused.value.errors is not None
        assert refused.value.errors[0]["extensions"]["code"] == "NOT_FOUND"
        assert (await session.execute(gql(LANGUAGES)))["languages"]


async def test_leaving_a_subscription_ends_the_run(server: Server) -> None:
    async def leave() -> float:
        async with socket(server) as session:
            request = GraphQLRequest(STREAM, variable_values={"code": BEAT, "sandboxId": "home"})
            async with aclosing(session.subscribe(request)) as events:
                async for event in events:
                    if "alive" in event["executeCode"].get("text", ""):
                        break
            ended_s = time.time()
            assert (await session.execute(gql(LANGUAGES)))["languages"], "the connection goes on"
        return ended_s

    await asyncio.to_thread(ends_soon, server, lambda: asyncio.run(leave()))
