"""API keys: made, found by their prefix, compared in constant time, revoked.

A key is `sandql_<prefix>_<secret>`. The prefix is its id; the secret has 256 random bits, of which only the SHA-256 is kept: nobody
guesses them, so a slow hash would protect nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Final

from sandql.access.grants import beyond
from sandql.access.identity import API_KEY, MAX_NAME_CHARS, Identity, is_name, owner_of
from sandql.access.roles import Roles
from sandql.core.api_keys import ApiKey, IssuedApiKey, NewApiKey
from sandql.core.errors import BadRequest, Forbidden, NotFound, ResourceError
from sandql.core.log import get_logger
from sandql.core.permissions import Permission, Permissions
from sandql.core.tasks import pass_over_error
from sandql.store import api_key_rows
from sandql.store.paging import Page
from sandql.store.store import Store

_log = get_logger(__name__)

PREFIX: Final = "sandql_"
MAX_LIFETIME_S: Final = 10 * 366 * 86_400
_FORM: Final = re.compile(r"sandql_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES: Final = 32
_NOBODY: Final = hashlib.sha256(secrets.token_bytes(_SECRET_BYTES)).hexdigest()  # what a secret is compared with where there is no key
_KNOWN_S: Final = 1.0  # what another server revoked is valid here for so long
_CACHED: Final = 4096  # keys, and as many ids that are no key's: apart, so that who tries ids pushes out none of the keys
_NOTE_S: Final = 60.0


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _issue(asked: NewApiKey) -> IssuedApiKey:
    """Make a key; it is kept nowhere yet. Raises BadRequest."""
    for name, value in (("name", asked.name), ("role", asked.role), ("plan", asked.plan)):
        if not is_name(value):
            raise BadRequest(f"{name}: must have 1 to {MAX_NAME_CHARS} characters that can be printed, got {value[:100]!r}")
    if owner_of(API_KEY, asked.tenant, asked.subject) is None:
        raise BadRequest("subject, tenant: must have at least one character that can be printed, no others, and together at most 250")
    if asked.lifetime_s is not None and not 0 < asked.lifetime_s <= MAX_LIFETIME_S:
        raise BadRequest(f"expiresIn: must be above 0 and at most {MAX_LIFETIME_S} seconds, got {asked.lifetime_s:g}")
    now = time.time()
    id_, secret = secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)
    expires_at = None if asked.lifetime_s is None else now + asked.lifetime_s
    key = ApiKey(id_, _digest(secret), asked.name, asked.subject, asked.role, asked.plan, asked.tenant, asked.scopes, now, expires_at)
    return IssuedApiKey(key, f"{PREFIX}{id_}_{secret}")


class ApiKeys:
    """The keys of the database. What was found is known for a second, so a key that is revoked anywhere is valid nowhere soon after."""

    def __init__(self, store: Store, roles: Roles, plans: Collection[str]) -> None:
        self._store = store
        self._roles = roles
        self._plans = plans
        self._known: OrderedDict[str, tuple[ApiKey | None, float]] = OrderedDict()
        self._absent: OrderedDict[str, tuple[ApiKey | None, float]] = OrderedDict()
        self._asked: dict[str, asyncio.Task[ApiKey | None]] = {}
        self._used: dict[str, float] = {}

    def knows(self, credential: str) -> bool:
        """Whether this is a key that was found lately, and was valid then: it may have been revoked since."""
        form = _FORM.fullmatch(credential)
        key, _ = self._known.get(form[1], (None, 0.0)) if form is not None else (None, 0.0)
        return form is not None and key is not None and hmac.compare_digest(_digest(form[2]), key.digest) and key.is_valid(time.time())

    async def verify(self, credential: str) -> Identity | None:
        """Who a key was given to; None for what is no valid key. Raises ResourceError: the database cannot be asked now."""
        form = _FORM.fullmatch(credential)
        if form is None:
            return None
        key = await self._find(form[1])
        # Compared also where there is no such key: how long it takes must not tell which prefixes there are.
        is_right = hmac.compare_digest(_digest(form[2]), _NOBODY if key is None else key.digest)
        if key is None or not is_right or not key.is_valid(now := time.time()):
            return None
        subject = owner_of(API_KEY, key.tenant, key.subject)
        if subject is None:
            return None
        self._used[key.id] = now
        return Identity(subject, key.role, key.plan, key.tenant, f"{API_KEY}:{key.id}", key.expires_at, key.scopes)

    async def create(self, asked: NewApiKey, within: Permissions | None = None) -> IssuedApiKey:
        """Make a key and keep it. Raises BadRequest; Forbidden: it would grant what is not in `within`."""
        for name, value, known in (("role", asked.role, self._roles.names), ("plan", asked.plan, self._plans)):
            if value not in known:
                raise BadRequest(f"{name}: must be one of {', '.join(sorted(known))}, got {value[:MAX_NAME_CHARS]!r}")
        self._check_within(asked.role, asked.scopes, within)
        issued = _issue(asked)
        await self._store.write(partial(_add, key=issued.key))
        return issued

    async def page(self, tenant: str | None, first: int, after: str | None = None) -> Page[ApiKey]:
        """Keys, newest first; those of a tenant only, all for None. Raises BadRequest."""
        return await self._store.read(lambda connection: api_key_rows.page(connection, tenant, first, after))

    async def has_any(self) -> bool:
        """Whether there is a key that is not revoked."""
        return await self._store.read(api_key_rows.has_any)

    async def revoke(self, id_: str, tenant: str | None) -> ApiKey:
        """Let a key prove nothing from now on; one of a tenant only, any for None. Raises NotFound."""
        now = time.time()
        key = await self._owned(id_, tenant)
        await self._store.write(lambda connection: api_key_rows.revoke(connection, id_, now))
        self._known.pop(id_, None)
        return replace(key, revoked_at=now if key.revoked_at is None else key.revoked_at)

    async def rotate(
        self, id_: str, tenant: str | None, grace_s: float = 0.0, within: Permissions | None = None, plans: Collection[str] | None = None
    ) -> IssuedApiKey:
        """Make a key for what another is for; that one is valid for `grace_s` more. It expires when the other would have.

        Raises:
            NotFound: there is no such key, or it is not valid any more.
            Forbidden: it grants what is not in `within`, or a plan that is not in `plans`.
        """
        if not 0 <= grace_s <= MAX_LIFETIME_S:
            raise BadRequest(f"grace: must be 0 to {MAX_LIFETIME_S} seconds, got {grace_s:g}")
        old = await self._owned(id_, tenant)
        now = time.time()
        if not old.is_valid(now):
            raise NotFound("id: this key is not valid any more; make another")
        self._check_within(old.role, old.scopes, within)
        if plans is not None and old.plan not in plans:
            raise Forbidden(f"plan: the key has {old.plan!r}, and you may give {' or '.join(map(repr, plans))}; make another key")
        lifetime_s = None if old.expires_at is None else old.expires_at - now
        issued = _issue(NewApiKey(old.name, old.subject, old.role, old.plan, old.tenant, old.scopes, lifetime_s))
        await self._store.write(partial(_replace, key=issued.key, old=id_, end=now + grace_s, revoked=grace_s == 0))
        self._known.pop(id_, None)
        return issued

    def _check_within(self, role: str, scopes: frozenset[Permission] | None, within: Permissions | None) -> None:
        permissions = self._roles.permissions_of(role)
        if within is None:
            return
        if permissions is None:
            raise Forbidden(f"role: there is no role {role[:MAX_NAME_CHARS]!r} here any more; make another key")
        granted = permissions if scopes is None else replace(permissions, allowed=permissions.allowed & scopes)
        if (more := beyond(granted, within)) is not None:
            raise Forbidden(f"role: the key {more}, which you do not have yourself; choose another role, or narrow it by scopes")

    async def note_uses(self) -> None:
        """Write when keys were used, now and then, until cancelled."""
        while True:
            await asyncio.sleep(_NOTE_S)
            await self.flush()

    async def flush(self) -> None:
        """Write when keys were used."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.write(partial(api_key_rows.note_use, used=used))
        except Exception as error:  # it is known a minute later
            _log.warning("the last use of API keys could not be noted", error=str(error), exc_info=not isinstance(error, ResourceError))
            self._used = used | self._used

    async def _owned(self, id_: str, tenant: str | None) -> ApiKey:
        key = await self._store.read(lambda connection: api_key_rows.find(connection, id_)) if is_name(id_) else None
        if key is None or (tenant is not None and key.tenant != tenant):
            raise NotFound("id: there is no API key with this id; list them to see which there are")
        return key

    async def _find(self, id_: str) -> ApiKey | None:
        for cache in (self._known, self._absent):
            found = cache.get(id_)
            if found is not None and time.monotonic() < found[1]:
                cache.move_to_end(id_)
                return found[0]
        asking = self._asked.get(id_)
        if asking is None:  # of many who ask at the same time, one reads
            asking = self._asked[id_] = asyncio.create_task(self._read(id_))
            asking.add_done_callback(lambda _: self._asked.pop(id_))
            asking.add_done_callback(pass_over_error)
        return await asyncio.shield(asking)

    async def _read(self, id_: str) -> ApiKey | None:
        until = time.monotonic() + _KNOWN_S  # from before it was read
        key = await self._store.read(lambda connection: api_key_rows.find(connection, id_))
        cache, other = (self._absent, self._known) if key is None else (self._known, self._absent)
        other.pop(id_, None)
        cache[id_] = (key, until)
        cache.move_to_end(id_)
        if len(cache) > _CACHED:
            cache.popitem(last=False)
        return key


async def _add(connection: api_key_rows.AsyncConnection, key: ApiKey) -> None:
    await api_key_rows.add(connection, key)


async def _replace(connection: api_key_rows.AsyncConnection, key: ApiKey, old: str, end: float, revoked: bool) -> None:
    await api_key_rows.add(connection, key)
    if revoked:
        await api_key_rows.revoke(connection, old, end)
    else:
        await api_key_rows.end_at(connection, old, end)
