"""The keys by which tokens are verified. What a key is used for follows from what it is, never from what a token says."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from sandql.core.settings import Settings, SettingsError

MIN_SECRET_BYTES: Final = 32
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # verifying costs more with each bit
MAX_KEYS: Final = 64
MAX_FILE_BYTES: Final = 256 * 1024

_HS256: Final = frozenset({"HS256"})
_RS256: Final = frozenset({"RS256"})
_ES256: Final = frozenset({"ES256"})
_EDDSA: Final = frozenset({"EdDSA", "Ed25519"})  # the older and the newer name of the same algorithm
_PARTS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}  # of a public key


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, its id where it has one, and the algorithms of the one family that it is for."""

    key: Key
    algorithms: frozenset[str]
    kid: str | None = None

    def suits(self, algorithm: str, kid: str | None) -> bool:
        """Whether a token with this head may have been signed by it."""
        return algorithm in self.algorithms and (kid is None or self.kid is None or kid == self.kid)


class KeySource(Protocol):
    """Where the keys are. `generation` changes whenever they do."""

    generation: int

    def candidates(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys that may have signed a token with this head."""
        ...

    async def refresh(self) -> bool:
        """Look for newer keys, where that is possible and allowed now; whether it was done."""
        ...


class FixedKeys:
    """Keys that stay as they are."""

    generation = 0

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._keys = keys

    def candidates(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys that may have signed a token with this head."""
        return [key for key in self._keys if key.suits(algorithm, kid)]

    async def refresh(self) -> bool:
        """There are none."""
        return False


class UnusableKeyError(ValueError):
    """A key that cannot verify tokens; the message says why, and shows nothing of it."""


def read_jwk(jwk: Mapping[str, Any]) -> VerificationKey:
    """A public key as RFC 7517 writes it. Raises UnusableKeyError."""
    kind, kid = jwk.get("kty"), jwk.get("kid")
    parts = _PARTS.get(kind) if isinstance(kind, str) else None
    if parts is None:
        raise UnusableKeyError("kty must be RSA, EC or OKP")
    if kid is not None and not isinstance(kid, str):
        raise UnusableKeyError("kid must be a string")
    if "d" in jwk:
        raise UnusableKeyError("it is a private key; the server needs the public one only")
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or (operations is not None and operations != ["verify"]):
        raise UnusableKeyError("it is not for verifying signatures")
    public = {"kty": kind} | {name: jwk.get(name) for name in parts}
    try:
        loaded = _imported({"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}[cast(str, kind)], public)
    except Exception:  # whatever the library makes of what stands there
        raise UnusableKeyError(f"it is not a valid {kind} key") from None
    found = _classified(loaded, kid)
    if (named := jwk.get("alg")) is not None and not (isinstance(named, str) and named in found.algorithms):
        raise UnusableKeyError(f"alg must be one of {', '.join(sorted(found.algorithms))}, or left out")
    return found


def _imported(kind: type[RSAKey] | type[ECKey] | type[OKPKey], public: bytes | dict[str, Any]) -> Key:
    with warnings.catch_warnings():  # that an RSA key is short is refused below, in words of the house
        warnings.simplefilter("ignore")
        return kind.import_key(public)


def _classified(key: Key, kid: str | None) -> VerificationKey:
    match key:
        case RSAKey():
            bits = key.public_key.key_size
            if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
                raise UnusableKeyError(f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, it has {bits}")
            return VerificationKey(key, _RS256, kid)
        case ECKey() if key.curve_name == "P-256":
            return VerificationKey(key, _ES256, kid)
        case OKPKey() if key.curve_name == "Ed25519":
            return VerificationKey(key, _EDDSA, kid)
        case _:
            raise UnusableKeyError("its curve must be P-256 or Ed25519")


def _read_pem(text: bytes) -> VerificationKey:
    if b"PRIVATE KEY" in text:
        raise UnusableKeyError("it is a private key; the server needs the public one only")
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key = _imported(kind, text)
        except Exception:  # the library has several for a key of another kind
            continue
        return _classified(key, None)
    raise UnusableKeyError("it holds no RSA, P-256 or Ed25519 public key")


def read_jwk_set(written: object) -> tuple[list[VerificationKey], list[str]]:
    """The usable keys of a JWK or JWK set, and why the others are not. Raises UnusableKeyError: it is neither."""
    if not isinstance(written, dict):
        raise UnusableKeyError("it must be a JSON object")
    fields = cast("dict[str, Any]", written)
    listed = fields.get("keys") if "keys" in fields else [fields]
    if not isinstance(listed, list):
        raise UnusableKeyError("keys must be a list")
    items = cast("list[object]", listed)
    if len(items) > MAX_KEYS:
        raise UnusableKeyError(f"at most {MAX_KEYS} keys, it has {len(items)}")
    keys: list[VerificationKey] = []
    refused: list[str] = []
    for number, item in enumerate(items, 1):
        try:
            if not isinstance(item, dict):
                raise UnusableKeyError("it is no object")
            keys.append(read_jwk(cast("dict[str, Any]", item)))
        except UnusableKeyError as error:
            refused.append(f"key {number}: {error}")
    return keys, refused


def read_key_file(path: Path) -> list[VerificationKey]:
    """The keys of a PEM, JWK or JWK set file, each of which must be usable. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise UnusableKeyError(f"at most {MAX_FILE_BYTES} bytes")
        if text.lstrip().startswith(b"-----BEGIN"):
            return [_read_pem(text)]
        keys, refused = read_jwk_set(json.loads(text))
        if refused or not keys:
            raise UnusableKeyError("; ".join(refused) or "it has no key")
        return keys
    except OSError as error:
        raise SettingsError(f"SANDQL_JWT_KEY_FILE: {str(path)!r} cannot be read: {error.strerror}") from None
    except UnusableKeyError as error:
        raise SettingsError(f"SANDQL_JWT_KEY_FILE: {str(path)!r} cannot be used: {error}") from None
    except (ValueError, RecursionError):
        raise SettingsError(f"SANDQL_JWT_KEY_FILE: {str(path)!r} is neither a PEM, which begins with -----BEGIN, nor JSON") from None


def fixed_keys(settings: Settings) -> FixedKeys:
    """The keys of the file, or the secret, that the settings name. Raises SettingsError."""
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value().encode()
        if len(secret) < MIN_SECRET_BYTES:
            raise SettingsError(f"SANDQL_JWT_SECRET: at least {MIN_SECRET_BYTES} bytes, it has {len(secret)}; make one with `openssl rand -hex 32`")
        if secret.lstrip().startswith((b"-----BEGIN", b"ssh-", b"{")):
            raise SettingsError("SANDQL_JWT_SECRET: it is a key of another kind, which others may know; use SANDQL_JWT_KEY_FILE")
        return FixedKeys([VerificationKey(OctKey.import_key(secret), _HS256)])
    return FixedKeys([] if settings.jwt_key_file is None else read_key_file(settings.jwt_key_file))
