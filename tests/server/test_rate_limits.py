"""Rate limits over HTTP and WebSocket: what is counted, what is refused, and what the headers say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from sandql.access.access import Access
from sandql.access.plans import read_plans
from sandql.access.rate_limits import RateLimits
from sandql.core.errors import QuotaExceeded
from sandql.sandboxes.run_bounds import RunBounds
from sandql.sandboxes.turns import Turns
from tests.support.redis import running_redis
from tests.support.server import Server, running_server
from tests.support.twin_server import TwinServer, running_twin
from tests.websocket.client import socket

RUN = 'executeCode(code: "out 1", language: "script") { success }'
RATES = {"execute": "3/15 minutes", "files": "2/minute"}


@pytest.fixture
def limited() -> Iterator[TwinServer]:
    """A server whose local caller may run three programs."""
    with running_twin(Access(RateLimits(read_plans({"unlimited": RATES})))) as server:
        yield server


def _post(server: TwinServer, body: object, **headers: str) -> httpx2.Response:
    return httpx2.post(server.url, json=body, headers=headers)


def test_headers_say_what_is_left_of_what_a_request_used(limited: TwinServer) -> None:
    response = _post(limited, {"query": f"mutation {{ {RUN} }}"})
    assert response.headers["ratelimit"] == '"execute";r=2;t=900'
    assert response.headers["ratelimit-policy"] == '"execute";q=3;w=900'
    assert "retry-after" not in response.headers
    listed = httpx2.get(f"http://127.0.0.1:{limited.port}/sandboxes/home/files/?list")
    assert listed.headers["ratelimit-policy"] == '"files";q=2;w=60'
    other = _post(limited, {"query": "{ languages { name } }"})
    assert "ratelimit" not in other.headers


def test_each_alias_counts(limited: TwinServer) -> None:
    response = _post(limited, {"query": "mutation {" + " ".join(f"a{number}: {RUN}" for number in range(5)) + "}"})
    answer = response.json()
    assert limited.twin.runs == 3
    codes = [error["extensions"]["code"] for error in answer["errors"]]
    assert set(codes) == {"RATE_LIMITED"}
    wait_s = answer["errors"][0]["extensions"]["retryAfter"]
    assert 0 < wait_s <= 900
    assert int(response.headers["retry-after"]) >= wait_s
    assert response.headers["ratelimit"].startswith('"execute";r=0;')


def test_each_operation_of_a_batch_counts(limited: TwinServer) -> None:
    response = _post(limited, [{"query": f"mutation {{ {RUN} }}"}] * 5)
    assert sum(1 for answer in response.json() if "errors" in answer) == 2
    assert limited.twin.runs == 3
    assert int(response.headers["retry-after"]) > 0


def test_subscriptions_on_a_socket_count_together_with_requests(limited: TwinServer) -> None:
    with socket(f"ws://127.0.0.1:{limited.port}/graphql") as client:
        for number in range(2):
            client.subscribe(f"s{number}", 'subscription { executeCode(code: "out 1", language: "script") { __typename } }')
            assert len(client.results(f"s{number}")) == 3
    with httpx2.stream(
        "POST",
        limited.url,
        json={"query": 'subscription { executeCode(code: "out 1", language: "script") { __typename } }'},
        headers={"accept": "text/event-stream"},
    ) as response:
        assert "ExecutionCompleted" in response.read().decode()
    with socket(f"ws://127.0.0.1:{limited.port}/graphql") as client:
        client.subscribe("s", 'subscription { executeCode(code: "out 1", language: "script") { __typename } }')
        refused = client.receive()
        assert refused["type"] == "error"
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert refused["payload"][0]["extensions"]["retryAfter"] > 0
        client.subscribe("m", f"mutation {{ {RUN} }}")
        assert client.results("m")[0]["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert limited.twin.runs == 3


def test_files_over_plain_http_are_refused_with_429(limited: TwinServer) -> None:
    address = f"http://127.0.0.1:{limited.port}/sandboxes/home/files/a.txt"
    answers = [httpx2.put(address, content=b"x") for _ in range(3)]
    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert int(refused.headers["retry-after"]) == refused.json()["errors"][0]["extensions"]["retryAfter"]
    assert refused.headers["ratelimit"].startswith('"files";r=0;')


def test_what_is_not_executed_is_not_counted(limited: TwinServer) -> None:
    for _ in range(5):
        _post(limited, {"query": "mutation { executeCode(nothing: 1) { success } }"})
    assert _post(limited, {"query": f"mutation {{ {RUN} }}"}).headers["ratelimit"].startswith('"execute";r=2;')


def test_more_runs_at_one_time_than_a_plan_has_are_told_when_to_come_back() -> None:
    rates = RateLimits(read_plans({"unlimited": {"concurrency": 1}}))
    with running_twin(Access(rates), RunBounds(rates, Turns(10))) as server:
        slow = {"query": 'mutation { executeCode(code: "sleep 0.3", language: "script") { success } }'}
        response = _post(server, [slow, slow])
        refused = [answer["errors"][0]["extensions"] for answer in response.json() if "errors" in answer]
        assert refused == [{"code": "RATE_LIMITED", "status": 429, "retryAfter": 1.0}]
        assert response.headers["retry-after"] == "1"
        assert server.twin.runs == 1
        assert "retry-after" not in _post(server, slow).headers


def test_whatever_refuses_for_a_time_says_so_in_the_headers() -> None:
    with running_twin() as server:
        server.twin.failure = QuotaExceeded("it is used up", retry_after_s=120.5)
        run = {"query": f"mutation {{ {RUN} }}"}
        for body in (run, [run, {"query": "{ languages { name } }"}]):
            response = _post(server, body)
            assert "QUOTA_EXCEEDED" in response.text
            assert response.headers["retry-after"] == "121"


def test_a_handshake_that_is_refused_says_when_to_come_back() -> None:
    with running_twin(max_connections=2) as server:
        address = f"ws://127.0.0.1:{server.port}/graphql"
        with socket(address, init=False), pytest.raises(InvalidStatus) as refused, socket(address, init=False):
            pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["retry-after"] == "1"


def _run_on(server: Server) -> str:
    """OK, or the code of the error."""
    query = 'mutation { executeCode(code: "print(1)", language: "python") { success } }'
    answer = httpx2.post(f"{server.url}/graphql", json={"query": query}, timeout=30).json()
    return answer["errors"][0]["extensions"]["code"] if "errors" in answer else "OK"


def test_servers_with_one_redis_count_together_and_alone_when_it_is_gone(tmp_path: Path) -> None:
    plans = tmp_path / "access.toml"
    plans.write_text('[plans.unlimited.rates]\nexecute = "3/15 minutes"\n')
    with ExitStack() as stack, ExitStack() as redis:
        settings: dict[str, Any] = {"access_file": plans, "redis_url": redis.enter_context(running_redis()), "pool_size": 1, "node_pool_size": 0}
        one, other = (stack.enter_context(running_server(**settings)) for _ in range(2))
        assert [_run_on(server) for server in (one, other, one, other, one)] == ["OK", "OK", "OK", "RATE_LIMITED", "RATE_LIMITED"]
        assert httpx2.get(f"{one.url}/health").json()["rateLimits"] == {"degraded": False}
        redis.close()
        assert [_run_on(one) for _ in range(5)] == ["OK", "OK", "OK", "RATE_LIMITED", "RATE_LIMITED"]
        health = httpx2.get(f"{one.url}/health")
        assert (health.status_code, health.json()["rateLimits"]) == (200, {"degraded": True})
        assert sum("Redis does not answer" in line for line in one.log) == 1
