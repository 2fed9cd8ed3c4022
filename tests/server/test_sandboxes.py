"""Sandboxes that last, as a client meets them, with each kind of database."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.load.session import open_session
from tests.support.postgres import running_postgres
from tests.support.server import Server, running_server
from tests.support.twin_server import wait_for

_SMALL = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0}
_MOST = 8
_CREATE = """mutation ($name: String, $timeout: Int, $metadata: [MetadataInput!], $env: [EnvironmentVariable!], $key: String, $limits: LimitsInput) {
  createSandbox(name: $name, timeout: $timeout, metadata: $metadata, env: $env, idempotencyKey: $key, limits: $limits) {
    id provider template name status createdAt expiresAt endedAt timeout metadata { name value } limits { memory workspaceBytes } isolation { level }
  } }"""
_STATUS = "query ($id: ID!) { sandbox(id: $id) { status } }"
_DESTROY = "mutation ($id: ID!) { destroySandbox(id: $id) }"
_RUN = """mutation ($id: ID, $code: String!) { executeCode(code: $code, language: "python", sandboxId: $id) { output outcome } }"""
_EVENTS = "subscription ($id: ID!) { sandboxEvents(id: $id) { kind at sandbox { id status } } }"


@dataclass(frozen=True)
class Client:
    server: Server
    http: httpx2.Client

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        return self.http.post(f"{self.server.url}/graphql", json={"query": query, "variables": variables}).json()

    def do(self, query: str, **variables: Any) -> Any:
        answer = self.ask(query, **variables)
        assert "errors" not in answer, answer
        (value,) = answer["data"].values()
        return value

    def refused(self, query: str, **variables: Any) -> str:
        answer = self.ask(query, **variables)
        (error,) = answer["errors"]
        return error["extensions"]["code"]


@contextmanager
def serving(**settings: object) -> Generator[Client]:
    with running_server(**{**_SMALL, "max_sandboxes": _MOST, **settings}) as server, httpx2.Client(timeout=60) as http:  # pyright: ignore[reportArgumentType]
        yield Client(server, http)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Generator[dict[str, str]]:
    with ExitStack() as stack:
        yield {} if request.param == "sqlite" else {"database_url": stack.enter_context(running_postgres())}


@pytest.fixture(scope="module")
def served(database: dict[str, str]) -> Generator[Client]:
    with serving(**database) as client:
        yield client


@pytest.fixture
def client(served: Client) -> Generator[Client]:
    """A server on which nothing lives."""
    yield served
    page = served.do("{ sandboxes(first: 100, status: [CREATING, RUNNING, IDLE]) { nodes { id } } }")
    for node in page["nodes"]:
        served.do(_DESTROY, id=node["id"])


def test_a_sandbox_from_its_making_to_its_end(client: Client) -> None:
    asked: dict[str, Any] = {
        "name": "project",
        "timeout": 60_000,
        "metadata": [{"name": "user", "value": "ann ☃"}],
        "env": [{"name": "STAGE", "value": "dev"}],
        "limits": {"memory": 64 << 20},
    }
    made = client.do(_CREATE, **asked)
    assert (made["provider"], made["template"], made["name"], made["status"], made["timeout"], made["endedAt"]) == (
        "local",
        "default",
        "project",
        "RUNNING",
        60_000,
        None,
    )
    assert made["metadata"] == asked["metadata"]
    assert (int(made["limits"]["memory"]), made["isolation"]["level"]) == (64 << 20, "full")
    assert made["createdAt"] < made["expiresAt"]
    assert client.do(_CREATE, **asked)["id"] == made["id"]
    assert client.refused(_CREATE, **{**asked, "timeout": 60_001}) == "CONFLICT"
    ran = client.do(_RUN, id=made["id"], code="import os\nopen('a', 'w').write('b')\nprint(os.environ['STAGE'])")
    assert ran["output"] == "dev\n"
    found = client.do('query ($id: ID!) { sandbox(id: $id) { files { name } file(path: "a") { size } } }', id=made["id"])
    assert found == {"files": [{"name": "a"}], "file": {"size": 1}}
    longer = client.do("mutation ($id: ID!) { extendSandbox(id: $id, timeout: 120000) { timeout expiresAt } }", id=made["id"])
    assert longer["timeout"] == 120_000
    assert longer["expiresAt"] > made["expiresAt"]
    assert client.do(_DESTROY, id=made["id"]) is True
    assert client.do(_DESTROY, id=made["id"]) is True
    assert client.do(_STATUS, id=made["id"]) == {"status": "DESTROYED"}
    assert client.refused(_RUN, id=made["id"], code="print(1)") == "NOT_FOUND"


def test_one_that_never_was_is_null(client: Client) -> None:
    for id_ in ("sb_" + "A" * 27, "x", "sb_\0", "ü" * 1000):
        answer = client.ask(_STATUS, id=id_)
        assert answer["data"] == {"sandbox": None}
        assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"


def test_the_home_is_one_without_an_end(client: Client) -> None:
    home = client.do('{ sandbox(id: "home") { id status expiresAt files { name } executions { nodes { id } } } }')
    assert (home["id"], home["status"], home["executions"]) == ("home", "RUNNING", {"nodes": []})
    for mutation in ('mutation { destroySandbox(id: "home") }', 'mutation { extendSandbox(id: "home", timeout: 1000) { id } }'):
        assert client.ask(mutation)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_pages_are_filtered_and_one_that_ended_spoils_none(client: Client) -> None:
    ids = [client.do(_CREATE, metadata=[{"name": "n", "value": str(number % 2)}])["id"] for number in range(6)]
    client.do(_DESTROY, id=ids[4])
    query = """query ($after: String, $status: [SandboxStatus!]) {
      sandboxes(first: 2, after: $after, status: $status, metadata: [{ name: "n", value: "0" }]) {
        edges { cursor } nodes { id status files { name } } pageInfo { hasNextPage endCursor } } }"""
    first = client.ask(query)
    assert [node["id"] for node in first["data"]["sandboxes"]["nodes"]] == [ids[4], ids[2]]
    assert [node["files"] for node in first["data"]["sandboxes"]["nodes"]] == [None, []]
    assert [error["extensions"]["code"] for error in first["errors"]] == ["NOT_FOUND"]
    page = client.do(query, status=["RUNNING"])
    assert [node["id"] for node in page["nodes"]] == [ids[2], ids[0]]
    assert page["pageInfo"] == {"hasNextPage": False, "endCursor": page["edges"][1]["cursor"]}
    assert client.refused(query, after="MS4wIHNiXwA=") == "BAD_REQUEST"
    assert client.refused("{ sandboxes(first: 101) { nodes { id } } }") == "BAD_REQUEST"


def test_twenty_at_once_get_one_name_and_no_more_sandboxes_than_there_may_be(client: Client) -> None:
    with ThreadPoolExecutor(20) as threads:
        named = [threads.submit(client.do, _CREATE, name="shared") for _ in range(20)]
        assert len({made.result()["id"] for made in named}) == 1
        keyed = [threads.submit(client.do, _CREATE, key="the same") for _ in range(20)]
        assert len({made.result()["id"] for made in keyed}) == 1
        answers = [asked.result() for asked in [threads.submit(client.ask, _CREATE) for _ in range(20)]]
    refused = [answer["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer]
    assert refused == ["RESOURCE_ERROR"] * (20 - (_MOST - 2))
    assert len(client.do("{ sandboxes(first: 100, status: [CREATING, RUNNING, IDLE]) { nodes { id } } }")["nodes"]) == _MOST


async def test_events_come_up_to_the_end(client: Client) -> None:
    made = await asyncio.to_thread(client.do, _CREATE, timeout=1500)
    kinds: list[str] = []
    async with open_session(client.server.ws_url) as connection, aclosing(connection.watch(_EVENTS, id=made["id"])) as events, asyncio.timeout(20):
        async for event in events:
            kinds.append(event["sandboxEvents"]["kind"])
            assert event["sandboxEvents"]["sandbox"]["id"] == made["id"]
    assert kinds == ["IDLE", "EXPIRING", "DESTROYED"]


def test_after_a_kill_everything_is_as_it_was_and_nothing_is_orphaned(database: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="sandql-killed-") as folder:
        with serving(state_dir=folder, **database) as client:
            kept = client.do(_CREATE, name="kept", key="k")["id"]
            gone = client.do(_CREATE)["id"]
            short = client.do(_CREATE, timeout=3000)["id"]
            client.do(_RUN, id=kept, code="open('a', 'w').write('b')")
            client.server.process.send_signal(signal.SIGKILL)
            client.server.process.wait(20)
        homes = Path(folder) / "homes"
        (homes / gone).rename(homes / "sb_nobodys")
        with serving(state_dir=folder, **database) as client:
            assert client.do(_CREATE, name="kept", key="k")["id"] == kept
            assert client.do(_RUN, id=kept, code="print(open('a').read())")["output"] == "b\n"
            assert client.do(_STATUS, id=gone) == {"status": "LOST"}
            wait_for(lambda: client.do(_STATUS, id=short) == {"status": "DESTROYED"}, "what has expired ends", 20)
            wait_for(lambda: {path.name for path in homes.iterdir()} == {kept}, "what nobody knows goes", 20)
            client.do(_DESTROY, id=kept)
