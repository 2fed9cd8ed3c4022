"""What stays open belongs to its owner: without a credential nobody uses it, another one of the owner's does, and an administrator ends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.server import Server, running_server
from tests.support.tokens import SECRET, bearer

_ADMIN = bearer("root", "admin")
_RUN = 'mutation ($c: ID!) { executeCode(contextId: $c, language: "python", code: "print(x)") { output } }'
_TYPE = 'mutation ($t: ID!) { terminalInput(id: $t, data: "x") }'
_CLOSE = "mutation ($c: ID!, $t: ID!, $o: ID) { closeContext(id: $c, owner: $o) closeTerminal(id: $t, owner: $o) }"


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server(jwt_secret=SECRET, pool_size=2, node_pool_size=0, program_pool_size=0) as running:
        yield running


def _ask(server: Server, headers: dict[str, str], query: str, **variables: str) -> dict[str, Any]:
    return httpx2.post(f"{server.url}/graphql", json={"query": query, "variables": variables}, headers=headers, timeout=30).json()


def _do(server: Server, headers: dict[str, str], query: str, **variables: str) -> dict[str, Any]:
    answer = _ask(server, headers, query, **variables)
    assert "errors" not in answer, answer
    return answer["data"]


def _code(answer: dict[str, Any]) -> str:
    return answer["errors"][0]["extensions"]["code"]


def test_contexts_and_terminals_stay_for_their_owner_and_go_by_an_administrator(server: Server) -> None:
    make = 'mutation { createApiKey(name: "k", role: "developer", subject: "alice") { secret apiKey { id } } }'
    made = [_do(server, _ADMIN, make)["createApiKey"] for _ in range(2)]
    first, second = ({"X-API-Key": key["secret"]} for key in made)
    ids = {
        "c": _do(server, first, 'mutation { createContext(language: "python") { id } }')["createContext"]["id"],
        "t": _do(server, first, 'mutation { createTerminal(command: ["cat"]) { id } }')["createTerminal"]["id"],
    }
    _do(server, first, 'mutation ($c: ID!) { executeCode(contextId: $c, language: "python", code: "x = 5") { output } }', c=ids["c"])
    _do(server, _ADMIN, "mutation ($id: ID!) { revokeApiKey(id: $id) { revokedAt } }", id=made[0]["apiKey"]["id"])
    for query, name in ((_RUN, "c"), (_TYPE, "t")):
        assert _code(_ask(server, first, query, **{name: ids[name]})) == "UNAUTHENTICATED"
    assert _do(server, second, _RUN, c=ids["c"])["executeCode"]["output"] == "5\n", "it is the same one"
    assert _do(server, second, _TYPE, t=ids["t"])["terminalInput"]

    owner = _do(server, second, "{ viewer { id } }")["viewer"]["id"]
    assert _code(_ask(server, _ADMIN, _CLOSE, **ids)) == "NOT_FOUND", "it does not say whose"
    found = _do(server, _ADMIN, "query ($o: ID) { contexts(owner: $o) { id } terminals(owner: $o) { id ended } }", o=owner)
    assert found == {"contexts": [{"id": ids["c"]}], "terminals": [{"id": ids["t"], "ended": False}]}
    _do(server, _ADMIN, _CLOSE, **ids, o=owner)
    assert _do(server, second, "{ contexts { id } terminals { ended } }") == {"contexts": [], "terminals": [{"ended": True}]}
