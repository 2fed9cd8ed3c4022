"""Automatic persisted queries over HTTP."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import httpx2
import pytest

from tests.support.twin_server import TwinServer


def extensions(query: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(query.encode()).hexdigest()}}


def test_a_document_is_sent_once(served: TwinServer, client: httpx2.Client) -> None:
    query = "{ languages { name aliases } }"
    unknown = client.post(served.url, json={"extensions": extensions(query)}, headers={"accept": "application/json"})
    assert unknown.status_code == 200
    assert unknown.json() == {"errors": [{"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND", "status": 400}}]}
    sent = client.post(served.url, json={"query": query, "extensions": extensions(query)}).json()
    assert client.post(served.url, json={"extensions": extensions(query)}).json() == sent
    assert client.get(served.url, params={"extensions": json.dumps(extensions(query))}).json() == sent


def test_a_hash_must_be_that_of_its_document(served: TwinServer, client: httpx2.Client) -> None:
    wrong = client.post(served.url, json={"query": "{ __typename }", "extensions": extensions("{ languages { version } }")})
    assert wrong.status_code == 400
    assert "sha256Hash" in wrong.json()["errors"][0]["message"]
    after = client.post(served.url, json={"extensions": extensions("{ languages { version } }")})
    assert after.json()["errors"][0]["message"] == "PersistedQueryNotFound"


def test_a_document_that_is_not_valid_is_not_kept(served: TwinServer, client: httpx2.Client) -> None:
    query = "{ nothing }"
    client.post(served.url, json={"query": query, "extensions": extensions(query)})
    assert client.post(served.url, json={"extensions": extensions(query)}).json()["errors"][0]["message"] == "PersistedQueryNotFound"


def test_a_mutation_by_hash_is_not_for_get(served: TwinServer, client: httpx2.Client) -> None:
    query = 'mutation { executeCode(code: "out 1", language: "script") { success } }'
    client.post(served.url, json={"query": query, "extensions": extensions(query)})
    runs = served.twin.runs
    assert client.get(served.url, params={"extensions": json.dumps(extensions(query))}).status_code == 405
    assert served.twin.runs == runs


@pytest.mark.parametrize(
    "bad", [5, {}, {"version": 2, "sha256Hash": "0" * 64}, {"version": 1}, {"version": 1, "sha256Hash": "00"}, {"version": 1, "sha256Hash": 5}]
)
def test_what_is_no_hash_is_400(served: TwinServer, client: httpx2.Client, bad: object) -> None:
    assert client.post(served.url, json={"extensions": {"persistedQuery": bad}}).status_code == 400
