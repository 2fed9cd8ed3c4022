"""Who may come in: each door, with and without a credential. Who may not has started nothing."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from sandql.access.access import Access
from sandql.access.api_keys import ApiKeys
from sandql.access.plans import read_plans
from sandql.access.roles import Roles
from sandql.core.api_keys import NewApiKey
from sandql.core.errors import Unauthenticated
from sandql.core.permissions import Permission
from sandql.core.settings import SettingsError, load_settings
from sandql.server.app import create_app
from sandql.server.request_context import caller_of
from sandql.server.serve import listen
from sandql.store.store import open_store
from tests.support.forgery import OTHER_EC, SECRET, token
from tests.support.raw_http import read_all
from tests.support.twin_server import TwinServer, running_twin

RUN = 'mutation { executeCode(code: "out ran", language: "script") { output } }'
EVENTS = 'subscription { executeCode(code: "out ran", language: "script") { __typename } }'
OFTEN = "100000/minute"  # may an address be wrong: here it is about what is refused, not about how often


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinServer]:
    """A server that takes tokens and API keys, and nobody else."""
    with running_twin(
        keep=True, jwt_secret=SECRET, jwt_leeway_s=0, state_dir=tmp_path_factory.mktemp("state"), init_timeout_s=2, address_rate=OFTEN
    ) as server:
        yield server


def make_key(server: TwinServer, **changes: Any) -> tuple[str, str]:
    """Make an API key as the command line would, beside the server; its id and the key."""

    async def make() -> tuple[str, str]:
        async with open_store(None, server.settings.state_dir) as store:
            asked: dict[str, Any] = {"name": "a test", "subject": "bob", "role": "developer", "plan": "free"}
            issued = await ApiKeys(store, Roles(), read_plans({})).create(NewApiKey(**asked | changes))
            return issued.key.id, issued.secret

    return asyncio.run(make())


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def test_a_token_comes_in(guarded: TwinServer, client: httpx2.Client) -> None:
    for name in ("Bearer", "bearer", "BEARER"):
        response = client.post(guarded.url, json={"query": RUN}, headers={"authorization": f"{name} {token()}"})
        assert response.json() == {"data": {"executeCode": {"output": "ran\n"}}}


def test_an_api_key_comes_in_by_either_header(guarded: TwinServer, client: httpx2.Client) -> None:
    _, key = make_key(guarded)
    for headers in (bearer(key), {"x-api-key": key}):
        assert client.post(guarded.url, json={"query": RUN}, headers=headers).json() == {"data": {"executeCode": {"output": "ran\n"}}}


def test_a_role_and_scopes_say_what_a_key_may_do(guarded: TwinServer, client: httpx2.Client) -> None:
    runs = guarded.twin.runs
    for changes in ({"role": "viewer"}, {"role": "admin", "scopes": frozenset({Permission.ACCESS_FILES})}):
        _, key = make_key(guarded, **changes)
        response = client.post(guarded.url, json={"query": RUN}, headers=bearer(key))
        assert response.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert guarded.twin.runs == runs


_KEY = "sandql_0123456789abcdef_" + "A" * 43
WRONG: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "expired": [("authorization", f"Bearer {token(exp=1)}")],
    "forged": [("authorization", f"Bearer {token(OTHER_EC, 'ES256')}")],
    "unknown role": [("authorization", f"Bearer {token(role='root')}")],
    "rubbish": [("authorization", "Bearer x")],
    "no token": [("authorization", "Bearer")],
    "empty": [("authorization", "")],
    "another scheme": [("authorization", "Basic YTpi")],
    "no scheme": [("authorization", token())],
    "two tokens": [("authorization", f"Bearer {token()} {token()}")],
    "comma": [("authorization", f"Bearer {token()},Bearer {token()}")],
    "twice": [("authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token()}")],
    "two kinds": [("authorization", f"Bearer {token()}"), ("x-api-key", _KEY)],
    "not ASCII": [("authorization", "Bearer \xe9\xff")],
    "huge": [("authorization", f"Bearer {'a' * 9000}")],
    "unknown key": [("x-api-key", _KEY)],
    "key of another form": [("x-api-key", "sandql_' OR 1=1 --")],
    "token as key, with scheme": [("x-api-key", f"Bearer {token()}")],
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_who_proves_nothing_starts_nothing_at_any_door(guarded: TwinServer, client: httpx2.Client, headers: list[tuple[str, str]]) -> None:
    runs, files = guarded.twin.runs, dict(guarded.twin.files)
    top = guarded.url.removesuffix("/graphql")
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answers = [
        client.post(guarded.url, json={"query": RUN}, headers=raw),
        client.post(guarded.url, json=[{"query": RUN}, {"query": RUN}], headers=raw),
        client.post(guarded.url, json={"query": EVENTS}, headers=[*raw, (b"accept", b"text/event-stream")]),
        client.get(guarded.url, params={"query": "{ __typename }"}, headers=raw),
        client.options(guarded.url, headers=raw),
        client.put(f"{top}/graphql/stream", headers=raw),
        client.put(f"{top}/sandboxes/home/files/x", content=b"x", headers=raw),
        client.get(f"{top}/sandboxes/home/files/x", headers=raw),
        client.delete(f"{top}/sandboxes/home/files/x", headers=raw),
        client.get(f"{top}/nothing", headers=raw),
    ]
    messages: set[str] = set()
    for answer in answers:
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), answer.text
        (error,) = answer.json()["errors"]
        assert error["extensions"] == {"code": "UNAUTHENTICATED", "status": 401}
        messages.add(error["message"])
    assert messages == ({"the credential is not valid"} if headers else {error["message"]})  # pyright: ignore[reportPossiblyUnboundVariable]
    assert (guarded.twin.runs, guarded.twin.files) == (runs, files)


def test_a_body_that_was_refused_is_not_waited_for(guarded: TwinServer) -> None:
    with sockets.create_connection(("127.0.0.1", guarded.port)) as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{")
        assert read_all(connection).startswith(b"HTTP/1.1 401 ")


def test_the_page_and_the_signs_of_life_need_no_credential(guarded: TwinServer, client: httpx2.Client) -> None:
    top = guarded.url.removesuffix("/graphql")
    assert client.get(guarded.url, headers={"accept": "text/html"}).headers["content-type"].startswith("text/html")
    assert client.get(f"{top}/live").status_code == 200
    assert client.get(f"{top}/health").status_code == 200
    assert client.get(f"{top}/").status_code == 307
    assert client.get(f"{top}/graphiql/nothing.js").status_code == 404
    page = {"accept": "text/html"}
    assert client.post(guarded.url, json={"query": RUN}, headers=page).status_code == 401
    for path in ("/graphql/", "//graphql", "/graphiql", "/graphql/stream", "/sandboxes/home/files", "/live/x", "/LIVE"):
        found = client.get(httpx2.URL(top).copy_with(raw_path=path.encode()), headers=page)
        assert found.status_code in (401, 404), path
        assert "data" not in found.text


def test_a_preflight_needs_no_credential_and_a_refusal_can_be_read(client: httpx2.Client) -> None:
    with running_twin(jwt_secret=SECRET, allowed_origins=["https://app.example"]) as server:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        found = client.options(server.url, headers=asked)
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (200, "https://app.example")
        refused = client.post(server.url, json={"query": RUN}, headers={"origin": "https://app.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://app.example")
        assert server.twin.runs == 0


def _say(server: TwinServer, *messages: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[list[Any], int | None]:
    """What a client hears that says these things at once, and how it is closed; None where it leaves after the answer to an operation."""
    url = server.url.replace("http:", "ws:")
    heard: list[Any] = []
    with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers, proxy=None, close_timeout=1) as connection:
        with suppress(ConnectionClosed):  # it may be closed because of an earlier one, which is heard below
            for message in messages:
                connection.send(json.dumps(message))
        try:
            while not heard or heard[-1]["type"] != "complete":
                heard.append(json.loads(connection.recv(10)))
        except ConnectionClosed as closed:
            return heard, closed.rcvd.code if closed.rcvd else 0
    return heard, None


SUBSCRIBE = {"id": "1", "type": "subscribe", "payload": {"query": RUN}}


@pytest.mark.parametrize("where", ["Authorization", "authorization", "token", "apiKey", "X-API-Key", "header"])
def test_a_socket_says_who_it_is(guarded: TwinServer, where: str) -> None:
    for credential in (token(), make_key(guarded)[1]):
        value = f"Bearer {credential}" if where.lower() == "authorization" else credential
        payload = None if where == "header" else {where: value}
        init = {"type": "connection_init", "payload": payload}
        heard, code = _say(guarded, init, SUBSCRIBE, headers=bearer(credential) if where == "header" else None)
        assert [message["type"] for message in heard] == ["connection_ack", "next", "complete"]
        assert code is None


PAYLOADS: dict[str, Any] = {
    "none": None,
    "nothing of ours": {"user": "admin"},
    "empty": {"token": ""},
    "not text": {"token": 1},
    "object": {"Authorization": {"Bearer": token()}},
    "no scheme": {"Authorization": token()},
    "expired": {"token": token(exp=1)},
    "two": {"token": token(), "apiKey": token()},
    "both cases": {"Authorization": f"Bearer {token()}", "authorization": f"Bearer {token()}"},
    "huge": {"token": "a" * 9000},
    "not ASCII": {"token": token() + "é"},
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_socket_that_proves_nothing_is_closed_and_starts_nothing(guarded: TwinServer, payload: Any) -> None:
    runs = guarded.twin.runs
    assert _say(guarded, {"type": "connection_init", "payload": payload}, SUBSCRIBE) == ([], 4403)
    assert guarded.twin.runs == runs


def test_a_wrong_payload_is_not_mended_by_a_good_header(guarded: TwinServer) -> None:
    runs = guarded.twin.runs
    init = {"type": "connection_init", "payload": {"token": token(exp=1)}}
    assert _say(guarded, init, SUBSCRIBE, headers=bearer(token())) == ([], 4403)
    assert _say(guarded, {"type": "connection_init"}, SUBSCRIBE, headers=bearer(token(exp=1))) == ([], 4403)
    assert guarded.twin.runs == runs


def test_an_operation_before_the_credential_closes_the_socket(guarded: TwinServer) -> None:
    runs = guarded.twin.runs
    assert _say(guarded, SUBSCRIBE, headers=bearer(token())) == ([], 4401)
    assert guarded.twin.runs == runs


def test_who_has_not_said_who_it_is_says_little(guarded: TwinServer) -> None:
    assert _say(guarded, {"type": "connection_init", "payload": {"token": token(), "more": "x" * 70_000}}) == ([], 1009)


def test_owners_see_only_what_is_theirs(guarded: TwinServer, client: httpx2.Client) -> None:
    """The same subject of another tenant, or of another kind of credential, is somebody else."""
    make = 'mutation { createSandbox(name: "mine") { id } }'
    made = client.post(guarded.url, json={"query": make}, headers=bearer(token(sub="carol", tenant="acme"))).json()
    id_ = made["data"]["createSandbox"]["id"]
    _, key = make_key(guarded, subject="carol", tenant="acme")
    query = {"query": "query ($id: ID!) { sandbox(id: $id) { id } sandboxes { nodes { id } } }", "variables": {"id": id_}}
    for other in (token(sub="carol"), token(sub="carol", tenant="other"), token(sub="acme/carol"), token(sub="dave", tenant="acme"), key):
        answer = client.post(guarded.url, json=query, headers=bearer(other)).json()
        assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert answer["data"]["sandboxes"]["nodes"] == []
    again = client.post(guarded.url, json=query, headers=bearer(token(sub="carol", tenant="acme"))).json()
    assert again["data"]["sandbox"] == {"id": id_}


def test_without_settings_a_wrong_credential_is_refused_all_the_same(served: TwinServer, client: httpx2.Client) -> None:
    """Never the local caller in its place, who may do everything."""
    runs = served.twin.runs
    for headers in (bearer(token()), bearer(_KEY), {"x-api-key": _KEY}, {"authorization": "Basic YTpi"}):
        assert client.post(served.url, json={"query": RUN}, headers=headers).status_code == 401
    assert served.twin.runs == runs
    assert client.post(served.url, json={"query": RUN}).json() == {"data": {"executeCode": {"output": "ran\n"}}}


def test_auth_can_be_required_for_keys_alone(tmp_path: Path, client: httpx2.Client) -> None:
    with running_twin(keep=True, auth="required", state_dir=tmp_path) as server:
        _, key = make_key(server)
        assert client.post(server.url, json={"query": RUN}).status_code == 401
        assert client.post(server.url, json={"query": RUN}, headers=bearer(token())).status_code == 401
        assert server.twin.runs == 0
        assert client.post(server.url, json={"query": RUN}, headers=bearer(key)).status_code == 200


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"jwt_secret": SECRET, "jwt_key_file": "/nowhere"}, "only one"),
    ({"jwt_secret": SECRET, "auth": "none"}, "SANDQL_AUTH"),
    ({"jwt_key_file": "/nowhere"}, "cannot be read"),
    ({"jwt_jwks_url": "http://issuer.example/jwks"}, "https"),
    ({"jwt_jwks_url": "https://user:secret@issuer.example/jwks"}, "https"),
    ({"jwt_jwks_url": "file:///etc/passwd"}, "https"),
    ({"jwt_secret": SECRET, "jwt_role_claim": "sub"}, "different"),
    ({"jwt_secret": SECRET, "jwt_default_role": "nobody"}, "SANDQL_JWT_DEFAULT_ROLE: must be one of admin, developer, viewer, got 'nobody'"),
    ({"jwt_secret": SECRET, "jwt_default_plan": "gold"}, "SANDQL_JWT_DEFAULT_PLAN: must be one of enterprise, free, pro, unlimited, got 'gold'"),
    ({"jwt_secret": SECRET, "jwt_audience": ""}, "SANDQL_JWT_AUDIENCE: must not be empty"),
    ({"jwt_issuer": "https://issuer.example/"}, "SANDQL_JWT_ISSUER: .*set one of SANDQL_JWT_SECRET"),
    ({"jwt_audience": "sandql", "auth": "required"}, "SANDQL_JWT_AUDIENCE: .*set one of SANDQL_JWT_SECRET"),
]


@pytest.mark.parametrize(("settings", "reason"), CONTRADICTIONS)
async def test_settings_that_cannot_be_meant_stop_the_start(settings: dict[str, Any], reason: str) -> None:
    app = create_app(load_settings(**settings), opener=_nobody)
    with pytest.raises(SettingsError, match=reason):
        async with app.router.lifespan_context(app):
            pass


def _nobody(_settings: Any) -> Any:
    from contextlib import nullcontext
    from types import SimpleNamespace

    return nullcontext(SimpleNamespace(api_keys=None, access=Access()))


def test_other_machines_are_served_only_with_credentials_or_by_decision() -> None:
    for refused in ({}, {"auth": "none"}):
        with pytest.raises(SettingsError, match="SANDQL_AUTH"):
            listen(load_settings(host="0.0.0.0", port=0, **refused))
    for allowed in ({"auth": "required"}, {"jwt_secret": SECRET}, {"allow_unauthenticated": True}):
        listen(load_settings(host="0.0.0.0", port=0, **allowed)).close()


def test_a_request_whose_caller_nobody_asked_for_is_nobodys() -> None:
    with pytest.raises(Unauthenticated):
        caller_of({"state": {}})
