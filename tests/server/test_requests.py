"""One request, one answer: how a request may be made, and what is said to one that is not well made."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.server.conftest import Post
from tests.support.twin_server import TwinServer

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
RUN = 'mutation { executeCode(code: "out hello", language: "script") { output success } }'


def errors(response: httpx2.Response) -> list[dict[str, Any]]:
    """The errors of a response, each with a code and its HTTP status."""
    found = response.json()["errors"]
    assert all(error["extensions"]["code"] and error["extensions"]["status"] >= 400 for error in found)
    return found


def test_a_query_by_get_and_post(served: TwinServer, client: httpx2.Client, post: Post) -> None:
    expected = {"data": {"languages": [{"name": "script"}, {"name": "brick"}]}}
    assert post("{ languages { name } }").json() == expected
    assert client.get(served.url, params={"query": "{ languages { name } }"}).json() == expected


def test_variables_and_operation_name_by_get(served: TwinServer, client: httpx2.Client) -> None:
    query = "query A { languages { name } } query B($p: String) { providers { name } languages(provider: $p) { name } }"
    params = {"query": query, "operationName": "B", "variables": '{"p": "local"}'}
    assert client.get(served.url, params=params).json()["data"]["providers"] == [{"name": "local"}]


def test_a_program_runs(served: TwinServer, post: Post) -> None:
    runs = served.twin.runs
    assert post(RUN).json() == {"data": {"executeCode": {"output": "hello\n", "success": True}}}
    assert served.twin.runs == runs + 1


def test_all_arguments_reach_the_provider(served: TwinServer, post: Post) -> None:
    query = """mutation ($code: String!, $files: [FileInput!]) {
      executeCode(code: $code, language: "SC", provider: null, sandboxId: "home", stdin: "in", args: ["a", "b"], env: [{name: "X", value: "1"}],
        files: $files, timeout: 1234, limits: {cpuTime: 99, memory: 33554432, processes: 3, openFiles: 17, workspaceBytes: 70000,
        workspaceInodes: 20, outputBytes: 5, }, artifacts: ["d/f.txt"]) {
        sandboxId language artifacts { path content encoding size } isolation { level } error { code } exitCode signal compilation { time }
      }
    }"""
    variables = {"code": "out 1", "files": [{"path": "d/f.txt", "content": "/w==", "encoding": "BASE64"}, {"path": "g", "content": "é"}]}
    data = post(query, variables=variables).json()["data"]["executeCode"]
    request = served.twin.requests[-1]
    assert (request.language, request.stdin, request.args, dict(request.env)) == ("script", b"in", ("a", "b"), {"X": "1"})
    assert [(file.path, file.content) for file in request.files] == [("d/f.txt", b"\xff"), ("g", "é".encode())]
    limits = request.limits
    assert (limits.wall_ms, limits.cpu_ms, limits.memory_bytes, limits.processes, limits.open_files) == (1234, 99, 33554432, 3, 17)
    assert (limits.workspace_bytes, limits.workspace_inodes, limits.output_bytes) == (70000, 20, 5)
    assert data["sandboxId"] == "home"
    assert data["artifacts"] == [{"path": "d/f.txt", "content": "/w==", "encoding": "BASE64", "size": 1}]
    assert data["compilation"] is None


def test_null_is_left_out(served: TwinServer, post: Post) -> None:
    arguments = ("provider", "sandboxId", "stdin", "args", "env", "files", "timeout", "limits", "artifacts")
    nulls = ", ".join(f"{name}: null" for name in arguments)
    query = f'mutation {{ executeCode(code: "out 1", language: "script", {nulls}) {{ sandboxId }} }}'
    assert post(query).json()["data"]["executeCode"] == {"sandboxId": None}
    assert served.twin.requests[-1].limits.wall_ms == served.settings.wall_ms


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ('language: "nope"', "language"),
        ('language: "script", provider: "nope"', "provider"),
        ('language: "script", timeout: 0', "timeout"),
        ('language: "script", timeout: -5', "timeout"),
        ('language: "script", timeout: 2147483647', "timeout"),
        ('language: "script", limits: {cpuTime: 0}', "limits.cpuTime"),
        ('language: "script", limits: {memory: 1}', "limits.memory"),
        ('language: "script", limits: {memory: 68719476736}', "limits.memory"),
        ('language: "script", limits: {memory: -1}', "ByteCount"),
        ('language: "script", limits: {memory: 1.5}', "ByteCount"),
        ('language: "script", limits: {openFiles: 1}', "limits.openFiles"),
        ('language: "script", limits: {workspaceBytes: 9007199254740991}', "limits.workspaceBytes"),
        ('language: "script", files: [{path: "../a", content: ""}]', "files[0].path"),
        ('language: "script", artifacts: ["/etc/passwd"]', "artifacts[0]"),
        ('language: "script", env: [{name: "1", value: ""}]', "env"),
        ('language: "script", args: ["a\\u0000"]', "args[0]"),
    ],
)
def test_a_bad_argument_is_named_and_costs_nothing(served: TwinServer, post: Post, argument: str, named: str) -> None:
    runs = served.twin.runs
    response = post(f'mutation {{ executeCode(code: "out 1", {argument}) {{ success }} }}')
    (error,) = errors(response)
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert named in error["message"]
    assert served.twin.runs == runs


def test_files_by_graphql(served: TwinServer, post: Post) -> None:
    assert post('mutation { writeFile(path: "t/a.txt", content: "héllo") }').json() == {"data": {"writeFile": True}}
    assert post('mutation { writeFile(path: "t/b.bin", content: "gP8=", encoding: BASE64) }').json() == {"data": {"writeFile": True}}
    data = post(
        '{ listFiles(path: "t") a: readFile(path: "t/a.txt") { content size encoding } files(path: "t") { name path type size modifiedAt } }'
    ).json()["data"]
    assert data["listFiles"] == ["a.txt", "b.bin"]
    assert data["a"] == {"content": "héllo", "size": 6, "encoding": "UTF8"}
    assert data["files"][1] == {"name": "b.bin", "path": "t/b.bin", "type": "FILE", "size": 2, "modifiedAt": "2023-11-14T22:13:20.500000+00:00"}
    missing = post('{ readFile(path: "t/none") { content } }')
    assert missing.json()["data"] == {"readFile": None}
    assert errors(missing)[0]["extensions"] == {"code": "NOT_FOUND", "status": 404}


@pytest.mark.parametrize(
    "body",
    [
        b"5",
        b"null",
        b'"text"',
        b"true",
        b"[]",
        b"[5]",
        b"{",
        b"",
        b"\xff\xfe",
        b'{"query": "\xff"}',
        b"{}",
        b'{"query": 5}',
        b'{"query": NaN}',
        b'{"query": null}',
        b'{"query": "{ __typename }", "operationName": 5}',
        b'{"query": "{ __typename }", "variables": "{}"}',
        b'{"query": "{ __typename }", "variables": []}',
        b'{"query": "{ __typename }", "extensions": 1}',
        b"[" * 100000,
        b'{"a":' * 100000,
        b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 100000 + b"]" * 100000 + b"}}",
    ],
)
def test_a_body_that_is_no_request_is_400(served: TwinServer, client: httpx2.Client, body: bytes) -> None:
    response = client.post(served.url, content=body, headers={"content-type": JSON})
    assert response.status_code == 400
    assert response.headers["content-type"].startswith(JSON)
    assert errors(response)[0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("query", ["", "query=%ff", "query={__typename}&variables=5", "query={__typename}&variables={", "&".join(["a=1"] * 50)])
def test_a_query_string_that_is_no_request_is_400(served: TwinServer, client: httpx2.Client, query: str) -> None:
    response = client.get(f"{served.url}?{query}")
    assert response.status_code == 400
    assert errors(response)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; charset=utf-16"]
)
def test_another_content_type_is_415(served: TwinServer, client: httpx2.Client, content_type: str | None) -> None:
    runs = served.twin.runs
    headers = {} if content_type is None else {"content-type": content_type}
    response = client.post(served.url, content=json.dumps({"query": RUN}).encode(), headers=headers)
    assert response.status_code == 415
    assert errors(response)
    assert served.twin.runs == runs


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'])
def test_json_by_any_writing(served: TwinServer, client: httpx2.Client, content_type: str) -> None:
    response = client.post(served.url, content=b'{"query": "{ __typename }"}', headers={"content-type": content_type})
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("query", [RUN, 'subscription { executeCode(code: "", language: "script") { __typename } }'])
def test_get_is_for_queries_only(served: TwinServer, client: httpx2.Client, query: str) -> None:
    runs = served.twin.runs
    for accept in (JSON, RESPONSE_JSON, "text/event-stream"):
        response = client.get(f"{served.url}?query={quote(query)}", headers={"accept": accept})
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
        assert errors(response)
    assert served.twin.runs == runs


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_405(served: TwinServer, client: httpx2.Client, method: str) -> None:
    response = client.request(method, served.url)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        (JSON, JSON),
        (RESPONSE_JSON, RESPONSE_JSON),
        (f"{RESPONSE_JSON}, {JSON};q=0.9", RESPONSE_JSON),
        (f"{RESPONSE_JSON};q=0.5, {JSON}", JSON),
        (f"{RESPONSE_JSON};q=0, {JSON};q=0.1", JSON),
        ("application/*", JSON),
        (f"{RESPONSE_JSON}, application/graphql+json, {JSON}, text/event-stream, multipart/mixed", RESPONSE_JSON),
        ("text/event-stream, multipart/mixed", "text/event-stream"),
        ("text/event-stream, application/json;q=0.5", "text/event-stream"),
        ("text/html;q=0.5, application/json", JSON),
    ],
)
def test_the_answer_comes_as_it_is_wanted(served: TwinServer, client: httpx2.Client, accept: str | None, expected: str) -> None:
    headers = {"accept": accept} if accept else {"accept": ""}
    response = client.post(served.url, json={"query": "{ __typename }"}, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{expected}; charset=utf-8"


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "application/xml, text/css", "application/json;charset=utf-16"])
def test_nothing_that_fits_is_406(served: TwinServer, client: httpx2.Client, accept: str) -> None:
    response = client.post(served.url, json={"query": "{ __typename }"}, headers={"accept": accept})
    assert response.status_code == 406
    assert errors(response)[0]["extensions"]["code"] == "NOT_ACCEPTABLE"


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{"},
        {"query": "{ nope }"},
        {"query": "fragment F on Query { __typename }"},
        {"query": "query A { __typename } query B { __typename }"},
        {"query": "query A { __typename }", "operationName": "B"},
        {"query": "query ($c: String!) { readFile(path: $c) { size } }", "variables": {"c": 5}},
        {"query": "query ($c: String!) { readFile(path: $c) { size } }"},
    ],
)
def test_a_document_that_cannot_be_run_has_no_data(served: TwinServer, client: httpx2.Client, body: dict[str, Any]) -> None:
    typed = client.post(served.url, json=body, headers={"accept": RESPONSE_JSON})
    assert typed.status_code == 400
    assert "data" not in typed.json()
    assert {error["extensions"]["code"] for error in errors(typed)} == {"BAD_REQUEST"}
    plain = client.post(served.url, json=body, headers={"accept": JSON})
    assert plain.status_code == 200
    assert plain.json() == typed.json()


def test_two_operations_and_no_name_run_nothing(served: TwinServer, post: Post) -> None:
    runs = served.twin.runs
    response = post(f"{RUN.replace('mutation', 'mutation A')} {RUN.replace('mutation', 'mutation B')}")
    assert "operationName" in errors(response)[0]["message"]
    assert served.twin.runs == runs
    named = post(f"{RUN.replace('mutation', 'mutation A')} {RUN.replace('mutation', 'mutation B')}", operationName="B")
    assert named.json()["data"]["executeCode"]["success"] is True
    assert served.twin.runs == runs + 1


def test_null_and_empty_members_are_left_out(post: Post) -> None:
    assert post("{ __typename }", variables=None, operationName=None, extensions=None).json() == {"data": {"__typename": "Query"}}
    assert post("{ __typename }", operationName="", variables={}, extensions={}).json() == {"data": {"__typename": "Query"}}


def test_a_lone_surrogate_is_quoted_safely(served: TwinServer, client: httpx2.Client) -> None:
    body = b'{"query": "query ($l: String!) { languages(provider: $l) { name } }", "variables": {"l": "\\ud800"}}'
    response = client.post(served.url, content=body, headers={"content-type": JSON})
    assert response.status_code in (200, 400)
    assert errors(response)


def test_a_document_over_its_bound_is_413(served: TwinServer, post: Post) -> None:
    code = "x" * served.settings.query_bytes
    response = post(f'mutation {{ executeCode(code: "{code}", language: "script") {{ success }} }}')
    assert response.status_code == 413
    assert "variables" in errors(response)[0]["message"]
    query = 'mutation ($code: String!) { executeCode(code: $code, language: "script") { success } }'
    assert post(query, variables={"code": code}).json()["data"]["executeCode"]["success"] is True
