"""Requests without a valid credential, by their address: through the middleware itself, with somebody who says whom it looked at."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from sandql.access.access import Access
from sandql.access.address_limits import AddressLimits
from sandql.access.audit import Audit, open_audit
from sandql.core.errors import RateLimited, Unauthenticated
from sandql.core.settings import SettingsError, load_settings
from sandql.core.values import Caller
from sandql.server.authenticate import Authenticate, authenticate_socket
from sandql.server.client_address import address_of

_PROXIES = ("10.0.0.0/8", "2001:db8::/32")


def _scope(client: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"type": "http", "client": None if client is None else (client, 1), "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.1",), "192.0.2.1"),  # said by somebody who is no proxy of ours
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("203.0.113.9, 198.51.100.1",), "198.51.100.1"),  # the first was written by the client
        ("10.0.0.1", ("203.0.113.9", "198.51.100.1, 10.0.0.2"), "198.51.100.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("10.0.0.1", ("[2001:db9::1]:4711",), "2001:db9::1"),
        ("::ffff:10.0.0.1", ("2001:db9::1, 2001:db8::2",), "2001:db9::1"),
        ("10.0.0.1", (",".join(["10.0.0.2"] * 5000),), "10.0.0.2"),
        ("10.0.0.1", ("\xff\x00, ,",), "10.0.0.1"),
        (None, ("198.51.100.1",), None),
    ],
)
def test_a_proxy_is_believed_when_it_is_trusted(client: str | None, forwarded: tuple[str, ...], address: str | None) -> None:
    assert address_of(_scope(client, *forwarded), load_settings(trusted_proxies=_PROXIES)) == address
    assert address_of(_scope(client, *forwarded), load_settings()) == client


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(SettingsError, match="SANDQL_TRUSTED_PROXIES"):
        load_settings(trusted_proxies=("everyone",))


class _Doorkeeper:
    """Knows who alice and bob are when it looks at them, and says whom it looked at; alice it has seen before."""

    def __init__(self) -> None:
        self.looked: list[str | None] = []

    def knows(self, credential: str | None) -> bool:
        return credential == "alice"

    async def authenticate(self, credential: str | None, address: str | None) -> Caller:
        self.looked.append(credential)
        if credential not in ("alice", "bob"):
            raise Unauthenticated("no")
        return Caller(subject=credential, address=address)


class _Door:
    """`Authenticate`, with an application behind it that serves whoever comes through."""

    def __init__(self, audit: Audit | None = None) -> None:
        self.keeper = _Doorkeeper()
        sandboxes = SimpleNamespace(access=Access(audit=audit))
        self._state = {"sandboxes": sandboxes, "address_limits": AddressLimits("2/minute"), "authenticator": self.keeper}
        self._app = Authenticate(_serve, load_settings())

    async def ask(self, credential: str | None, client: str = "192.0.2.1", *forwarded: str) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[Any] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope = _scope(client, *forwarded) | {"method": "POST", "path": "/graphql", "state": dict(self._state)}
        if credential is not None:
            scope["headers"] = [*scope["headers"], (b"authorization", b"Bearer " + credential.encode())]
        await self._app(scope, _receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    async def statuses(self, *credentials: str | None, client: str = "192.0.2.1") -> list[int]:
        return [(await self.ask(credential, client))[0] for credential in credentials]

    async def socket(self, payload: dict[str, Any] | None = None, client: str = "192.0.2.1") -> None:
        scope = _scope(client) | {"type": "websocket", "state": {**self._state, "address": client}}
        await authenticate_socket(scope, payload)


async def _serve(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


async def _receive() -> Message:
    raise AssertionError("nothing is read")


async def test_too_many_failures_are_answered_with_429_and_nothing_more_is_looked_at() -> None:
    door = _Door()
    assert await door.statuses("mallory", "mallory") == [401, 401]
    status, headers, body = await door.ask("mallory")
    assert status == 429
    assert 0 < int(headers[b"retry-after"]) <= 60
    error = json.loads(body)["errors"][0]
    assert (error["extensions"]["code"], error["extensions"]["status"]) == ("RATE_LIMITED", 429)
    assert door.keeper.looked == ["mallory", "mallory"]
    assert await door.statuses("mallory", client="192.0.2.2") == [401]


async def test_who_is_known_is_served_whatever_its_address_does_and_who_is_new_waits() -> None:
    door = _Door()
    assert await door.statuses("mallory", "bob", "mallory") == [401, 200, 401], "who is valid counts nothing"
    assert await door.statuses("alice", "bob", "alice") == [200, 429, 200]
    assert await door.statuses("bob", client="192.0.2.2") == [200]
    assert door.keeper.looked == ["mallory", "bob", "mallory", "alice", "alice", "bob"]


async def test_what_is_missing_or_cannot_be_read_counts_as_well() -> None:
    assert await _Door().statuses(None, "two words " * 2000, None) == [401, 401, 429]


async def test_another_address_cannot_be_pretended() -> None:
    door = _Door()
    statuses = [(await door.ask("mallory", "192.0.2.1", f"198.51.100.{number}"))[0] for number in range(4)]
    assert statuses == [401, 401, 429, 429]


async def test_a_socket_without_a_credential_counts_together_with_requests() -> None:
    door = _Door()
    assert await door.statuses("mallory") == [401]
    with pytest.raises(Unauthenticated):
        await door.socket({"token": "mallory"})
    with pytest.raises(RateLimited):
        await door.socket({"token": "bob"})
    await door.socket({"token": "alice"})
    assert door.keeper.looked == ["mallory", "mallory", "alice"]


async def test_failures_are_in_the_audit_log_and_a_flood_of_them_is_not(tmp_path: Path) -> None:
    audit = open_audit(load_settings(state_dir=tmp_path))
    assert audit is not None
    door = _Door(audit)
    await door.statuses(*["mallory"] * 10)
    audit.close()
    lines = [json.loads(line) for file in (tmp_path / "audit").iterdir() for line in file.read_text().splitlines()]
    assert [(line["code"], line["address"]) for line in lines if line.get("code")] == [("UNAUTHENTICATED", "192.0.2.1")] * 2
    assert "mallory" not in str(lines)
