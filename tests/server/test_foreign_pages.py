"""What a page of another site can make a visitor's browser do: nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest

from tests.support.twin_server import TwinServer, running_twin

RUN = 'mutation { executeCode(code: "out 1", language: "script") { success } }'
QUERY = '{ listFiles(path: ".") }'
ALLOWED = "https://app.example"


@pytest.fixture(scope="module")
def shared() -> Iterator[TwinServer]:
    """A server that one other origin may call."""
    with running_twin(allowed_origins=(ALLOWED,)) as server:
        yield server


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", ""])
def test_a_foreign_origin_is_refused(served: TwinServer, client: httpx2.Client, origin: str) -> None:
    runs = served.twin.runs
    for response in (
        client.post(served.url, json={"query": RUN}, headers={"origin": origin}),
        client.get(served.url, params={"query": QUERY}, headers={"origin": origin}),
    ):
        assert response.status_code == 403
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert "SANDQL_ALLOWED_ORIGINS" in error["message"]
        assert "access-control-allow-origin" not in response.headers
    assert served.twin.runs == runs


def test_the_servers_own_pages_are_served(served: TwinServer, client: httpx2.Client) -> None:
    origin = served.url.removesuffix("/graphql")
    assert client.post(served.url, json={"query": "{ __typename }"}, headers={"origin": origin}).status_code == 200


def test_a_name_that_was_made_to_lead_here_is_refused(served: TwinServer, client: httpx2.Client) -> None:
    runs = served.twin.runs
    evil = f"evil.example:{served.port}"
    response = client.post(served.url, json={"query": RUN}, headers={"host": evil, "origin": f"http://{evil}"})
    assert response.status_code == 403
    assert "Host" in response.json()["errors"][0]["message"]
    assert client.get(served.url, params={"query": QUERY}, headers={"host": evil}).status_code == 403
    assert served.twin.runs == runs
    for name in ("localhost", f"localhost:{served.port}", "sandql.localhost", "[::1]:80", "127.0.0.1"):
        assert client.post(served.url, json={"query": "{ __typename }"}, headers={"host": name}).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_form_of_a_foreign_page_runs_nothing(served: TwinServer, client: httpx2.Client, content_type: str) -> None:
    runs = served.twin.runs
    part = "--x\r\nContent-Disposition: form-data; name="
    body = f'{part}"operations"\r\n\r\n{json.dumps({"query": RUN})}\r\n{part}"map"\r\n\r\n{{}}\r\n--x--\r\n'
    response = client.post(served.url, content=body.encode(), headers={"content-type": content_type})
    assert response.status_code in (403, 415)
    assert served.twin.runs == runs


def test_reads_by_foreign_pages_are_refused(served: TwinServer, client: httpx2.Client) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"content-type": "text/plain"}):
        response = client.get(served.url, params={"query": QUERY}, headers=headers)
        assert response.status_code == 403
        assert client.get(served.url, params={"query": QUERY}, headers={**headers, "apollo-require-preflight": "1"}).status_code == 200
    for headers in ({"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"content-type": "application/json"}, {}):
        assert client.get(served.url, params={"query": QUERY}, headers=headers).status_code == 200


def test_no_page_may_read_unless_allowed(served: TwinServer, client: httpx2.Client) -> None:
    headers = {"origin": ALLOWED, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    response = client.options(served.url, headers=headers)
    assert not [name for name in response.headers if name.startswith("access-control-")]


def test_an_allowed_origin_may_call_and_read(shared: TwinServer, client: httpx2.Client) -> None:
    headers = {"origin": ALLOWED, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    asked = client.options(shared.url, headers=headers)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ALLOWED
    assert "content-type" in asked.headers["access-control-allow-headers"].lower()
    answer = client.post(shared.url, json={"query": "{ __typename }"}, headers={"origin": ALLOWED})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
    other = client.post(shared.url, json={"query": "{ __typename }"}, headers={"origin": "https://evil.example"})
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers


def test_the_host_of_an_allowed_origin_is_a_name_of_the_server(shared: TwinServer, client: httpx2.Client) -> None:
    assert client.post(shared.url, json={"query": "{ __typename }"}, headers={"host": "app.example"}).status_code == 200
