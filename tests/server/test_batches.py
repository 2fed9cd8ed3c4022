"""Several operations in one request."""

from __future__ import annotations

import socket
from typing import Any

import httpx2

from tests.support.raw_http import post_bytes
from tests.support.twin_server import TwinServer, wait_for

RUN = 'mutation { executeCode(code: "out 1", language: "script") { output } }'


def test_answers_come_in_order_and_one_failure_is_its_own(served: TwinServer, client: httpx2.Client) -> None:
    batch = [
        {"query": RUN},
        {"query": "{ nope }"},
        {"query": "{ __typename }"},
        {"query": 'subscription { executeCode(code: "", language: "script") { __typename } }'},
    ]
    response = client.post(served.url, json=batch)
    assert response.status_code == 200
    answers: list[dict[str, Any]] = response.json()
    assert answers[0] == {"data": {"executeCode": {"output": "1\n"}}}
    assert "nope" in answers[1]["errors"][0]["message"]
    assert answers[2] == {"data": {"__typename": "Query"}}
    assert "subscription" in answers[3]["errors"][0]["message"]


def test_operations_of_a_batch_run_side_by_side(served: TwinServer, client: httpx2.Client) -> None:
    slow = 'mutation { executeCode(code: "sleep 0.4", language: "script") { success } }'
    response = client.post(served.url, json=[{"query": slow}] * 5)
    assert [answer["data"]["executeCode"]["success"] for answer in response.json()] == [True] * 5
    assert response.elapsed.total_seconds() < 1.5


def test_a_batch_has_a_bound(served: TwinServer, client: httpx2.Client) -> None:
    runs = served.twin.runs
    for size in (0, served.settings.max_batch + 1):
        response = client.post(served.url, json=[{"query": RUN}] * size)
        assert response.status_code == 400
        assert "batch" in response.json()["errors"][0]["message"]
    assert served.twin.runs == runs


def test_the_cost_of_a_batch_is_summed(served: TwinServer, client: httpx2.Client) -> None:
    runs = served.twin.runs
    costly = "mutation {" + " ".join(f'a{n}: executeCode(code: "", language: "script") {{ success }}' for n in range(15)) + "}"
    answers = client.post(served.url, json=[{"query": costly}, {"query": costly}]).json()
    assert len(answers[0]["data"]) == 15
    assert answers[1]["errors"][0]["extensions"]["code"] == "QUERY_TOO_COSTLY"
    assert served.twin.runs == runs + 15


def test_a_client_that_leaves_ends_its_whole_batch(served: TwinServer) -> None:
    hang = b'{"query": "mutation { executeCode(code: \\"hang\\", language: \\"script\\") { success } }"}'
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(post_bytes(b"[" + b",".join([hang] * 3) + b"]"))
        wait_for(lambda: served.twin.running == 3, "the runs begin")
    assert wait_for(lambda: served.twin.running == 0, "the runs are cancelled") < 0.1
