"""Keys of an issuer: fetched, rotated, kept through an outage, and never fetched as often as a stranger would like."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable

import pytest
from joserfc.jwk import Key

from sandql.access.identity import InvalidTokenError
from sandql.access.jwks import MAX_BYTES, JwksKeys, open_jwks
from sandql.access.jwt import JwtVerifier
from sandql.core.settings import SettingsError, load_settings
from tests.support.forgery import EC, ED, OCT, OTHER_EC, RSA, token
from tests.support.issuer import Issuer, running_issuer

pytestmark = pytest.mark.unit

OLD = token(EC, "ES256", head={"kid": "old"})
NEW = token(OTHER_EC, "ES256", head={"kid": "new"})


async def is_taken(made: JwtVerifier, text: str) -> bool:
    try:
        await made.verify(text)
    except InvalidTokenError:
        return False
    return True


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


async def with_keys(issuer: Issuer, test: Callable[[JwtVerifier, JwksKeys], Awaitable[None]], **settings: object) -> None:
    chosen = load_settings(jwt_jwks_url=issuer.url, **settings)
    async with open_jwks(issuer.url, chosen) as keys:
        await test(JwtVerifier(keys, chosen), keys)


async def test_keys_are_fetched_once_and_used() -> None:
    async def test(made: JwtVerifier, _keys: JwksKeys) -> None:
        for _ in range(20):
            assert await is_taken(made, OLD)
        for key, algorithm, kid in ((RSA, "RS256", "rsa"), (ED, "EdDSA", "ed")):
            assert await is_taken(made, token(key, algorithm, head={"kid": kid}))
            assert not await is_taken(made, token(key, algorithm, head={"kid": "old"}))
        assert await is_taken(made, token(EC, "ES256"))
        assert issuer.asked == 1

    with running_issuer() as issuer:
        issuer.publish(old=EC, rsa=RSA, ed=ED)
        await with_keys(issuer, test)


async def test_a_new_key_is_found_by_the_first_token_that_it_signed() -> None:
    async def test(made: JwtVerifier, _keys: JwksKeys) -> None:
        assert await is_taken(made, OLD)
        issuer.publish(old=EC, new=OTHER_EC)
        assert all(await asyncio.gather(*(is_taken(made, NEW) for _ in range(20))))
        assert issuer.asked == 2
        assert await is_taken(made, OLD)

    with running_issuer() as issuer:
        issuer.publish(old=EC)
        await with_keys(issuer, test, jwt_jwks_retry_s=0.001)


@pytest.mark.parametrize("head", [{}, {"kid": "same"}], ids=["no id", "the same id"])
async def test_a_new_key_is_found_where_its_id_does_not_tell_it_from_the_old_one(head: dict[str, str]) -> None:
    def publish(*keys: Key) -> None:
        public = [{name: part for name, part in key.as_dict(private=False).items() if name != "kid"} for key in keys]
        issuer.body = json.dumps({"keys": [key | head for key in public]}).encode()

    async def test(made: JwtVerifier, _keys: JwksKeys) -> None:
        assert await is_taken(made, token(EC, "ES256", head=head))
        publish(OTHER_EC)
        new = token(OTHER_EC, "ES256", head=head)
        assert all(await asyncio.gather(*(is_taken(made, new) for _ in range(20))))
        assert issuer.asked == 2
        assert not await is_taken(made, token(EC, "ES256", head=head))

    with running_issuer() as issuer:
        publish(EC)
        await with_keys(issuer, test, jwt_jwks_retry_s=0.001)


async def test_a_key_that_was_removed_signs_nothing_any_more_not_even_what_is_remembered() -> None:
    async def test(made: JwtVerifier, keys: JwksKeys) -> None:
        assert await is_taken(made, OLD)
        issuer.publish(new=OTHER_EC)
        await until(lambda: _not(is_taken(made, OLD)))
        assert keys.candidates("ES256", "old") == []
        assert await is_taken(made, NEW)
        issuer.publish(other=ED)
        await until(lambda: _not(is_taken(made, NEW)))

    with running_issuer() as issuer:
        issuer.publish(old=EC)
        await with_keys(issuer, test, jwt_jwks_refresh_s=0.05, jwt_jwks_retry_s=0.01)


async def _not(answer: Awaitable[bool]) -> bool:
    return not await answer


async def test_made_up_kids_and_signatures_do_not_make_the_server_ask_the_issuer_again_and_again() -> None:
    async def test(made: JwtVerifier, _keys: JwksKeys) -> None:
        for number in range(200):
            assert not await is_taken(made, token(OTHER_EC, "ES256", head={"kid": f"made up {number}"}))
            assert not await is_taken(made, token(OTHER_EC, "ES256", head={"kid": "old"}))
        assert issuer.asked == 1

    with running_issuer() as issuer:
        issuer.publish(old=EC)
        await with_keys(issuer, test)


async def test_an_outage_is_survived_for_a_bounded_time() -> None:
    chosen = load_settings(jwt_jwks_refresh_s=0.05, jwt_jwks_retry_s=0.01, jwt_jwks_stale_s=3)
    with running_issuer() as issuer:
        issuer.publish(old=EC)
        port = issuer.port
        context = open_jwks(issuer.url, chosen)
        keys = await context.__aenter__()
    try:
        made = JwtVerifier(keys, chosen)
        stopped = time.monotonic()
        while time.monotonic() - stopped < 1.0:
            assert await is_taken(made, OLD)
            await asyncio.sleep(0.05)
        await until(lambda: _not(is_taken(made, OLD)))
        with running_issuer(port) as issuer:
            issuer.publish(old=EC)
            await until(lambda: is_taken(made, OLD))
    finally:
        await context.__aexit__(None, None, None)


BROKEN: dict[str, Callable[[Issuer], object]] = {
    "an error": lambda issuer: setattr(issuer, "status", 503),
    "a redirect": lambda issuer: (setattr(issuer, "status", 302), issuer.headers.update(location="http://127.0.0.1:1/")),
    "not JSON": lambda issuer: setattr(issuer, "body", b"<html>"),
    "no set": lambda issuer: setattr(issuer, "body", b'{"error": "busy"}'),
    "a list": lambda issuer: setattr(issuer, "body", b"[]"),
    "keys no list": lambda issuer: setattr(issuer, "body", b'{"keys": {}}'),
    "no key": lambda issuer: setattr(issuer, "body", b'{"keys": []}'),
    "no key that can be used": lambda issuer: setattr(issuer, "body", b'{"keys": [{"kty": "RSA"}]}'),
    "deep": lambda issuer: setattr(issuer, "body", b"[" * 100_000),
    "huge": lambda issuer: setattr(issuer, "body", b'{"keys": []}' + b" " * MAX_BYTES),
    "packed": lambda issuer: (setattr(issuer, "body", gzip.compress(b" " * 10_000_000)), issuer.headers.update({"content-encoding": "gzip"})),
    "many keys": lambda issuer: setattr(issuer, "body", json.dumps({"keys": [EC.as_dict(private=False)] * 100}).encode()),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_an_answer_that_is_no_set_of_keys_changes_nothing(broken: Callable[[Issuer], object]) -> None:
    async def test(made: JwtVerifier, keys: JwksKeys) -> None:
        assert await is_taken(made, OLD)
        broken(issuer)
        await until(keys.refresh)
        assert issuer.asked == 2
        assert await is_taken(made, OLD)

    with running_issuer() as issuer:
        issuer.publish(old=EC)
        await with_keys(issuer, test, jwt_jwks_retry_s=0.001)


async def test_what_is_no_public_key_is_passed_over() -> None:
    """A secret that an issuer publishes is none, and what is signed with it proves nothing."""

    async def test(made: JwtVerifier, _keys: JwksKeys) -> None:
        assert not await is_taken(made, token(OCT, "HS256", head={"kid": "secret"}))
        assert await is_taken(made, OLD)

    with running_issuer() as issuer:
        bad = [OCT.as_dict(private=True) | {"kid": "secret"}, OTHER_EC.as_dict(private=True), {"kty": "RSA"}, {"kty": ["EC"]}, 7, None, {}]
        bad += [OTHER_EC.as_dict(private=False) | {"alg": ["ES256"]}]
        issuer.body = json.dumps({"keys": [*bad, EC.as_dict(private=False) | {"kid": "old"}]}).encode()
        await with_keys(issuer, test)


async def test_a_server_starts_while_the_issuer_is_away_and_refuses_tokens_until_then() -> None:
    with running_issuer() as issuer:
        port, url = issuer.port, issuer.url
    chosen = load_settings(jwt_jwks_retry_s=0.01)
    async with open_jwks(url, chosen) as keys:
        made = JwtVerifier(keys, chosen)
        assert not await is_taken(made, OLD)
        with running_issuer(port) as issuer:
            issuer.publish(old=EC)
            await until(lambda: is_taken(made, OLD))


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks",
        "http://127.0.0.1.example/jwks",
        "http://127.0.0.1@issuer.example/",
        "ftp://127.0.0.1/",
        "https://",
        "//x",
        "",
        "http://[::1",
    ],
)
async def test_keys_come_by_https_or_from_this_machine(url: str) -> None:
    with pytest.raises(SettingsError, match="SANDQL_JWT_JWKS_URL"):
        async with open_jwks(url, load_settings()):
            pass
