"""A real PostgreSQL and a real Redis that go away under a running server and come back: it says so, does what needs neither, and recovers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.postgres import Postgres, postgres_to_stop
from tests.support.redis import free_port, running_redis
from tests.support.server import Server, running_server
from tests.support.twin_server import wait_for

_SMALL: dict[str, Any] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0, "log_format": "json", "metrics_public": "true"}
_PASSWORD = "plAnted-5ecret"  # which both servers accept as any other
_RUN = 'mutation { executeCode(code: "print(1)", language: "python") { output } }'
_CREATE = "mutation { createSandbox { id } }"
_WRITE = '{ listFiles(path: "") }'


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with postgres_to_stop() as made:
        yield made


def ask(server: Server, query: str) -> dict[str, Any]:
    """A query that must not be answered with a defect of the house, whatever is out of reach."""
    answer = httpx2.post(f"{server.url}/graphql", json={"query": query}, timeout=20)
    assert answer.status_code != 500, answer.text
    assert all(error["extensions"]["code"] != "INTERNAL_ERROR" for error in answer.json().get("errors", ())), answer.text
    return answer.json()


def health(server: Server) -> tuple[int, dict[str, Any]]:
    answer = httpx2.get(f"{server.url}/health", timeout=20)
    return answer.status_code, answer.json()


def metric(server: Server, name: str) -> float:
    text = httpx2.get(f"{server.url}/metrics").text
    return sum(sample.value for family in text_string_to_metric_families(text) for sample in family.samples if sample.name == name)


def test_a_database_that_goes_away_and_comes_back(postgres: Postgres) -> None:
    with running_server(database_url=postgres.url.replace("sandql@", f"sandql:{_PASSWORD}@"), **_SMALL) as server:
        assert health(server)[0] == 200
        kept = ask(server, _CREATE)["data"]["createSandbox"]["id"]
        postgres.stop()
        try:
            (refused,) = ask(server, _CREATE)["errors"]
            assert refused["extensions"]["code"] == "RESOURCE_ERROR"
            assert refused["extensions"]["retryAfter"] > 0
            assert "the database cannot be used now" in refused["message"]
            assert ask(server, _RUN) == {"data": {"executeCode": {"output": "1\n"}}}, "a run needs no database"
            assert ask(server, _WRITE) == {"data": {"listFiles": []}}, "nor do files"
            wait_for(lambda: health(server)[0] == 503, "a health that says so")
            body = health(server)[1]
            assert body["status"] == "degraded"
            assert body["services"] == {"local": "healthy", "database": "unhealthy"}
            assert httpx2.get(f"{server.url}/live").status_code == 200
            assert metric(server, "sandql_database_failures_total") >= 2
        finally:
            postgres.start()
        wait_for(lambda: health(server)[0] == 200, "a health that is well again")
        assert ask(server, f'{{ sandbox(id: "{kept}") {{ id }} }}') == {"data": {"sandbox": {"id": kept}}}
        assert "errors" not in ask(server, _CREATE)
    assert "Traceback" not in "".join(server.log)
    assert _PASSWORD not in "".join(server.log)
    assert server.process.returncode == 0


def test_a_database_that_hangs_holds_up_neither_health_nor_runs(postgres: Postgres) -> None:
    with running_server(database_url=postgres.url, **_SMALL) as server:
        assert health(server)[0] == 200
        with postgres.hanging():
            wait_for(lambda: health(server)[0] == 503, "a health that says so", 20)
            assert ask(server, _RUN) == {"data": {"executeCode": {"output": "1\n"}}}
        wait_for(lambda: health(server)[0] == 200, "a health that is well again", 20)
        assert "errors" not in ask(server, _CREATE)
    assert server.process.returncode == 0


def test_a_redis_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    access = tmp_path / "access.toml"
    access.write_text('[plans.unlimited.rates]\nexecute = "1000000/minute"\n')
    with running_server(redis_url=f"redis://default:{_PASSWORD}@127.0.0.1:{port}/0", access_file=access, **_SMALL) as server:

        def counts_alone() -> bool:
            assert ask(server, _RUN) == {"data": {"executeCode": {"output": "1\n"}}}
            status, body = health(server)
            assert status == 200, "it works all the same"
            assert metric(server, "sandql_rates_counted_alone") == body["rateLimits"]["degraded"]
            return body["rateLimits"]["degraded"]

        wait_for(counts_alone, "rates that are counted by the server itself")
        for _ in range(2):
            with running_redis(port):
                wait_for(lambda: not counts_alone(), "rates that are counted together")
            wait_for(counts_alone, "rates that are counted by the server itself again")
    assert "Traceback" not in "".join(server.log)
    assert _PASSWORD not in "".join(server.log)
