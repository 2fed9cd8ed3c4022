"""What Prometheus reads of a real server: what is counted, and that no caller can make a series."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandql.access.access import Access
from sandql.core.errors import QuotaExceeded, RateLimited
from sandql.core.load import Load
from sandql.core.metrics import Metrics
from sandql.core.permissions import Act
from sandql.core.settings import load_settings
from sandql.core.values import Caller, Limits
from sandql.resolvers.code import execute
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.usage.meter import Reservation, Unmetered
from tests.support.server import Server, running_server
from tests.support.twin import TwinProvider
from tests.support.twin_server import wait_for
from tests.websocket.client import socket

RUN = "mutation ($code: String!, $language: String!) { executeCode(code: $code, language: $language) { outcome } }"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(metrics_public="true", metrics_port=0, log_format="json", pool_size=2, node_pool_size=0, program_pool_size=0) as made:
        yield made


def own_address(server: Server) -> str:
    """Where the listener for metrics alone is, as the log says."""
    wait_for(lambda: "metrics are ready" in "".join(server.log), "the listener")
    found = re.search(r'"(http://127\.0\.0\.1:\d+)/metrics"', "".join(server.log))
    assert found
    return found[1]


def scrape(address: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Each sample by its name and labels."""
    text = httpx2.get(f"{address}/metrics").raise_for_status().text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value for family in text_string_to_metric_families(text) for sample in family.samples
    }


def value(address: str, name: str, **labels: str) -> float:
    return scrape(address).get((name, frozenset(labels.items())), 0)


def run(server: Server, code: str, language: str = "python") -> httpx2.Response:
    return httpx2.post(f"{server.url}/graphql", json={"query": RUN, "variables": {"code": code, "language": language}}, timeout=20)


def test_runs_are_counted_by_how_they_ended(server: Server) -> None:
    def count(status: str) -> float:
        return value(server.url, "compute_executions_total", provider="local", language="python", status=status)

    before = count("COMPLETED"), count("FAILED"), value(server.url, "compute_execution_duration_seconds_count", provider="local", language="python")
    run(server, "print(1)")
    run(server, "raise SystemExit(3)", "py")
    assert (count("COMPLETED"), count("FAILED")) == (before[0] + 1, before[1] + 1), "an alias counts as what it stands for"
    assert value(server.url, "compute_execution_duration_seconds_count", provider="local", language="python") == before[2] + 2
    hits = value(server.url, "sandql_pool_hits_total", provider="local", kind="python")
    assert hits + value(server.url, "sandql_pool_cold_starts_total", provider="local", kind="python") >= 2
    assert value(server.url, "sandql_pool_size", provider="local", kind="python") == 2


def test_streams_bytes_connections_requests_and_the_database_are_counted(server: Server) -> None:
    before = scrape(server.url)
    with socket(server.ws_url) as client:
        client.subscribe("run", 'subscription { executeCode(code: "print(1)", language: "python") { __typename } }')
        assert len(client.results("run")) == 3
        assert value(server.url, "compute_active_connections") >= 1
    httpx2.post(f"{server.url}/graphql", json={"query": "mutation { createSandbox { id } }"}).raise_for_status()
    after = scrape(server.url)

    def more(name: str, **labels: str) -> float:
        at = name, frozenset(labels.items())
        return after.get(at, 0) - before.get(at, 0)

    assert more("sandql_events_total") == 3
    assert more("sandql_sent_bytes_total") > 100
    assert more("sandql_received_bytes_total") > 100
    assert more("sandql_http_requests_total", route="/graphql", method="POST", status="2xx") == 1
    assert more("sandql_database_duration_seconds_count", kind="write") >= 1


def test_a_run_that_waits_for_a_place_is_seen_while_it_waits_and_counted_afterwards() -> None:
    with (
        running_server(metrics_public="true", max_concurrent_runs=1, pool_size=2, node_pool_size=0, program_pool_size=0) as full,
        ThreadPoolExecutor(1) as beside,
    ):

        def look(name: str, **labels: str) -> float:
            return value(full.url, name, provider="local", **labels)

        with socket(full.ws_url) as client:
            client.subscribe("run", 'subscription { executeCode(code: "import time; time.sleep(60)", language: "python") { __typename } }')
            wait_for(lambda: look("sandql_running") == 1, "the first run")
            second = beside.submit(run, full, "print(1)")
            wait_for(lambda: look("sandql_queue_depth") == 1, "the second one's wait")
            client.send({"id": "run", "type": "complete"})
            assert second.result(20).json()["data"]["executeCode"]["outcome"] == "COMPLETED"
        assert (look("sandql_queue_wait_seconds_bucket", le="0.001"), look("sandql_queue_wait_seconds_count")) == (1, 2)
        assert look("sandql_queue_wait_seconds_sum") > 0.001
        assert value(full.url, "sandql_turn_wait_seconds_count") == 2


def test_nothing_that_a_caller_sends_makes_a_series(server: Server) -> None:
    def series() -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {at for at in scrape(server.url) if at[0] in ("compute_executions_total", "sandql_http_requests_total", "sandql_refusals_total")}

    def attack(word: str) -> None:
        run(server, "1", word)
        query = f'mutation {{ executeCode(code: "1", language: "python", provider: "{word}") {{ outcome }} }}'
        httpx2.post(f"{server.url}/graphql", json={"query": query})
        httpx2.get(f"{server.url}/{word}")
        httpx2.get(f"{server.url}/sandboxes/{word}/files/{word}")
        httpx2.request(word.upper(), f"{server.url}/live")
        httpx2.request(word.upper(), f"{server.url}/graphql")

    attack("word")
    before = series()
    for number in range(3):
        attack("evil" + "abc"[number])
    assert series() == before
    assert "evil" not in httpx2.get(f"{server.url}/metrics").text


def test_the_own_listener_answers_metrics_and_nothing_else(server: Server) -> None:
    address = own_address(server)
    assert httpx2.get(f"{address}/metrics").text.count("compute_active_connections") >= 3
    assert httpx2.get(f"{address}/graphql").status_code == 404
    assert httpx2.post(f"{address}/metrics").status_code == 404


def test_the_public_address_has_none_unless_asked_for() -> None:
    with running_server(pool_size=1, node_pool_size=0, program_pool_size=0) as plain:
        assert httpx2.get(f"{plain.url}/metrics").status_code == 404


def test_two_houses_in_one_process_count_apart() -> None:
    one, other = (Metrics({"local": ["python"]}, lambda: {"local": Load()}) for _ in range(2))
    one.run_ended("local", "python", "COMPLETED", 0.1)
    one.run_ended("nowhere", "evil", "EVIL", None)
    assert b'status="COMPLETED"' in one.write()
    assert b"evil" not in one.write().lower()
    assert b'status="COMPLETED"' not in other.write()


async def test_a_refusal_is_counted_once_by_kind_and_code() -> None:
    class Refusing(Access):
        async def admit(self, caller: Caller, act: Act, sandbox: str | None = None, id_: str | None = None) -> None:
            raise RateLimited("too many")

    settings = load_settings()
    twin = TwinProvider(settings)
    metrics = Metrics({"local": ["script"]}, lambda: {"local": twin.load()})
    house = Sandboxes(settings, {twin.name: twin}, access=Refusing(), metrics=metrics)
    with pytest.raises(RateLimited):
        await execute(house, Caller(), ExecuteCode("1", "script"))
    assert b'sandql_refusals_total{code="RATE_LIMITED",kind="EXECUTE"} 1.0' in metrics.write()
    assert twin.runs == 0


async def test_a_quota_is_counted_and_a_run_that_is_cut_off() -> None:
    class Empty(Unmetered):
        async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> Reservation:
            raise QuotaExceeded("nothing left")

    settings = load_settings()
    twin = TwinProvider(settings)
    metrics = Metrics({"local": ["script"]}, lambda: {"local": twin.load()})
    house = Sandboxes(settings, {twin.name: twin}, usage=Empty(), metrics=metrics)
    with pytest.raises(QuotaExceeded):
        await execute(house, Caller(), ExecuteCode("1", "script"))
    assert b'sandql_refusals_total{code="QUOTA_EXCEEDED",kind="EXECUTE"} 1.0' in metrics.write()
    assert twin.runs == 0
    house = Sandboxes(settings, {twin.name: twin}, metrics=metrics)
    run = asyncio.ensure_future(execute(house, Caller(), ExecuteCode("hang", "script")))
    for _ in range(100):
        await asyncio.sleep(0)
    assert twin.running == 1
    run.cancel()
    await asyncio.wait([run])
    assert b'compute_executions_total{language="script",provider="local",status="CANCELLED"} 1.0' in metrics.write()
