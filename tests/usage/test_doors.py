"""Usage and quotas as a client of a real server meets them."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

import sandql
from tests.support.server import Server, running_server

RUN = 'mutation { executeCode(code: "print(1)", language: "python") { output } }'
QUOTA = "{ viewer { quota { resource limit used reserved resetsAt } } }"


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    (folder / "access.toml").write_text("[plans.unlimited.quota]\nmaxExecutions = 3\nmaxCpuSeconds = 1000\n")
    return folder


@pytest.fixture(scope="module")
def server(state_dir: Path) -> Iterator[Server]:
    """A server whose only caller may run three programs in a day."""
    with running_server(state_dir=state_dir, access_file=state_dir / "access.toml", pool_size=2, node_pool_size=0, program_pool_size=0) as running:
        yield running


def ask(server: Server, query: str, **members: Any) -> dict[str, Any]:
    return httpx2.post(f"{server.url}/graphql", json={"query": query, **members}, timeout=30).json()


def test_usage_is_seen_as_it_grows_up_to_the_quota(server: Server) -> None:
    today = datetime.now(UTC).date().isoformat()
    with connect(server.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        socket.send('{"type": "connection_init"}')
        assert json.loads(socket.recv(20))["type"] == "connection_ack"
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "subscription { usageUpdated { key executions } }"}}))
        assert json.loads(socket.recv(20))["payload"] == {"data": {"usageUpdated": {"key": today, "executions": 0}}}
        for _ in range(3):
            assert ask(server, RUN) == {"data": {"executeCode": {"output": "1\n"}}}
        seen = 0
        while seen < 3:
            seen = json.loads(socket.recv(20))["payload"]["data"]["usageUpdated"]["executions"]
        assert seen == 3

    refused = ask(server, RUN)["errors"][0]
    assert refused["extensions"]["code"] == "QUOTA_EXCEEDED"
    assert 0 < refused["extensions"]["retryAfter"] <= 86_400
    assert refused["message"].startswith("quota maxExecutions: at most 3 executions in a day; 3 are used and 0 set aside")

    executions, cpu = ask(server, QUOTA)["data"]["viewer"]["quota"]
    assert (executions["resource"], executions["limit"], executions["used"], executions["reserved"]) == ("maxExecutions", 3, 3, 0)
    assert datetime.fromisoformat(executions["resetsAt"]) > datetime.now(UTC)
    assert (cpu["resource"], cpu["limit"], cpu["reserved"]) == ("maxCpuSeconds", 1000, 0)
    assert 0 < cpu["used"] < 30
    for by, key in (("DAY", today), ("PROVIDER", "local"), ("LANGUAGE", "python")):
        found = ask(server, f"{{ viewer {{ usage(by: {by}) {{ key executions cpuSeconds memoryMBSeconds wallSeconds }} }} }}")
        (only,) = found["data"]["viewer"]["usage"]
        assert (only["key"], only["executions"], only["cpuSeconds"]) == (key, 3, cpu["used"])
        assert only["memoryMBSeconds"] > 0
        assert only["wallSeconds"] > 0


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ('from: "yesterday"', "from: must be a date, as 2026-01-31, got 'yesterday'"),
        ('from: "2026-W01-1"', "from: must be a date, as 2026-01-31, got '2026-W01-1'"),
        ('to: "2026-02-30"', "to: must be a date, as 2026-01-31, got '2026-02-30'"),
        ('from: "2020-01-01", to: "2026-01-01"', "from, to: must be from 1 to 366 days, got 2020-01-01 to 2026-01-01"),
        ('from: "2026-01-02", to: "2026-01-01"', "from, to: must be from 1 to 366 days, got 2026-01-02 to 2026-01-01"),
    ],
)
def test_days_that_are_none_are_refused(server: Server, days: str, message: str) -> None:
    (error,) = ask(server, f"{{ viewer {{ usage({days}) {{ key }} }} }}")["errors"]
    assert (error["message"], error["extensions"]["code"]) == (message, "BAD_REQUEST")


def test_long_ago_there_was_nothing(server: Server) -> None:
    assert ask(server, '{ viewer { usage(to: "0001-01-02") { key } } }') == {"data": {"viewer": {"usage": []}}}


def test_usage_is_exported_as_csv(server: Server, state_dir: Path) -> None:
    ask(server, "{ viewer { usage { key } } }")  # which has it told to the database

    def export(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(sandql.__file__).parents[1]), "SANDQL_STATE_DIR": str(state_dir)}
        command = [sys.executable, "-m", "sandql", "usage", "export", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    (row,) = csv.DictReader(io.StringIO(export("--csv").stdout))
    today = datetime.now(UTC).date().isoformat()
    assert (row["day"], row["owner"], row["provider"], row["language"]) == (today, "local", "local", "python")
    assert (row["executions"], row["bytes_stored"]) == ("3", "0")
    assert float(row["cpu_seconds"]) > 0
    assert len(export("--csv", "--to", "2020-01-01").stdout.splitlines()) == 1
    wrong = export("--csv", "--from", "soon")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--from: must be a date, as 2026-01-31, got 'soon'" in wrong.stderr


def cost(**more: float) -> dict[str, float]:
    """What one run with the server's own limits would set aside."""
    return {"executions": 1, "cpuSeconds": 30, "memoryMBSeconds": 512 * 30, **more}


def test_a_dry_run_says_what_would_be_set_aside_and_runs_nothing(server: Server) -> None:
    before = ask(server, QUOTA)
    dry = {"extensions": {"dryRun": True}}
    assert ask(server, RUN, **dry) == {"data": None, "extensions": {"cost": cost(complexity=51)}}
    two = """mutation ($t: Int!, $no: Boolean!) {
      a: executeCode(code: "1", language: "python", timeout: $t, limits: { memory: 16777216, cpuTime: 500 }) { output }
      ... { b: startCommand(line: "true") { id } }
      c: runCommand(line: "true") @skip(if: $no) { output }
    }"""
    found = ask(server, two, variables={"t": 2000, "no": True}, **dry)["extensions"]["cost"]
    assert (found["executions"], found["cpuSeconds"], found["memoryMBSeconds"]) == (2, 30.5, 512 * 30 + 16 * 2)
    terminal = ask(server, "mutation { createTerminal { id } }", **dry)["extensions"]["cost"]
    assert (terminal["cpuSeconds"], terminal["memoryMBSeconds"]) == (43_200, 512 * 43_200)
    assert ask(server, "{ languages { name } }", **dry)["extensions"]["cost"]["executions"] == 0
    assert [ask(server, text, **dry)["errors"][0]["extensions"]["code"] for text in (_HUGE, _ELSEWHERE)] == ["BAD_REQUEST", "NOT_FOUND"]
    assert "must be true or false" in ask(server, RUN, extensions={"dryRun": "yes"})["errors"][0]["message"]
    assert ask(server, QUOTA) == before


@pytest.mark.parametrize(
    "limit", ["cpuTime: 0", "memory: 1", "processes: 100000", "openFiles: 1", "workspaceBytes: 1", "workspaceInodes: 1", "outputBytes: -1"]
)
def test_a_dry_run_refuses_the_limits_that_the_run_refuses(server: Server, limit: str) -> None:
    query = f'mutation {{ executeCode(code: "1", language: "python", limits: {{ {limit} }}) {{ output }} }}'
    refused = [ask(server, query, extensions={"dryRun": is_dry})["errors"][0] for is_dry in (True, False)]
    assert refused[0]["message"] == refused[1]["message"]
    assert refused[0]["message"].startswith(f"limits.{limit.partition(':')[0]}: must be from")


def test_a_dry_run_in_a_context_refuses_the_limits_that_the_run_refuses(server: Server) -> None:
    query = 'mutation ($c: ID!) { executeCode(code: "1", language: "python", contextId: $c, limits: { processes: 1 }) { output } }'
    refused = [ask(server, query, variables={"c": "any"}, extensions={"dryRun": is_dry})["errors"][0] for is_dry in (True, False)]
    assert [error["message"] for error in refused] == ["limits: code in a context has that of its context; leave it out"] * 2


_HUGE = 'mutation { executeCode(code: "1", language: "python", timeout: 999999999) { output } }'
_ELSEWHERE = 'mutation { executeCode(code: "1", language: "python", sandboxId: "sb_00000000000000000000000000000000") { output } }'


def test_the_cost_comes_beside_the_answer_where_it_is_asked_for(server: Server) -> None:
    found = ask(server, "{ viewer { quota { limit } } }", extensions={"cost": True})
    assert found["data"]["viewer"]["quota"][0] == {"limit": 3}
    assert found["extensions"]["cost"] == {"complexity": 7, "executions": 0, "cpuSeconds": 0, "memoryMBSeconds": 0}
    assert "extensions" not in ask(server, "{ viewer { quota { limit } } }")


def test_a_dry_run_of_a_subscription_runs_nothing_either(server: Server) -> None:
    before = ask(server, QUOTA)
    stream = 'subscription { executeCode(code: "1", language: "python") { __typename } }'
    with connect(server.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        socket.send('{"type": "connection_init"}')
        socket.recv(20)
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": stream, "extensions": {"dryRun": True}}}))
        assert json.loads(socket.recv(20))["payload"] == {"data": None, "extensions": {"cost": cost(complexity=51)}}
        assert json.loads(socket.recv(20))["type"] == "complete"
    headers = {"accept": "text/event-stream"}
    body = {"query": stream, "extensions": {"dryRun": True}}
    assert '"memoryMBSeconds":15360' in httpx2.post(f"{server.url}/graphql", json=body, headers=headers, timeout=30).text
    assert ask(server, QUOTA) == before
