"""Tokens: which are taken, as whom, and which prove nothing."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from sandql.access import jwt as jwt_module
from sandql.access.identity import Identity, InvalidTokenError, owner_of
from sandql.access.jwt import JwtVerifier
from sandql.access.jwt_keys import fixed_keys
from sandql.core.settings import Settings, SettingsError, load_settings
from tests.support.forgery import EC, ED, OCT, OTHER_EC, RSA, SECRET, claims, encoded, signed, token

pytestmark = pytest.mark.unit


def verifier(tmp_path: Path, key: Key | None = None, **settings: object) -> JwtVerifier:
    """One that knows the secret, or the public half of a key."""
    if key is None:
        chosen = load_settings(jwt_secret=SECRET, **settings)
    else:
        file = tmp_path / "key.pem"
        file.write_bytes(key.as_pem(private=False))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
        chosen = load_settings(jwt_key_file=file, **settings)
    return JwtVerifier(fixed_keys(chosen), chosen)


async def refused(made: JwtVerifier, text: str) -> str:
    with pytest.raises(InvalidTokenError) as told:
        await made.verify(text)
    return str(told.value)


@pytest.mark.parametrize(("key", "algorithm"), [(OCT, "HS256"), (RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")])
async def test_each_kind_of_key_verifies_its_own_algorithm_and_no_other(tmp_path: Path, key: Key, algorithm: str) -> None:
    made = verifier(tmp_path, None if key is OCT else key)
    assert (await made.verify(token(key, algorithm))).subject == "jwt:/alice"
    for other, name in ((OCT, "HS256"), (RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")):
        if other is not key:
            await refused(made, token(other, name))


async def test_claims_become_who_is_calling(tmp_path: Path) -> None:
    end = int(time.time()) + 60
    found = await verifier(tmp_path).verify(token(exp=end, role="viewer", plan="pro", tenant="acme"))
    assert (found.subject, found.role, found.plan, found.tenant) == ("jwt:acme/alice", "viewer", "pro", "acme")
    assert found.expires_at == end + 5
    assert found.credential.startswith("jwt:")
    assert (await verifier(tmp_path).verify(token())).role == "developer"


async def test_claims_are_where_the_settings_say(tmp_path: Path) -> None:
    made = verifier(tmp_path, jwt_subject_claim="uid", jwt_role_claim="https://example.com/role", jwt_default_plan="pro")
    named: dict[str, Any] = {"https://example.com/role": "viewer"}
    found = await made.verify(token(uid="bob", role="admin", **named))
    assert (found.subject, found.role, found.plan) == ("jwt:/bob", "viewer", "pro")


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": time.time() - 6},
    "no exp": {"exp": None},
    "exp as text": {"exp": "9999999999"},
    "exp as true": {"exp": True},
    "exp negative": {"exp": -1},
    "exp beyond all": {"exp": 10**400},
    "not yet": {"nbf": time.time() + 86_400},  # the tests may run long after they were collected
    "nbf as text": {"nbf": "0"},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "subject as number": {"sub": 7},
    "subject with a NUL": {"sub": "alice\0"},
    "subject with half a character": {"sub": "\ud800"},
    "subject with a new line": {"sub": "alice\nadmin"},
    "long subject": {"sub": "a" * 256},
    "empty tenant": {"tenant": ""},
    "tenant as list": {"tenant": ["acme"]},
    "roles as list": {"role": ["admin"]},
    "empty role": {"role": ""},
    "plan as object": {"plan": {}},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "other"},
    "no audience": {"aud": None},
    "other audiences": {"aud": ["other", "sandql2"]},
    "audience as object": {"aud": {"sandql": 1}},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
async def test_claims_that_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    made = verifier(tmp_path, jwt_issuer="https://issuer.example", jwt_audience="sandql")
    good: dict[str, Any] = {"iss": "https://issuer.example", "aud": ["other", "sandql"]}
    assert (await made.verify(token(**good))).subject == "jwt:/alice"
    alone: dict[str, Any] = good | {"aud": "sandql"}
    assert (await made.verify(token(**alone))).subject == "jwt:/alice"
    await refused(made, token(**good | changes))


HEADS: dict[str, dict[str, Any]] = {
    "none": {"alg": "none"},
    "None": {"alg": "None"},
    "nOnE": {"alg": "nOnE"},
    "no alg": {"alg": None},
    "alg as list": {"alg": ["HS256"]},
    "alg empty": {"alg": ""},
    "HS512": {"alg": "HS512"},
    "crit": {"crit": ["exp"]},
    "crit empty": {"crit": []},
    "b64": {"b64": False},
    "kid as object": {"kid": {"a": 1}},
    "a logout token": {"typ": "logout+jwt"},
    "typ as number": {"typ": 1},
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
async def test_heads_that_are_refused_even_when_signed(tmp_path: Path, head: dict[str, Any]) -> None:
    await refused(verifier(tmp_path), signed(OCT, "HS256", {"alg": "HS256"} | head, claims()))


async def test_a_token_without_a_signature_is_refused(tmp_path: Path) -> None:
    head, payload = encoded({"alg": "none"}), encoded(claims())
    for text in (f"{head}.{payload}.", f"{head}.{payload}", f"{head}.{payload}.AA", f"{encoded({'alg': 'HS256'})}.{payload}."):
        await refused(verifier(tmp_path), text)


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["RSA", "EC", "Ed25519"])
async def test_a_public_key_is_never_a_secret(tmp_path: Path, key: Any) -> None:
    """Who knows the public key, and everybody does, signs with it as if it were a secret."""
    made = verifier(tmp_path, key)
    pem: bytes = key.as_pem(private=False)
    for secret in (pem, pem.strip(), key.as_der(private=False), json.dumps(key.as_dict(private=False)).encode()):
        for algorithm in ("HS256", "HS384", "HS512"):
            forged = signed(OctKey(secret, secret), algorithm, {"alg": algorithm, "typ": "JWT"}, claims(role="admin"))
            await refused(made, forged)


async def test_keys_that_a_token_brings_along_are_not_looked_at(tmp_path: Path) -> None:
    made = verifier(tmp_path, EC)
    own = {"jwk": OTHER_EC.as_dict(private=False), "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/x", "x5c": ["AAAA"], "kid": "../../x"}
    await refused(made, token(OTHER_EC, "ES256", head=own))
    assert (await made.verify(token(EC, "ES256", head=own))).subject == "jwt:/alice"


SHAPES: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "dots": lambda: "..",
    "four parts": lambda: token() + ".AA",
    "five parts, encrypted": lambda: token() + ".AA.AA",
    "not ASCII": lambda: token() + "é",
    "new line": lambda: token() + "\n",
    "huge": lambda: token(pad="x" * 9000),
    "head not JSON": lambda: signed(OCT, "HS256", b"alg", claims()),
    "head not an object": lambda: signed(OCT, "HS256", b'["HS256"]', claims()),
    "alg twice": lambda: signed(OCT, "HS256", b'{"alg":"none","alg":"HS256"}', claims()),
    "payload not JSON": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b"{"),
    "payload not an object": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b'"alice"'),
    "payload not UTF-8": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b'{"sub":"\xff","exp":9999999999}'),
    "a claim twice": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b'{"sub":"alice","exp":9999999999,"sub":"root"}'),
    "a claim twice, deeper": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b'{"sub":"alice","exp":9999999999,"x":{"a":1,"a":2}}'),
    "NaN": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b'{"sub":"alice","exp":NaN}'),
    "infinite": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b'{"sub":"alice","exp":1e999}'),
    "deep": lambda: signed(OCT, "HS256", {"alg": "HS256"}, b"[" * 5000),
    "cut": lambda: token()[:-1],
    "changed": lambda: token(role="viewer").replace(".", ".A", 1),
}


@pytest.mark.parametrize("made", SHAPES.values(), ids=SHAPES.keys())
async def test_what_has_not_the_form_of_a_token_is_refused(tmp_path: Path, made: Callable[[], str]) -> None:
    await refused(verifier(tmp_path), made())


async def test_a_signature_in_another_form_is_refused(tmp_path: Path) -> None:
    text, _, _ = token(EC, "ES256").rpartition(".")
    for signature in (b"\0" * 64, b"\xff" * 64, b"", b"\x30\x06\x02\x01\x01\x02\x01\x01"):
        await refused(verifier(tmp_path, EC), f"{text}.{encoded(signature)}")


async def test_a_token_that_is_remembered_still_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = verifier(tmp_path, jwt_leeway_s=0)
    text = token()
    assert await made.verify(text) is await made.verify(text)
    later = time.time() + 3601
    monkeypatch.setattr(jwt_module.time, "time", lambda: later)
    assert "exp" in await refused(made, text)


async def test_a_token_is_known_once_it_was_verified_and_while_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = verifier(tmp_path)
    text = token()
    assert not made.knows(text)
    await made.verify(text)
    assert made.knows(text)
    assert not any(made.knows(other) for other in (text[:-2] + "xx", text + " ", "", "x" * 9000, "\ud800"))
    later = time.time() + 3 * 3600
    monkeypatch.setattr(jwt_module.time, "time", lambda: later)
    assert not made.knows(text)


async def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    made = verifier(tmp_path)
    for number in range(jwt_module._CACHED + 10):  # pyright: ignore[reportPrivateUsage]
        await made.verify(token(jti=number))
    assert len(made._verified) == jwt_module._CACHED  # pyright: ignore[reportPrivateUsage]


def test_owners_of_different_kinds_tenants_and_names_never_meet() -> None:
    parts = ["a", "a/b", "/", "a%2Fb", "%", "%2F", "b", ":", "key:", "jwt:/a", "local"]
    owners = [owner_of(kind, tenant, name) for kind in ("jwt", "key") for tenant in (None, *parts) for name in parts]
    assert None not in owners
    assert len(set(owners)) == len(owners)
    assert "local" not in owners


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("jwt_secret", "short", "at least 32 bytes"),
        ("jwt_secret", RSA.as_pem(private=False).decode(), "another kind"),
        ("jwt_secret", json.dumps(EC.as_dict(private=False)), "another kind"),
    ],
)
def test_secrets_that_are_none_are_refused_and_not_shown(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as told:
        fixed_keys(load_settings(**{name: value}))
    assert value not in str(told.value)


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a private PEM": (lambda: EC.as_pem(private=True), "private"),
    "a private JWK": (lambda: json.dumps(EC.as_dict(private=True)).encode(), "private"),
    "a secret": (lambda: json.dumps(OCT.as_dict(private=True)).encode(), "kty"),
    "one secret among others": (lambda: json.dumps({"keys": [EC.as_dict(private=False), OCT.as_dict(private=True)]}).encode(), "key 2: kty"),
    "another curve": (lambda: ECKey.generate_key("P-384").as_pem(private=False), "P-256"),
    "a short RSA key": (lambda: RSAKey.generate_key(1024).as_pem(private=False), "2048"),
    "for another algorithm": (lambda: json.dumps(RSA.as_dict(private=False) | {"alg": "HS256"}).encode(), "alg must be"),
    "for encryption": (lambda: json.dumps(RSA.as_dict(private=False) | {"use": "enc"}).encode(), "signatures"),
    "no keys": (lambda: b'{"keys": []}', "no key"),
    "rubbish": (lambda: b"hello", "neither"),
}


@pytest.mark.parametrize(("content", "reason"), FILES.values(), ids=FILES.keys())
def test_key_files_that_are_refused(tmp_path: Path, content: Callable[[], bytes], reason: str) -> None:
    file = tmp_path / "key"
    with warnings.catch_warnings(action="ignore"):  # of the library, at making a key that is too short
        file.write_bytes(content())
    with pytest.raises(SettingsError, match=reason):
        fixed_keys(load_settings(jwt_key_file=file))


async def test_a_set_of_keys_is_chosen_from_by_kid(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = [EC.as_dict(private=False) | {"kid": "old"}, OTHER_EC.as_dict(private=False) | {"kid": "new"}, ED.as_dict(private=False) | {"kid": "ed"}]
    file.write_text(json.dumps({"keys": keys}))
    settings: Settings = load_settings(jwt_key_file=file)
    made = JwtVerifier(fixed_keys(settings), settings)
    found: Identity = await made.verify(token(EC, "ES256", head={"kid": "old"}))
    assert found.subject == "jwt:/alice"
    await made.verify(token(OTHER_EC, "ES256", head={"kid": "new"}))
    await made.verify(token(OTHER_EC, "ES256"))
    for head in ({"kid": "new"}, {"kid": "none"}, {"kid": ""}, {"kid": "ed"}):
        await refused(made, token(EC, "ES256", head=head))


def test_a_secret_is_shown_nowhere() -> None:
    assert SECRET not in repr(load_settings(jwt_secret=SECRET))
