"""API keys through GraphQL: administrators make and revoke them, and nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.server.test_authentication import bearer, make_key
from tests.support.forgery import SECRET, token
from tests.support.twin_server import TwinServer, running_twin

CREATE = """mutation ($name: String!, $subject: String!, $role: String!, $tenant: String, $scopes: [Permission!]) {
  createApiKey(name: $name, subject: $subject, role: $role, tenant: $tenant, scopes: $scopes) {
    secret apiKey { id name subject role plan tenant scopes createdAt expiresAt lastUsedAt revokedAt }
  }
}"""
LIST = "{ apiKeys(first: 100) { nodes { id revokedAt } } }"
REVOKE = "mutation ($id: ID!) { revokeApiKey(id: $id) { id revokedAt } }"
ROTATE = "mutation ($id: ID!) { rotateApiKey(id: $id) { secret apiKey { id subject } } }"
ASKED: dict[str, Any] = {"name": "ci", "subject": "bob", "role": "developer"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinServer]:
    """A server that takes tokens and API keys, and nobody else."""
    with running_twin(keep=True, jwt_secret=SECRET, state_dir=tmp_path_factory.mktemp("state")) as server:
        yield server


def ask(server: TwinServer, credential: str, query: str, **variables: Any) -> Any:
    return httpx2.post(server.url, json={"query": query, "variables": variables}, headers=bearer(credential)).json()


def ids(server: TwinServer) -> list[str]:
    return [key["id"] for key in ask(server, token(role="admin"), LIST)["data"]["apiKeys"]["nodes"]]


def test_an_administrator_makes_rotates_and_revokes(guarded: TwinServer) -> None:
    admin = token(role="admin")
    made = ask(guarded, admin, CREATE, **ASKED, scopes=["ACCESS_FILES"])["data"]["createApiKey"]
    assert made["apiKey"]["scopes"] == ["ACCESS_FILES"]
    viewer = "{ viewer { id role tenant } }"
    assert ask(guarded, made["secret"], viewer)["data"]["viewer"] == {"id": "key:/bob", "role": "developer", "tenant": None}
    rotated = ask(guarded, admin, ROTATE, id=made["apiKey"]["id"])["data"]["rotateApiKey"]
    assert rotated["apiKey"]["subject"] == "bob"
    assert ask(guarded, made["secret"], viewer)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert ask(guarded, rotated["secret"], viewer)["data"]["viewer"]["id"] == "key:/bob"
    assert ask(guarded, admin, REVOKE, id=rotated["apiKey"]["id"])["data"]["revokeApiKey"]["revokedAt"] is not None
    assert ask(guarded, rotated["secret"], viewer)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert made["apiKey"]["id"] in ids(guarded)
    assert made["secret"] not in str(ask(guarded, admin, "{ apiKeys { nodes { id name subject role plan tenant scopes } } }"))


def test_nobody_else_does(guarded: TwinServer) -> None:
    id_, victim = make_key(guarded)
    known = ids(guarded)
    others = [token(), token(role="viewer"), victim, make_key(guarded, role="viewer")[1]]
    known = ids(guarded)
    for credential in others:
        for query, variables in ((CREATE, ASKED | {"role": "admin"}), (LIST, {}), (REVOKE, {"id": id_}), (ROTATE, {"id": id_})):
            answer = ask(guarded, credential, query, **variables)
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", answer
            assert answer["data"] is None
    assert ids(guarded) == known
    assert ask(guarded, victim, "{ viewer { id } }")["data"]["viewer"]["id"] == "key:/bob"


def test_an_administrator_of_a_tenant_stays_in_it(guarded: TwinServer) -> None:
    admin = token(role="admin", tenant="acme")
    foreign, secret = make_key(guarded, tenant="other")
    for query, variables in ((REVOKE, {"id": foreign}), (ROTATE, {"id": foreign})):
        assert ask(guarded, admin, query, **variables)["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    before = ids(guarded)
    assert ask(guarded, admin, CREATE, **ASKED, tenant="other")["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert ids(guarded) == before
    assert ask(guarded, secret, "{ viewer { tenant } }")["data"]["viewer"]["tenant"] == "other"
    made = ask(guarded, admin, CREATE, **ASKED)["data"]["createApiKey"]
    assert made["apiKey"]["tenant"] == "acme"
    assert [key["id"] for key in ask(guarded, admin, LIST)["data"]["apiKeys"]["nodes"]] == [made["apiKey"]["id"]]


def test_a_key_of_a_role_that_there_is_not_is_not_made(guarded: TwinServer) -> None:
    before = ids(guarded)
    answer = ask(guarded, token(role="admin"), CREATE, **ASKED | {"role": "root"})
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert ids(guarded) == before


def test_nobody_grants_what_they_do_not_have(guarded: TwinServer) -> None:
    """A key that may do nothing but make keys makes none that may do more, and takes over none that may."""
    admin = token(role="admin")
    narrow = ask(guarded, admin, CREATE, name="clerk", subject="clerk", role="admin", scopes=["ADMINISTER"])["data"]["createApiKey"]["secret"]
    strong = ask(guarded, admin, CREATE, **ASKED)["data"]["createApiKey"]
    before = ids(guarded)
    for query, variables in ((CREATE, ASKED), (CREATE, ASKED | {"role": "admin"}), (ROTATE, {"id": strong["apiKey"]["id"]})):
        assert ask(guarded, narrow, query, **variables)["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert ids(guarded) == before
    assert ask(guarded, strong["secret"], "{ viewer { id } }")["data"]["viewer"]["id"] == "key:/bob"
    assert "errors" not in ask(guarded, narrow, CREATE, **ASKED | {"role": "viewer"})


def test_an_administrator_of_a_tenant_acts_for_nobody_outside_of_it(guarded: TwinServer) -> None:
    query = "query ($owner: ID) { sandboxes(owner: $owner) { nodes { id } } }"
    admin = token(role="admin", tenant="acme")
    assert ask(guarded, admin, query, owner="jwt:acme/alice")["data"]["sandboxes"]["nodes"] == []
    assert ask(guarded, admin, query, owner="key:acme/a:b/c")["data"]["sandboxes"]["nodes"] == []
    for owner in ("local", "jwt:/alice", "jwt:acme2/alice", "jwt:other/acme/alice", "acme/alice", "jwt:acme", "jwt:%61cme/alice", ":/", ""):
        answer = ask(guarded, admin, query, owner=owner)
        assert answer["errors"][0]["extensions"]["code"] in ("FORBIDDEN", "BAD_REQUEST"), owner
    assert ask(guarded, token(role="admin"), query, owner="jwt:other/alice")["data"]["sandboxes"]["nodes"] == []


def test_a_narrow_role_grants_no_wide_one_and_a_tenant_no_other_plan(tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text(
        "[roles.tadmin]\ncanExecuteCode = true\ncanAdminister = true\nallowedLanguages = ['script']\nresourceLimits = { maxMemoryMB = 64 }\n"
        "[roles.same]\ncanExecuteCode = true\nallowedLanguages = ['script']\nresourceLimits = { maxMemoryMB = 32 }\n"
        "[roles.wide]\ncanExecuteCode = true\nresourceLimits = { maxMemoryMB = 32 }\n"
        "[roles.big]\ncanExecuteCode = true\nallowedLanguages = ['script']\n"
    )
    with running_twin(keep=True, jwt_secret=SECRET, state_dir=tmp_path, access_file=tmp_path / "access.toml") as server:
        admin = token(role="tadmin", tenant="acme", plan="pro")
        for role in ("wide", "big", "admin", "developer"):
            answer = ask(server, admin, CREATE, **ASKED | {"role": role})
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", role
        for plan, allowed in (("unlimited", False), ("enterprise", False), ("pro", True), ("free", True)):
            query = f'mutation {{ createApiKey(name: "k", subject: "s", role: "same", plan: "{plan}") {{ secret }} }}'
            assert ("errors" not in ask(server, admin, query)) is allowed, plan
            made = ask(server, token(role="tadmin", tenant="acme", plan=plan), query)["data"]["createApiKey"]["secret"]
            rotated = ask(server, admin, f'mutation {{ rotateApiKey(id: "{made.split("_")[1]}") {{ secret }} }}')
            assert ("errors" not in rotated) is allowed, plan
