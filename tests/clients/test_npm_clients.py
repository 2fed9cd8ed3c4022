"""The clients that people use from JavaScript, each with everything that it can do with this server."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest

from tests.support.beat import ends_soon
from tests.support.node import run_node
from tests.support.server import Server

HELLO = {"output": "hello\n", "success": True, "outcome": "COMPLETED"}
# `summary` of documents.mjs for two lines printed with a pause between.
TWO_LINES = {
    "kinds": ["ExecutionStarted", "ExecutionOutput", "ExecutionCompleted"],
    "text": "one\ntwo\n",
    "seqs": [1, 2, 3, 4],
    "outcome": "COMPLETED",
}
RESPONSE_JSON = "application/graphql-response+json"


def run(scripts: Path, name: str, server: Server, *args: str) -> dict[str, Any]:
    """What a client's script saw; the run that it left must have ended."""
    seen: dict[str, Any] = run_node(scripts / name, server.url + "/graphql", server.ws_url, *args)
    if "endedAtMs" in seen:
        tries = chain([seen], (run_node(scripts / name, server.url + "/graphql", server.ws_url, *args) for _ in count()))
        ends_soon(server, lambda: next(tries)["endedAtMs"] / 1000)
    return seen


def test_graphql_ws(scripts: Path, server: Server) -> None:
    seen = run(scripts, "graphql_ws.mjs", server)
    assert "python" in seen["languages"]
    assert seen["executed"] == HELLO
    assert seen["streamed"] == TWO_LINES
    assert seen["together"] == [f"{number}\n" for number in range(8)]
    assert "Syntax Error" in seen["syntax"][0]
    assert "nothing" in seen["unknown"][0]
    assert "Other" in seen["noSuchOperation"][0]
    assert seen["after"] == "hello\n"
    assert (seen["sockets"], seen["closes"]) == (1, []), "no error closed the socket"


@pytest.mark.parametrize("mode", ["distinct", "single"])
def test_graphql_sse(scripts: Path, server: Server, mode: str) -> None:
    seen = run(scripts, "graphql_sse.mjs", server, mode)
    assert "python" in seen["languages"]
    assert seen["executed"] == HELLO
    assert seen["streamed"] == TWO_LINES
    assert seen["together"] == [f"{number}\n" for number in range(4)]
    methods = [method for method, _ in seen["requests"]]
    if mode == "distinct":
        assert set(methods) == {"POST"}
        assert "nothing" in seen["invalid"]["results"][0]["errors"][0]["message"]
    else:
        assert (methods.count("PUT"), methods.count("GET")) == (1, 1), "all operations share one stream"
        assert seen["invalid"] == {"error": "NetworkError"}
        [refused] = seen["refusals"]
        assert "nothing" in refused["errors"][0]["message"]


def test_apollo_client(scripts: Path, server: Server) -> None:
    seen = run(scripts, "apollo.mjs", server)
    assert "python" in seen["languages"]
    assert seen["executed"] == {"__typename": "ExecutionResult", **HELLO}
    assert seen["multipart"] == TWO_LINES
    assert [request["type"] for request in seen["plain"]] == [RESPONSE_JSON, RESPONSE_JSON, "multipart/mixed"]
    assert seen["refused"] == ["BAD_REQUEST"]
    assert "nothing" in seen["invalid"][0]
    assert seen["overSocket"] == TWO_LINES
    assert seen["querySocket"] == len(seen["languages"])
    assert [(request["status"], request["hasQuery"]) for request in seen["persistedRequests"]] == [(400, False), (200, True), (200, False)]
    assert seen["fromHash"] == len(seen["languages"])
    assert [(request["status"], request["batch"]) for request in seen["batchRequests"]] == [(200, 3)]
    assert seen["batch"] == [["languages"], ["executeCode"], ["languages"]]


def test_apollo_upload_client(scripts: Path, server: Server) -> None:
    seen = run(scripts, "apollo_upload.mjs", server)
    assert seen == {
        "uploaded": True,
        "content": "sent as a file: héllo\n",
        "requests": ["multipart", "json", "multipart", "json"],
        "forged": "FORBIDDEN",
        "forgedContent": None,
    }


def test_urql(scripts: Path, server: Server) -> None:
    seen = run(scripts, "urql.mjs", server)
    assert "python" in seen["languages"]
    assert seen["executed"] == HELLO
    assert seen["failed"] == ["BAD_REQUEST"]
    assert seen["byGet"] == len(seen["languages"])
    assert [(request["method"], request["type"]) for request in seen["plainRequests"]] == [
        ("POST", RESPONSE_JSON),
        ("POST", RESPONSE_JSON),
        ("POST", RESPONSE_JSON),
        ("GET", RESPONSE_JSON),
    ], "a plain query of a client that lists text/event-stream too is answered with JSON"
    assert seen["overHttp"] == seen["overSocket"] == TWO_LINES
    assert [request["type"] for request in seen["streamRequests"]] == ["text/event-stream"]


def test_relay(scripts: Path, server: Server) -> None:
    seen = run(scripts, "relay.mjs", server)
    assert "python" in seen["languages"]
    assert seen["executed"] == HELLO
    expected = {name: value for name, value in TWO_LINES.items() if name != "outcome"}
    assert seen["overSocket"] == seen["overHttp"] == expected


def test_an_online_ide(scripts: Path, server: Server) -> None:
    """Sandboxes, watched files, a run, a terminal and a context, while connections are lost on purpose."""
    seen = run(scripts, "ide.mjs", server)
    assert seen["same"], "a name gives the same sandbox again"
    assert seen["tree"] == ["src", "src/main.py"]
    assert seen["losses"] >= 2
    assert seen["seqs"] == list(range(1, len(seen["seqs"]) + 1)), "each event once, in order"
    assert seen["text"] == "".join(f"line {number}\n" for number in range(200))
    ended = seen["execution"]
    assert (ended["status"], ended["outcome"], ended["result"]["output"]) == ("ENDED", "COMPLETED", seen["text"])
    assert seen["size"]
    assert not seen["truncated"]
    assert not seen["repeated"], "who says where he was is not shown it again"
    assert seen["exitCode"] == 3
    assert [(shown["mimeType"], shown["data"]) for shown in seen["cell"]["results"]] == [("text/plain", "42")]
    assert seen["gone"] == "DESTROYED"
