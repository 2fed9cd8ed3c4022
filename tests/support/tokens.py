"""Tokens as an issuer makes them, for a server that knows the secret."""

from __future__ import annotations

import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

SECRET = "a secret of the tests, which is long enough"


def token(subject: str, role: str = "developer", *, plan: str = "unlimited", valid_s: float = 3600, **claims: Any) -> str:
    """A signed token of that subject."""
    now = int(time.time())
    payload = {"sub": subject, "role": role, "plan": plan, "iat": now, "exp": now + valid_s, **claims}
    return jwt.encode({"alg": "HS256"}, payload, OctKey.import_key(SECRET))


def bearer(subject: str, role: str = "developer", **claims: Any) -> dict[str, str]:
    """The headers of a request of that subject."""
    return {"Authorization": f"Bearer {token(subject, role, **claims)}"}
