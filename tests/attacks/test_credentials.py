"""Attacks on who is calling, against a whole server: what is forged, what is guessed, what is stolen, and what is left behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import random
import socket as sockets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import pytest
from joserfc.jwk import OctKey
from websockets.exceptions import InvalidStatus

from tests.cli.command import sandql_command
from tests.support.forgery import EC, OTHER_EC, SECRET, claims, signed, token
from tests.support.issuer import running_issuer
from tests.support.raw_http import read_all
from tests.support.server import Server, running_server
from tests.websocket.client import socket

RUN = 'mutation ($code: String!) { executeCode(code: $code, language: "python") { output stderr outcome } }'
SMALL: dict[str, Any] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0, "address_rate": "100000/minute"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that knows a secret, and says in its log all that it ever says."""
    with running_server(jwt_secret=SECRET, jwt_leeway_s=0, log_level="debug", log_format="json", **SMALL) as running:
        yield running


def run(server: Server, code: str, *headers: tuple[str, str]) -> httpx2.Response:
    return httpx2.post(f"{server.url}/graphql", json={"query": RUN, "variables": {"code": code}}, headers=list(headers), timeout=30)


def test_a_program_finds_neither_the_secret_nor_a_credential_of_its_caller(server: Server) -> None:
    """By its environment, by other processes, and by what it can open."""
    code = """
import os, sys
found = [repr(dict(os.environ)).encode()]
for folder, _, names in os.walk("/proc", onerror=lambda error: None):
    for name in names:
        if name in ("environ", "cmdline", "mem", "maps"):
            try:
                found.append(open(os.path.join(folder, name), "rb").read(1 << 20))
            except (OSError, ValueError):
                pass
print(hex(int.from_bytes(b"".join(found), "big"))[2:])
"""
    mine = token(sub="thief")
    answer = run(server, code, ("authorization", f"Bearer {mine}")).json()["data"]["executeCode"]
    seen = answer["output"] + answer["stderr"]
    assert answer["outcome"] == "COMPLETED", answer
    for planted in (SECRET, mine, mine.rpartition(".")[2]):
        assert planted not in seen
        assert planted.encode().hex() not in seen


def test_changed_tokens_prove_nothing(server: Server, tmp_path: Path) -> None:
    """Each by one character, or with parts of another: hundreds of them, and none runs."""
    mark = tmp_path / "ran"
    good, other = token(sub="alice", role="viewer"), token(sub="alice", role="admin", exp=1)
    chance = random.Random(4)
    forged = {".".join(parts) for parts in _mixed(good, other)} - {good, other}
    while len(forged) < 300:
        at = chance.randrange(len(good))
        changed = good[:at] + chance.choice("ABCXYZabcxyz0189-_.") + good[at + 1 :]
        if changed != good and at != len(good) - 1:  # the last character has bits that mean nothing
            forged.add(changed)

    def answered(text: str) -> int:
        return run(server, f"open({str(mark)!r}, 'w')", ("authorization", f"Bearer {text}")).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(answered, forged)) == {401}
    assert not mark.exists()
    assert answered(good) == 200


def _mixed(one: str, two: str) -> Iterator[tuple[str, str, str]]:
    for head in (one, two):
        for payload in (one, two):
            for signature in (one, two):
                yield head.split(".")[0], payload.split(".")[1], signature.split(".")[2]


def test_weak_secrets_do_not_open_it(server: Server) -> None:
    guesses = ["0", "secret", "sandql", SECRET[:-1], SECRET + "0", SECRET.upper(), hashlib.sha256(SECRET.encode()).hexdigest(), "null", "0" * 64]
    for guess in guesses:
        forged = signed(OctKey(guess.encode(), guess.encode()), "HS256", {"alg": "HS256"}, claims(role="admin"))
        assert run(server, "print(1)", ("authorization", f"Bearer {forged}")).status_code == 401


def test_a_token_cannot_make_the_server_call_its_author(server: Server) -> None:
    """`jku` and `x5u` of a token, whoever signed it, are addresses that nobody asks."""
    with running_issuer() as issuer:
        issuer.publish(mine=OTHER_EC)
        head = {"kid": "mine", "jku": issuer.url, "x5u": issuer.url, "jwk": OTHER_EC.as_dict(private=False)}
        forged = signed(OTHER_EC, "ES256", {"alg": "ES256", **head}, claims(role="admin", iss=issuer.url))
        assert run(server, "print(1)", ("authorization", f"Bearer {forged}")).status_code == 401
        assert run(server, "print(1)", ("authorization", f"Bearer {token(head=head)}")).status_code == 200
        assert issuer.asked == 0


def test_a_kid_is_no_path_no_address_and_no_command(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        issuer.publish(good=EC)
        with running_server(jwt_jwks_url=issuer.url, **SMALL) as server:
            for kid in ("../../../../dev/null", "/etc/passwd", issuer.url, "' OR 1=1 --", "$(touch x)", "\0", "a" * 4000, "good\n"):
                forged = signed(OTHER_EC, "ES256", {"alg": "ES256", "kid": kid}, claims(role="admin"))
                assert run(server, "print(1)", ("authorization", f"Bearer {forged}")).status_code == 401
            assert issuer.asked <= 2
            assert run(server, "print(1)", ("authorization", f"Bearer {token(EC, 'ES256', head={'kid': 'good'})}")).status_code == 200


def test_headers_that_are_read_in_two_ways_are_read_in_none(server: Server) -> None:
    good = token()
    body = json.dumps({"query": RUN, "variables": {"code": "print(1)"}}).encode()
    heads = [
        f"Authorization: Bearer {good}\r\nAuthorization: Bearer {good}",
        f"Authorization: Basic YTpi\r\nAuthorization: Bearer {good}",
        f"authorization: Bearer {good}\r\nX-Api-Key: {good}",
        f"Authorization: Bearer {good}, Bearer {good}",
        f"Authorization: Bearer\t{good}",
        f"Authorization: {good}",
        f"Proxy-Authorization: Bearer {good}",
        f"Cookie: token={good}; authorization=Bearer {good}",
        f"X-Forwarded-Authorization: Bearer {good}",
        "X-Authenticated-User: admin\r\nRemote-User: admin",
    ]
    for head in heads:
        with sockets.create_connection(("127.0.0.1", server.port)) as connection:
            lines = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{head}\r\n\r\n"
            connection.sendall(lines.encode() + body)
            assert read_all(connection).startswith(b"HTTP/1.1 401 "), head
    for address in (f"/graphql?token={good}", f"/graphql?access_token={good}", f"/graphql?authorization=Bearer%20{good}"):
        asked = {"query": "{ __typename }"}
        assert httpx2.get(server.url + address, params=asked, headers={"accept": "application/json"}).status_code == 401


def test_an_event_stream_of_another_cannot_be_used(server: Server) -> None:
    """Not even by who knows its token."""
    url = f"{server.url}/graphql/stream"
    mine, other = ({"authorization": f"Bearer {token(sub=name)}"} for name in ("alice", "mallory"))
    stream = httpx2.put(url, headers=mine).text
    body = {"query": "{ viewer { id } }", "extensions": {"operationId": "1"}}
    for headers, status in (({}, 401), (other, 404)):
        assert httpx2.post(url, params={"token": stream}, json=body, headers=headers).status_code == status
        assert httpx2.get(url, params={"token": stream}, headers=headers | {"accept": "text/event-stream"}).status_code == status
        assert httpx2.delete(url, params={"token": stream, "operationId": "1"}, headers=headers).status_code == status


def test_a_socket_changes_its_caller_never(server: Server) -> None:
    with socket(server.ws_url, init=False) as connection:
        connection.send({"type": "connection_init", "payload": {"token": token(sub="alice", role="viewer")}})
        assert connection.receive() == {"type": "connection_ack"}
        connection.send({"type": "ping", "payload": {"token": token(role="admin")}})
        assert connection.receive() == {"type": "pong"}
        connection.send({"id": "1", "type": "subscribe", "payload": {"query": "{ viewer { role } }", "extensions": {"token": token(role="admin")}}})
        assert connection.results("1") == [{"data": {"viewer": {"role": "viewer"}}}]
        connection.send({"type": "connection_init", "payload": {"token": token(role="admin")}})
        assert connection.closed()[0] == 4429


def test_sockets_that_say_nothing_do_not_keep_others_out() -> None:
    with running_server(jwt_secret=SECRET, init_timeout_s=0.5, max_connections=20, **SMALL) as server, contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(socket(server.ws_url, init=False))
        with pytest.raises(InvalidStatus) as refused, socket(server.ws_url, init=False):
            pass
        assert refused.value.response.status_code == 429, "of one address, only half of the connections may be silent"
        end = time.monotonic() + 10
        while True:
            try:
                with socket(server.ws_url, init=False) as connection:
                    connection.send({"type": "connection_init", "payload": {"token": token()}})
                    assert connection.receive() == {"type": "connection_ack"}
                break
            except Exception:
                assert time.monotonic() < end


def test_one_caller_cannot_have_all_sockets_nor_all_streams() -> None:
    with running_server(jwt_secret=SECRET, max_connections=6, max_streams=4, **SMALL) as server, contextlib.ExitStack() as stack:
        hers = [stack.enter_context(socket(server.ws_url, headers={"authorization": f"Bearer {token(sub='alice')}"})) for _ in range(3)]
        with socket(server.ws_url, headers={"authorization": f"Bearer {token(sub='alice')}"}, init=False) as one_more:
            one_more.send({"type": "connection_init"})
            code, reason = one_more.closed()
            assert (code, "at most 3 WebSocket connections" in reason) == (1013, True)
        for number in range(5):  # whichever comes last
            hers[0].subscribe(str(number), "subscription { usageUpdated { executions } }")
        while "RATE_LIMITED" not in json.dumps(hers[0].receive()):
            pass
        with socket(server.ws_url, headers={"authorization": f"Bearer {token(sub='bob')}"}) as his:
            his.subscribe("1", "query { viewer { id } }")
            assert his.results("1") == [{"data": {"viewer": {"id": "jwt:/bob"}}}]


def test_who_guesses_is_not_listened_to_and_keeps_out_nobody_who_is_known() -> None:
    """All of one address, as behind one NAT: once it has failed too often, what is not known is not looked at, be it right or wrong."""
    settings: dict[str, Any] = {**SMALL, "address_rate": "20/minute"}
    with running_server(jwt_secret=SECRET, log_level="debug", **settings) as server:
        known, new = token(sub="alice"), token(sub="bob")

        def status(credential: str) -> int:
            return run(server, "print(1)", ("authorization", f"Bearer {credential}")).status_code

        assert status(known) == 200
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(status, [f"{known}{number}" for number in range(200)]))
        assert answers.count(401) == 20
        assert answers.count(429) == 180
        assert [status(known), status(new), status(known)] == [200, 429, 200]
        for credential in (new, "wrong"):
            with socket(server.ws_url, init=False) as connection:
                connection.send({"type": "connection_init", "payload": {"token": credential}})
                assert connection.closed()[0] == 1013
        with socket(server.ws_url, init=False) as connection:
            connection.send({"type": "connection_init", "payload": {"token": known}})
            assert connection.receive() == {"type": "connection_ack"}
    looked_at = "".join(server.log).count("a token was refused")
    assert 20 <= looked_at < 40, "but for what came in the same moment, as many as may fail"


def test_keys_are_not_found_by_time(tmp_path: Path) -> None:
    """Whether a prefix is known does not show in how long a refusal takes, but for chance: the medians lie together."""
    with running_server(auth="required", database_url=f"sqlite:///{tmp_path / 'keys.db'}", **SMALL) as server:
        settings = {"SANDQL_DATABASE_URL": f"sqlite:///{tmp_path / 'keys.db'}", "SANDQL_STATE_DIR": str(tmp_path)}
        key = sandql_command("keys", "create", "ci", settings=settings).stdout.decode().strip()
        known = key[: -len("A" * 43)] + "A" * 43
        unknown = f"sandql_{'0' * 16}_{'A' * 43}"
        with httpx2.Client() as client:
            # What else the machine does may part them once, but not each time.
            assert any(_ratio_of_refusals(client, server.url, known, unknown) < 1.5 for _ in range(5))
        assert httpx2.get(f"{server.url}/graphql", params={"query": "{ __typename }"}, headers={"x-api-key": key}).status_code == 200


def _ratio_of_refusals(client: httpx2.Client, url: str, *credentials: str) -> float:
    times: dict[str, list[float]] = {credential: [] for credential in credentials}
    for number in range(400):
        credential = credentials[number % len(credentials)]
        begun = time.perf_counter()
        assert client.get(f"{url}/graphql", params={"query": "{ __typename }"}, headers={"x-api-key": credential}).status_code == 401
        times[credential].append(time.perf_counter() - begun)
    medians = sorted(median(taken) for taken in times.values())
    return medians[-1] / medians[0]


def test_no_credential_and_no_secret_is_in_the_log_or_in_the_state(server: Server) -> None:
    """After all of the above, with everything logged that there is to log."""
    mine = token(sub="planted")
    run(server, "print(1)", ("authorization", f"Bearer {mine}"))
    run(server, "print(1)", ("authorization", f"Bearer {mine[:-2]}xx"))
    run(server, "print(1)", ("x-api-key", f"sandql_{'1' * 16}_{'P' * 43}"))
    log = "".join(server.log)
    assert "a token was refused" in log
    for planted in (SECRET, mine, mine.split(".")[1], mine.rpartition(".")[2], "P" * 43):
        assert planted not in log


def test_a_crash_of_the_settings_shows_no_secret() -> None:
    short = "planted-but-short"
    with tempfile.TemporaryDirectory() as folder:
        done = sandql_command("serve", settings={"SANDQL_JWT_SECRET": short, "SANDQL_STATE_DIR": folder, "SANDQL_PORT": "0"})
        assert done.returncode == 2
        assert b"SANDQL_JWT_SECRET" in done.stderr
        assert short.encode() not in done.stderr + done.stdout
        config = Path(folder) / "sandql.toml"
        config.write_text(f'jwt_secret = ["{short}"]')
        done = sandql_command("serve", settings={"SANDQL_CONFIG": str(config)})
        assert (done.returncode, short.encode() in done.stderr) == (2, False)
