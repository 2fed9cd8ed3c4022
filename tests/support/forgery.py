"""Tokens as an issuer makes them, and as an attacker would."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

SECRET = "correct-horse-battery-staple-0123456789"
EC = ECKey.generate_key("P-256")
OTHER_EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
ED = OKPKey.generate_key("Ed25519")
OCT = OctKey.import_key(SECRET)


def encoded(part: bytes | dict[str, Any]) -> str:
    """A part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a token that is valid for an hour; None leaves one out."""
    made = {"sub": "alice", "exp": time.time() + 3600} | changes
    return {name: value for name, value in made.items() if value is not None}


def signed(key: Key, algorithm: str, head: bytes | dict[str, Any], payload: bytes | dict[str, Any]) -> str:
    """A token with this head and payload, whatever they say, really signed."""
    text = f"{encoded(head)}.{encoded(payload)}"
    signer = JWSRegistry.algorithms["Ed25519" if algorithm == "EdDSA" else algorithm]
    return f"{text}.{encoded(signer.sign(text.encode(), key))}"


def token(key: Key = OCT, algorithm: str = "HS256", *, head: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token that is valid, but for the changes to its claims and head."""
    return signed(key, algorithm, {"alg": algorithm, "typ": "JWT"} | (head or {}), claims(**changes))


def bearer(subject: str, role: str = "developer", *, plan: str = "unlimited", **changes: Any) -> dict[str, str]:
    """The headers of a request of that subject."""
    return {"Authorization": f"Bearer {token(sub=subject, role=role, plan=plan, **changes)}"}
