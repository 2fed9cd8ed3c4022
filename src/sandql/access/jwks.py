"""The keys that an issuer publishes, fetched and kept fresh."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final, cast
from urllib.parse import urlsplit

import httpx2

from sandql.access.jwt_keys import UnusableKeyError, VerificationKey, read_jwk_set
from sandql.core.log import get_logger
from sandql.core.settings import Settings, SettingsError

_log = get_logger(__name__)

MAX_BYTES: Final = 256 * 1024
_FETCH_S: Final = 5.0
_REASON_CHARS: Final = 200


class JwksKeys:
    """The keys at an address. They are fetched again now and then, and for a token that none has signed, but not more often than the settings allow.

    While the issuer cannot be reached, the last keys are used, for a bounded time.
    """

    def __init__(self, client: httpx2.AsyncClient, url: str, settings: Settings) -> None:
        self._client = client
        self._url = url
        self._settings = settings
        self._keys: Sequence[VerificationKey] = ()
        self._said: object = None
        self._fetched_at = 0.0
        self._tried_at = -settings.jwt_jwks_retry_s
        self._fetching = asyncio.Lock()
        self.generation = 0

    def candidates(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys that may have signed a token with this head."""
        return [key for key in self._keys if key.suits(algorithm, kid)]

    async def refresh(self) -> bool:
        """Fetch the keys again, unless that was tried a moment ago; whether somebody did."""
        is_going_on = self._fetching.locked()
        async with self._fetching:
            if is_going_on:
                return True  # another one did, meanwhile
            if time.monotonic() - self._tried_at < self._settings.jwt_jwks_retry_s:
                return False
            await self._fetch()
            return True

    async def keep_fresh(self) -> None:
        """Fetch the keys now and then, until cancelled."""
        while True:
            has_failed = self._fetched_at < self._tried_at
            wait_s = self._settings.jwt_jwks_retry_s if has_failed else self._settings.jwt_jwks_refresh_s
            await asyncio.sleep(min(wait_s, self._settings.jwt_jwks_refresh_s))
            async with self._fetching:
                await self._fetch()

    async def _fetch(self) -> None:
        self._tried_at = time.monotonic()
        try:
            async with asyncio.timeout(_FETCH_S):
                written = await self._download()
            if not isinstance(written, dict) or "keys" not in written:
                raise UnusableKeyError("it is not a JWK set")
            keys, refused = read_jwk_set(cast("dict[str, object]", written))
            if not keys:  # as an issuer that is not well may answer: whom it trusted a moment ago it has not meant to refuse
                raise UnusableKeyError("; ".join(refused)[:_REASON_CHARS] or "it has no key")
        except Exception as error:  # whatever an issuer says: they are fetched again, and trusted no longer than that
            self._failed(error)
            return
        self._fetched_at = time.monotonic()
        if written != self._said:
            self._said, self._keys = written, keys
            self.generation += 1
            _log.info("the keys of the issuer are new", keys=len(keys), unusable=len(refused))

    async def _download(self) -> object:
        async with self._client.stream("GET", self._url, headers={"accept": "application/json", "accept-encoding": "identity"}) as response:
            if response.status_code != 200:
                raise UnusableKeyError(f"it answered with status {response.status_code}")
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_BYTES:
                    raise UnusableKeyError(f"it has more than {MAX_BYTES} bytes")
        return json.loads(body)

    def _failed(self, error: Exception) -> None:
        is_stale = time.monotonic() - self._fetched_at > self._settings.jwt_jwks_stale_s
        if is_stale and self._keys:
            self._keys, self._said = (), None
            self.generation += 1
        _log.warning(
            "the keys of the issuer cannot be fetched; " + ("the last ones are used" if self._keys else "tokens are refused"),
            issuer=urlsplit(self._url).netloc,
            error=f"{type(error).__name__}: {error}",
        )


@asynccontextmanager
async def open_jwks(url: str, settings: Settings) -> AsyncGenerator[JwksKeys]:
    """The keys at an address, kept fresh until the context is left. It is no error when they cannot be had at first: tokens are refused then.

    Raises:
        SettingsError: the address is neither https nor of this machine.
    """
    check_url(url)
    # Redirects are not followed: keys come from where the operator said. Neither do proxies of the environment have a say for this machine.
    async with httpx2.AsyncClient(timeout=_FETCH_S, follow_redirects=False, trust_env=not is_loopback(url)) as client:
        keys = JwksKeys(client, url, settings)
        await keys.refresh()
        fresh = asyncio.create_task(keys.keep_fresh())
        try:
            yield keys
        finally:
            fresh.cancel()
            await asyncio.wait([fresh])


def check_url(url: str) -> None:
    """Refuse an address that anyone on the way could answer for. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and parts.username is None and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))
    except ValueError:
        is_good = False
    if not is_good:
        raise SettingsError("SANDQL_JWT_JWKS_URL: must be an https address without a user, or http on this machine")  # there may be a password in it


def is_loopback(url: str) -> bool:
    """Whether an address is of this machine."""
    name = urlsplit(url).hostname or ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
