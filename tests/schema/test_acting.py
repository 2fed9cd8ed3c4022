"""Administrators who act as another caller say so, and it is written down; others can't, and nothing happens."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from sandql.access.audit_verify import verify
from sandql.access.roles import BUILT_IN
from sandql.core.permissions import EVERYTHING, ResourceLimits
from sandql.core.values import Caller, MiB
from sandql.sandboxes.borrow import Sandboxes
from sandql.schema.context import Context
from sandql.server.graphql_execution import GraphQL
from tests.support.house import open_house

_BOB = Caller("bob", "developer", permissions=BUILT_IN["developer"], tenant="t")
_EVE = Caller("eve", "developer", permissions=BUILT_IN["developer"])
_ADA = Caller("ada", "admin")

# What an administrator can do to another's: with the ids of a sandbox, an execution, a context and a terminal.
_ACTS = {
    "sandbox": 'query ($s: ID!, $o: ID) { sandbox(id: $s, owner: $o) { id files { path } file(path: "a") { path } executions { nodes { id } } } }',
    "sandboxes": "query ($o: ID) { sandboxes(owner: $o) { nodes { id files { path } } } }",
    "execution": "query ($e: ID!, $o: ID) { execution(id: $e, owner: $o) { id lastSeq events { __typename } result { output } } }",
    "executions": "query ($o: ID) { executions(owner: $o) { nodes { id result { output } } } }",
    "files": "query ($s: ID!, $o: ID) { files(sandboxId: $s, owner: $o) { path } }",
    "listFiles": 'query ($s: ID!, $o: ID) { listFiles(path: "", sandboxId: $s, owner: $o) }',
    "home": "query ($o: ID) { files(owner: $o) { path } }",
    "file": 'query ($s: ID!, $o: ID) { file(path: "a", sandboxId: $s, owner: $o) { path } }',
    "readFile": 'query ($s: ID!, $o: ID) { readFile(path: "a", sandboxId: $s, owner: $o) { content } }',
    "cancelExecution": "mutation ($e: ID!, $o: ID) { cancelExecution(id: $e, owner: $o) }",
    "contexts": "query ($o: ID) { contexts(owner: $o) { id sandboxId } }",
    "terminals": "query ($o: ID) { terminals(owner: $o) { id sandboxId } }",
    "closeContext": "mutation ($c: ID!, $o: ID) { closeContext(id: $c, owner: $o) }",
    "closeTerminal": "mutation ($t: ID!, $o: ID) { closeTerminal(id: $t, owner: $o) }",
    "destroySandbox": "mutation ($s: ID!, $o: ID) { destroySandbox(id: $s, owner: $o) }",
}


class _Door:
    def __init__(self, house: Sandboxes) -> None:
        self.house = house
        self._engine = GraphQL(house.settings)

    async def ask(self, caller: Caller, query: str, **variables: Any) -> dict[str, Any]:
        operation = self._engine.prepare(query, None, caller)
        return await anext(self._engine.run(operation, variables, Context(self.house, caller, "r")))

    async def do(self, caller: Caller, query: str, **variables: Any) -> dict[str, Any]:
        answer = await self.ask(caller, query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def refused(self, caller: Caller, query: str, **variables: Any) -> str:
        answer = await self.ask(caller, query, **variables)
        return answer["errors"][0]["extensions"]["code"]

    def written(self) -> list[dict[str, Any]]:
        folder = self.house.settings.state_dir / "audit"
        assert verify(folder).wrong is None
        return [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_bytes().splitlines()]


@pytest.fixture
async def door() -> AsyncGenerator[_Door]:
    async with open_house() as house:
        yield _Door(house)


async def _bobs(door: _Door) -> dict[str, str]:
    """The ids of what is Bob's, by the variables of `_ACTS`."""
    sandbox = (await door.do(_BOB, "mutation { createSandbox { id } }"))["createSandbox"]["id"]
    await door.do(_BOB, 'mutation ($s: ID!) { writeFile(path: "a", content: "of bob", sandboxId: $s) }', s=sandbox)
    start = 'mutation ($s: ID!) { startExecution(code: "print(1)", language: "python", sandboxId: $s) { id } }'
    execution = (await door.do(_BOB, start, s=sandbox))["startExecution"]["id"]
    context = 'mutation ($s: ID!) { createContext(language: "python", sandboxId: $s) { id } }'
    terminal = 'mutation ($s: ID!) { createTerminal(command: ["cat"], sandboxId: $s) { id } }'
    return {
        "s": sandbox,
        "e": execution,
        "c": (await door.do(_BOB, context, s=sandbox))["createContext"]["id"],
        "t": (await door.do(_BOB, terminal, s=sandbox))["createTerminal"]["id"],
    }


_SEEN = """query ($s: ID!) { sandbox(id: $s) { status file(path: "a") { path } } contexts { id } terminals { id ended } }"""


async def test_an_administrator_acts_as_another_when_it_says_so(door: _Door) -> None:
    ids = await _bobs(door)
    for name, query in _ACTS.items():
        wanted = {key: value for key, value in ids.items() if f"${key}:" in query}
        if wanted:  # without saying so, it finds nothing
            assert await door.refused(_ADA, query, **wanted) == "NOT_FOUND", name
        before = len(door.written())
        data = await door.do(_ADA, query, **wanted, o="bob")
        lines = door.written()[before:]
        assert lines, name
        assert {(line["subject"], line["acting"], line["decision"]) for line in lines} == {("bob", "ada", "allowed")}, name
        if name == "readFile":
            assert data["readFile"]["content"] == "of bob"
        if name == "sandboxes":
            assert [node["id"] for node in data["sandboxes"]["nodes"]] == [ids["s"]]
        if name == "contexts":
            assert data["contexts"] == [{"id": ids["c"], "sandboxId": ids["s"]}]
        if name == "terminals":
            assert data["terminals"] == [{"id": ids["t"], "sandboxId": ids["s"]}]
        if name == "closeTerminal":
            found = await door.do(_BOB, "{ contexts { id } terminals { ended } }")
            assert found == {"contexts": [], "terminals": [{"ended": True}]}
    found = await door.do(_BOB, "query ($s: ID!) { sandbox(id: $s) { status } }", s=ids["s"])
    assert found["sandbox"]["status"] == "DESTROYED"


async def test_nobody_else_does_and_nothing_happens(door: _Door) -> None:
    ids = await _bobs(door)
    for name, query in _ACTS.items():
        wanted = {key: value for key, value in ids.items() if f"${key}:" in query}
        before = len(door.written())
        assert await door.refused(_EVE, query, **wanted, o="bob") == "FORBIDDEN", name
        (line,) = door.written()[before:]
        assert (line["subject"], line["operation"], line["id"], line["decision"], line["code"]) == ("eve", "act_for", "bob", "denied", "FORBIDDEN")
        assert "acting" not in line
    found = await door.do(_BOB, _SEEN, s=ids["s"])
    assert found == {
        "sandbox": {"status": "RUNNING", "file": {"path": "a"}},
        "contexts": [{"id": ids["c"]}],
        "terminals": [{"id": ids["t"], "ended": False}],
    }


async def test_to_name_oneself_is_no_act_of_an_administrator(door: _Door) -> None:
    sandbox = (await _bobs(door))["s"]
    before = len(door.written())
    assert (await door.do(_BOB, _ACTS["sandbox"], s=sandbox, o="bob"))["sandbox"]["id"] == sandbox
    assert door.written()[before:] == []


async def test_code_in_a_context_is_written_down_with_its_sandbox_and_its_context(door: _Door) -> None:
    ids = await _bobs(door)
    before = len(door.written())
    await door.do(_BOB, 'mutation ($c: ID!) { executeCode(contextId: $c, language: "python", code: "1") { output } }', c=ids["c"])
    await door.do(_BOB, 'mutation ($c: ID!) { startExecution(contextId: $c, language: "python", code: "1") { id } }', c=ids["c"])
    wrong = 'mutation ($c: ID!) { executeCode(contextId: $c, language: "bash", code: "1") { output } }'
    assert await door.refused(_BOB, wrong, c=ids["c"]) == "BAD_REQUEST"
    assert await door.refused(_EVE, wrong, c=ids["c"]) == "NOT_FOUND"
    lines = [(line["subject"], line["operation"], line.get("sandbox"), line["id"], line["decision"]) for line in door.written()[before:]]
    assert lines == [
        ("bob", "execute", ids["s"], ids["c"], "allowed"),
        ("bob", "start", ids["s"], ids["c"], "allowed"),
        ("bob", "execute", ids["s"], ids["c"], "allowed"),
        ("bob", "execute", ids["s"], ids["c"], "failed"),
        ("eve", "execute", None, ids["c"], "allowed"),
        ("eve", "execute", None, ids["c"], "failed"),
    ]


@pytest.mark.parametrize("owner", ["", "a\0b", "x" * 300, "\ud800"])
async def test_an_owner_that_nobody_is_is_refused(door: _Door, owner: str) -> None:
    for query in (_ACTS["sandboxes"], _ACTS["executions"], _ACTS["home"]):
        assert await door.refused(_ADA, query, o=owner) in ("BAD_REQUEST", "PAYLOAD_TOO_LARGE")


async def test_a_viewer_knows_what_it_may_do(door: _Door) -> None:
    query = """{ viewer { id role plan tenant permissions {
      canExecuteCode canAccessFiles canCreateSandbox canAdminister allowedProviders allowedLanguages network
      resourceLimits { maxCpuCores maxMemoryMB maxExecutionTime maxProcesses maxOpenFiles maxWorkspaceMB maxOutputBytes } } } }"""
    bob = (await door.do(_BOB, query))["viewer"]
    assert (bob["id"], bob["role"], bob["tenant"]) == ("bob", "developer", "t")
    permissions = bob["permissions"]
    assert [permissions[name] for name in ("canExecuteCode", "canAccessFiles", "canCreateSandbox", "canAdminister")] == [True, True, True, False]
    assert permissions["allowedProviders"] == ["local"]
    assert {"python", "command"} <= set(permissions["allowedLanguages"])
    assert permissions["resourceLimits"]["maxMemoryMB"] == door.house.settings.memory_bytes / MiB
    assert permissions["resourceLimits"]["maxCpuCores"] is None
    limits = ResourceLimits(0.5, 64 * MiB, 2_000)
    student = replace(_BOB, permissions=replace(EVERYTHING, languages=frozenset({"python"}), providers=frozenset({"local", "e2b"}), limits=limits))
    permissions = (await door.do(student, query))["viewer"]["permissions"]
    assert (permissions["allowedProviders"], permissions["allowedLanguages"]) == (["local"], ["python"])
    assert [permissions["resourceLimits"][name] for name in ("maxCpuCores", "maxMemoryMB", "maxExecutionTime")] == [0.5, 64, 2_000]
    offered = await door.do(student, "{ providers { name languages { name } } languages { name } }")
    assert offered == {"providers": [{"name": "local", "languages": [{"name": "python"}]}], "languages": [{"name": "python"}]}


async def test_whoever_was_named_in_vain_is_written_down_however_it_is_written(door: _Door) -> None:
    for owner in ("x" * 1000, "\ud800", "a\0b"):
        assert await door.refused(_EVE, _ACTS["home"], o=owner) == "FORBIDDEN"
        line = door.written()[-1]
        assert (line["operation"], line["id"], line["decision"]) == ("act_for", owner[:256], "denied")


async def test_for_whom_a_key_is_made_is_written_down(door: _Door) -> None:
    query = 'mutation { createApiKey(name: "ci", subject: "build", role: "developer", tenant: "acme") { apiKey { id } } }'
    await door.do(_ADA, query)
    assert await door.refused(_EVE, query) == "FORBIDDEN"
    lines = [(line["subject"], line["operation"], line["id"], line["decision"]) for line in door.written()]
    named = ("create_api_key", "developer for acme/build")
    assert lines == [("ada", *named, "allowed"), ("eve", *named, "denied")]
