"""What is said when something fails, and what is not."""

from __future__ import annotations

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from sandql.core.settings import Settings, load_settings
from sandql.server.app import create_app
from tests.server.conftest import Post
from tests.support.twin import open_twin
from tests.support.twin_server import TwinServer

DEFECT = 'mutation { executeCode(code: "defect", language: "script") { success } }'


def test_a_defect_is_masked_and_found_by_its_id(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    response = post(DEFECT, headers={"x-request-id": "my-request.1"})
    (error,) = response.json()["errors"]
    assert "secret" not in response.text
    assert error["extensions"] == {"code": "INTERNAL_ERROR", "status": 500, "requestId": "my-request.1"}
    assert error["path"] == ["executeCode"]
    assert response.headers["x-request-id"] == "my-request.1"
    assert response.json()["data"] is None


def test_an_error_of_the_house_says_its_code_and_when_to_come_back(post: Post) -> None:
    (error,) = post('mutation { executeCode(code: "refuse", language: "script") { success } }').json()["errors"]
    assert error["message"] == "files: too much of it"
    assert error["extensions"] == {"code": "PAYLOAD_TOO_LARGE", "status": 413, "retryAfter": 7}


def test_one_field_that_fails_leaves_the_others(served: TwinServer, post: Post) -> None:
    response = post('{ languages { name } readFile(path: "nowhere") { size } }')
    assert response.json()["data"]["readFile"] is None
    assert len(response.json()["data"]["languages"]) == 2
    assert response.status_code == 200


@pytest.mark.parametrize("bad", ["", "x" * 65, "a b", "a\tb", "ü", "<script>", "a,b"])
def test_a_strange_request_id_is_not_taken(served: TwinServer, client: httpx2.Client, bad: str) -> None:
    response = client.post(served.url, json={"query": "{ __typename }"}, headers={"x-request-id": bad.encode()})  # pyright: ignore[reportArgumentType]
    made = response.headers["x-request-id"]
    assert made != bad
    assert made.isalnum()


def test_each_request_has_an_id_of_its_own(post: Post) -> None:
    assert len({post("{ __typename }").headers["x-request-id"] for _ in range(20)}) == 20


def test_other_addresses_answer_in_the_same_shape(served: TwinServer, client: httpx2.Client) -> None:
    base = served.url.removesuffix("/graphql")
    missing = client.get(f"{base}/nothing")
    assert missing.status_code == 404
    assert missing.json()["errors"][0]["extensions"] == {"code": "NOT_FOUND", "status": 404}
    wrong = client.post(f"{base}/health")
    assert wrong.status_code == 405
    assert wrong.json()["errors"][0]["extensions"] == {"code": "METHOD_NOT_ALLOWED", "status": 405}
    assert "x-request-id" in wrong.headers


def test_a_defect_outside_of_graphql_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("sandql.server.health.list_providers", fail)
    app: Starlette = create_app(load_settings(), opener=open_twin)
    with TestClient(app, raise_server_exceptions=False, base_url="http://localhost") as client:
        response = client.get("/health")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["errors"][0]["extensions"]["requestId"] == response.headers["x-request-id"]


def test_a_defect_of_the_door_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("sandql.server.graphql_http.make_context", fail)
    settings: Settings = load_settings()
    with TestClient(create_app(settings, opener=open_twin), base_url="http://localhost") as client:
        response = client.post("/graphql", json={"query": "{ __typename }"})
    assert response.status_code == 500
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    assert "secret" not in response.text
