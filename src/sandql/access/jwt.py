"""Bearer tokens: signed JSON Web Tokens of an issuer that the operator trusts (RFC 7519, with the advice of RFC 8725)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from joserfc.jws import JWSRegistry

from sandql.access.identity import JWT, Identity, InvalidTokenError, is_name, owner_of
from sandql.access.jwt_keys import KeySource, VerificationKey
from sandql.core.settings import Settings

MAX_TOKEN_CHARS: Final = 8192
_CACHED: Final = 4096
_LATEST: Final = 1 << 40  # no time of a token is later: sums with it are exact
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_ALGORITHMS: Final = {  # what a token may say, and who verifies it
    name: JWSRegistry.algorithms[verifier]
    for name, verifier in {"HS256": "HS256", "RS256": "RS256", "ES256": "ES256", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}.items()
}


@dataclass(frozen=True, slots=True)
class _Token:
    """A token in its parts; nothing of it is proved."""

    algorithm: str
    kid: str | None
    signed: bytes
    signature: bytes
    payload: bytes


class JwtVerifier:
    """Verifies tokens by the keys of `keys`. Those that are valid are remembered: verifying a signature costs more than the rest of a request."""

    def __init__(self, keys: KeySource, settings: Settings) -> None:
        self._keys = keys
        self._settings = settings
        self._verified: OrderedDict[bytes, tuple[Identity, int]] = OrderedDict()

    def knows(self, token: str) -> bool:
        """Whether the token was verified before, and holds."""
        return len(token) <= MAX_TOKEN_CHARS and self._remembered(_digest(token)) is not None

    async def verify(self, token: str) -> Identity:
        """Who the token says that its holder is. Raises InvalidTokenError."""
        if len(token) > MAX_TOKEN_CHARS:
            raise InvalidTokenError(f"at most {MAX_TOKEN_CHARS} characters")
        digest = _digest(token)
        if (known := self._remembered(digest)) is not None:
            return known
        parsed = _parse(token)
        generation = self._keys.generation
        if not self._is_signed(parsed):
            # An issuer may give a new key the old one's id, or none. Keys that are the same as before verify no more than before.
            if not await self._keys.refresh() or generation == self._keys.generation or not self._is_signed(parsed):
                raise InvalidTokenError("no key has signed it")
            generation = self._keys.generation
        identity = self._identity(_object(parsed.payload), digest)
        self._verified[digest] = (identity, generation)
        if len(self._verified) > _CACHED:
            self._verified.popitem(last=False)
        return identity

    def _is_signed(self, token: _Token) -> bool:
        return any(_is_signed_by(token, key) for key in self._keys.candidates(token.algorithm, token.kid))

    def _remembered(self, digest: bytes) -> Identity | None:
        known = self._verified.get(digest)
        if known is None:
            return None
        identity, generation = known
        if generation == self._keys.generation and identity.expires_at is not None and time.time() < identity.expires_at:
            self._verified.move_to_end(digest)
            return identity
        del self._verified[digest]
        return None

    def _identity(self, claims: dict[str, Any], digest: bytes) -> Identity:
        settings, now = self._settings, time.time()
        expires_at = _moment(claims, "exp") + settings.jwt_leeway_s
        if now >= expires_at:
            raise InvalidTokenError("exp is over")
        if "nbf" in claims and now < _moment(claims, "nbf") - settings.jwt_leeway_s:
            raise InvalidTokenError("nbf is to come")
        if settings.jwt_issuer is not None and claims.get("iss") != settings.jwt_issuer:
            raise InvalidTokenError("iss is another")
        if settings.jwt_audience is not None:
            given = claims.get("aud")
            if settings.jwt_audience not in (cast("list[object]", given) if isinstance(given, list) else [given]):
                raise InvalidTokenError("aud is another")
        tenant = claims.get(settings.jwt_tenant_claim)
        subject = owner_of(JWT, tenant, cast(str, claims.get(settings.jwt_subject_claim)))
        if subject is None:
            raise InvalidTokenError("the subject or the tenant is missing, too long, or not a text that can be printed")
        role = claims.get(settings.jwt_role_claim)
        plan = claims.get(settings.jwt_plan_claim)
        role = settings.jwt_default_role if role is None else role
        plan = settings.jwt_default_plan if plan is None else plan
        if not is_name(role) or not is_name(plan):
            raise InvalidTokenError("the role or the plan is not a name")
        return Identity(subject, role, plan, tenant, f"{JWT}:{digest.hex()[:16]}", expires_at)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _parse(token: str) -> _Token:
    """A token in its parts. What its head says of keys (jku, jwk, x5u, x5c) is nobody's concern. Raises InvalidTokenError."""
    form = _TOKEN.fullmatch(token)
    if form is None:
        raise InvalidTokenError("it has not the form of a token")
    head = _object(_decoded(form[1]))
    algorithm, kid, kind = head.get("alg"), head.get("kid"), head.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise InvalidTokenError("alg is not taken")
    if kid is not None and not isinstance(kid, str):
        raise InvalidTokenError("kid is no string")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidTokenError("typ is of another use")
    if "crit" in head or "b64" in head:
        raise InvalidTokenError("it asks for an extension")
    return _Token(algorithm, kid, token[: form.end(2)].encode(), _decoded(form[3]), _decoded(form[2]))


def _is_signed_by(token: _Token, key: VerificationKey) -> bool:
    try:
        return _ALGORITHMS[token.algorithm].verify(token.signed, token.signature, key.key) is True
    except Exception:  # a signature that the library cannot read is not one
        return False


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise InvalidTokenError("a part is not BASE64") from None


def _object(text: bytes) -> dict[str, Any]:
    """A JSON object in which each name stands once: readers differ on which of two they take. Raises InvalidTokenError."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise InvalidTokenError("a part is not JSON, or a name stands in it twice") from None
    if not isinstance(value, dict):
        raise InvalidTokenError("a part is no JSON object")
    return cast("dict[str, Any]", value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _refused(_name: str) -> NoReturn:
    raise ValueError


def _moment(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise InvalidTokenError(f"{name} is not a time")
    return float(value)
