"""One caller tries every id of another in every argument that takes an id: it is as if there were no such thing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest

from tests.access.documents import NOBODYS, ROOT_FIELDS, RootField
from tests.access.doors import CLIENT, DOORS, codes, takes
from tests.support.server import Server, running_server
from tests.support.tokens import SECRET, bearer
from tests.support.twin_server import wait_for
from tests.websocket.client import WAIT_S

_SMALL: Final[dict[str, Any]] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 1}
_ALICE: Final = bearer("alice", "developer", tenant="one")
_ADMIN: Final = "an administrator who does not say for whom"
_OTHERS: Final = {
    "another": bearer("bob", "developer", tenant="one"),
    "of the same name elsewhere": bearer("alice", "developer", tenant="two"),
    "of no tenant": bearer("alice", "developer"),
    "who forges the parts of a name": bearer("one/alice", "developer"),
    _ADMIN: bearer("root", "admin"),
}
_RULE: Final = frozenset({"revokeApiKey", "rotateApiKey"})  # others are told that they may not, whatever the id is
_LISTS: Final = frozenset({"executions", "contexts", "terminals"})  # an id only says which of the caller's own are meant

_START: Final = """mutation ($code: String!, $id: ID) {
  startExecution(code: $code, language: "python", sandboxId: $id, interactive: true, timeout: 300000) { id } }"""


@dataclass(frozen=True, slots=True)
class Belongings:
    """What Alice has, by what it is."""

    server: Server
    ids: dict[str, str]


def _do(server: Server, headers: dict[str, str], query: str, **variables: Any) -> Any:
    answer = CLIENT.post(f"{server.url}/graphql", json={"query": query, "variables": variables}, headers=headers).json()
    assert "errors" not in answer, answer
    (value,) = answer["data"].values()
    return value


@pytest.fixture(scope="module")
def alices() -> Iterator[Belongings]:
    """Alice has a sandbox, and in it a file, a context, a terminal and an execution that runs."""
    with running_server(jwt_secret=SECRET, **_SMALL) as server:
        sandbox = _do(server, _ALICE, "mutation { createSandbox { id } }")["id"]
        _do(server, _ALICE, 'mutation ($id: ID) { writeFile(path: "secret.txt", content: "of Alice", sandboxId: $id) }', id=sandbox)
        _do(server, _ALICE, 'mutation { writeFile(path: "secret.txt", content: "of Alice") }')
        context = _do(server, _ALICE, 'mutation ($id: ID) { createContext(language: "python", sandboxId: $id) { id } }', id=sandbox)["id"]
        terminal = _do(server, _ALICE, 'mutation ($id: ID) { createTerminal(command: ["cat"], sandboxId: $id) { id } }', id=sandbox)["id"]
        execution = _do(server, _ALICE, _START, code="print('up', flush=True)\ninput()", id=sandbox)["id"]
        wait_for(lambda: _do(server, _ALICE, "query ($id: ID!) { execution(id: $id) { lastSeq } }", id=execution)["lastSeq"] >= 2, "its first line")
        yield Belongings(server, {"sandbox": sandbox, "context": context, "terminal": terminal, "execution": execution})


def _state(belongings: Belongings) -> Any:
    """What Alice sees of what is hers."""
    query = """query ($sandbox: ID!, $context: ID!, $terminal: ID!, $execution: ID!) {
      sandbox(id: $sandbox) { status timeout files(path: "") { path size } }
      context(id: $context) { status } terminal(id: $terminal) { ended rows cols } execution(id: $execution) { status lastSeq }
      home: listFiles(path: "") sandboxes { edges { node { id status } } } executions { edges { node { id } } } }"""
    answer = CLIENT.post(f"{belongings.server.url}/graphql", json={"query": query, "variables": belongings.ids}, headers=_ALICE).json()
    assert "errors" not in answer, answer
    return answer["data"]


def _fields(door: str) -> list[tuple[RootField, str]]:
    return [(field, argument) for field in ROOT_FIELDS if takes(door, field) for argument in field.ids if argument != "owner"]


@pytest.mark.parametrize("door", ["post", "socket", "events"])
@pytest.mark.parametrize("who", _OTHERS)
def test_no_id_of_another_opens_anything(alices: Belongings, who: str, door: str) -> None:
    headers = _OTHERS[who]
    before = _state(alices)
    for field, argument in _fields(door):
        unknown = DOORS[door](alices.server, field, field.document(**{argument: NOBODYS}), headers)
        if field.name in _LISTS:
            assert not unknown
            continue
        known = "FORBIDDEN" if field.name in _RULE and headers is not _OTHERS[_ADMIN] else "NOT_FOUND"
        assert codes(unknown) == {known}, f"{field}({argument}: nobody's): {unknown}"
        for kind, id_ in alices.ids.items():
            refused = DOORS[door](alices.server, field, field.document(**{argument: id_}), headers)
            told = json.dumps(refused).replace(id_, NOBODYS)
            assert told == json.dumps(unknown), f"{field}({argument}: Alice's {kind}) is told from one that nobody has"
    assert _state(alices) == before, "something of Alice's has changed"


@pytest.mark.parametrize("door", ["post", "socket", "events"])
@pytest.mark.parametrize("who", [*(who for who in _OTHERS if who != _ADMIN), "an administrator of another tenant"])
def test_nobody_else_acts_for_her(alices: Belongings, who: str, door: str) -> None:
    headers = _OTHERS.get(who, bearer("root", "admin", tenant="two"))
    before = _state(alices)
    for field in (field for field in ROOT_FIELDS if "owner" in field.ids and takes(door, field)):
        for kind, id_ in alices.ids.items():
            document = field.document(**{**dict.fromkeys(field.ids, id_), "owner": "jwt:one/alice"})
            refused = DOORS[door](alices.server, field, document, headers)
            assert codes(refused) == {"FORBIDDEN"}, f"{field} with Alice's {kind}: {refused}"
    assert _state(alices) == before, "something of Alice's has changed"


@pytest.mark.parametrize("who", _OTHERS)
def test_lists_have_nothing_of_another(alices: Belongings, who: str) -> None:
    query = """query ($id: ID) { sandboxes { edges { node { id } } } executions(sandboxId: $id) { edges { node { id } } }
      all: executions { edges { node { id } } } contexts(sandboxId: $id) { id } terminals(sandboxId: $id) { id } }"""
    for id_ in alices.ids.values():
        body = {"query": query, "variables": {"id": id_}}
        answer = CLIENT.post(f"{alices.server.url}/graphql", json=body, headers=_OTHERS[who]).json()
        assert "errors" not in answer, answer
        assert not [found for found in alices.ids.values() if found in json.dumps(answer)]


@pytest.mark.parametrize("who", _OTHERS)
def test_files_of_another_are_not_there_over_plain_http(alices: Belongings, who: str) -> None:
    before = _state(alices)
    with httpx2.Client(headers=_OTHERS[who], timeout=WAIT_S) as client:
        for id_ in (*alices.ids.values(), NOBODYS):
            address = f"{alices.server.url}/sandboxes/{id_}/files"
            for answer in (
                client.get(f"{address}/secret.txt"),
                client.get(address, params={"archive": "tar.gz"}),
                client.put(f"{address}/secret.txt", content=b"of another"),
                client.delete(f"{address}/secret.txt"),
            ):
                assert answer.status_code == 404, answer.text
        assert client.get(f"{alices.server.url}/sandboxes/home/files/secret.txt").status_code == 404, "each has a home of its own"
    assert _state(alices) == before
