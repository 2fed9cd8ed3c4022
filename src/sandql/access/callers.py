"""Who is calling: a credential becomes a caller, or nothing does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sandql.access.access import Access
from sandql.access.api_keys import PREFIX, ApiKeys
from sandql.access.identity import Identity, InvalidTokenError, PermissionsOf
from sandql.core.errors import Unauthenticated
from sandql.core.log import get_logger
from sandql.core.settings import Settings, SettingsError
from sandql.core.values import Caller

if TYPE_CHECKING:
    from sandql.access.jwt import JwtVerifier

_log = get_logger(__name__)

MISSING: Final = "a credential is needed: send `Authorization: Bearer …` with a token or an API key, or `X-API-Key`"
INVALID: Final = "the credential is not valid"  # no more than that: why would help who forges one
ENDED: Final = "the credential is not valid any more"


class Authenticator:
    """Turns credentials into callers. Where none is `required`, who comes without one is the local caller; a wrong one is refused always."""

    def __init__(self, permissions_of: PermissionsOf, *, required: bool, tokens: JwtVerifier | None = None, api_keys: ApiKeys | None = None) -> None:
        self._permissions_of = permissions_of
        self._required = required
        self._tokens = tokens
        self._api_keys = api_keys

    def knows(self, credential: str | None) -> bool:
        """Whether this credential was found valid here and still seems so: to say that costs neither a signature nor a look into the database."""
        if credential is None:
            return not self._required
        if credential.startswith(PREFIX):
            return self._api_keys is not None and self._api_keys.knows(credential)
        return self._tokens is not None and self._tokens.knows(credential)

    async def authenticate(self, credential: str | None, address: str | None) -> Caller:
        """The caller whose credential it is.

        Raises:
            Unauthenticated: it proves nothing, or there is none and one is needed.
            ResourceError: the database cannot be asked now.
        """
        if credential is None:
            if self._required:
                raise Unauthenticated(MISSING)
            return Caller(address=address)
        identity = await self._identify(credential)
        permissions = None if identity is None else self._permissions_of(identity.role)
        if identity is None or permissions is None:
            if identity is not None:
                _log.warning("a caller has a role that is not known, and was refused", role=identity.role, credential=identity.credential)
            raise Unauthenticated(INVALID)
        if identity.scopes is not None:
            permissions = replace(permissions, allowed=permissions.allowed & identity.scopes)
        return Caller(
            subject=identity.subject,
            role=identity.role,
            plan=identity.plan,
            tenant=identity.tenant,
            permissions=permissions,
            credential=identity.credential,
            expires_at=identity.expires_at,
            address=address,
        )

    async def _identify(self, credential: str) -> Identity | None:
        if credential.startswith(PREFIX):
            return None if self._api_keys is None else await self._api_keys.verify(credential)
        if self._tokens is None:
            return None
        try:
            return await self._tokens.verify(credential)
        except InvalidTokenError as error:
            _log.debug("a token was refused", reason=str(error))
            return None


@asynccontextmanager
async def open_authenticator(settings: Settings, api_keys: ApiKeys | None, access: Access) -> AsyncGenerator[Authenticator]:
    """The authenticator that the settings ask for; an issuer's keys are kept fresh while it is open.

    Raises:
        SettingsError: a key cannot be used, or the settings contradict each other.
    """
    check_settings(settings)
    async with AsyncExitStack() as stack:
        tokens = await _open_tokens(settings, access, stack) if settings.has_tokens else None
        required = settings.requires_credentials
        has_keys = api_keys is not None and await api_keys.has_any()
        if required and tokens is None and not has_keys:
            _log.warning("nobody can come in yet: there is no API key; make one with `sandql keys create NAME`")
        elif has_keys and not required:
            _log.warning("there are API keys, and who comes without one may do everything all the same: set SANDQL_AUTH=required")
        elif not required:
            _log.info("callers need no credential, and each may do everything: docs/authentication.md says how to change that")
        yield Authenticator(access.roles.permissions_of, required=required, tokens=tokens, api_keys=api_keys)


async def _open_tokens(settings: Settings, access: Access, stack: AsyncExitStack) -> JwtVerifier:
    # The libraries for keys and for HTTP take a quarter of a second to import, and who has no tokens needs none.
    from sandql.access.jwks import open_jwks
    from sandql.access.jwt import JwtVerifier
    from sandql.access.jwt_keys import fixed_keys

    for name, given, known in (("ROLE", settings.jwt_default_role, access.roles.names), ("PLAN", settings.jwt_default_plan, sorted(access.plans))):
        if given not in known:
            raise SettingsError(f"SANDQL_JWT_DEFAULT_{name}: must be one of {', '.join(known)}, got {given[:100]!r}")
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        _log.warning("tokens meant for others are taken too: set SANDQL_JWT_ISSUER and SANDQL_JWT_AUDIENCE")
    if settings.jwt_jwks_url is not None:
        return JwtVerifier(await stack.enter_async_context(open_jwks(settings.jwt_jwks_url, settings)), settings)
    return JwtVerifier(fixed_keys(settings), settings)


def check_settings(settings: Settings) -> None:
    """Refuse settings that contradict each other. Raises SettingsError."""
    named = {
        "SANDQL_JWT_SECRET": settings.jwt_secret,
        "SANDQL_JWT_KEY_FILE": settings.jwt_key_file,
        "SANDQL_JWT_JWKS_URL": settings.jwt_jwks_url,
    }
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise SettingsError(f"{', '.join(given)}: only one of them can be set")
    if settings.auth == "none" and given:
        raise SettingsError(f"SANDQL_AUTH: none, and {given[0]} is set; leave one of them out")
    for name, value in (("SANDQL_JWT_ISSUER", settings.jwt_issuer), ("SANDQL_JWT_AUDIENCE", settings.jwt_audience)):
        if value is not None and not given:
            raise SettingsError(f"{name}: is for tokens, and there is nothing to verify them by; set one of {', '.join(named)}, or leave it out")
        if value == "":
            raise SettingsError(f"{name}: must not be empty; leave it out where tokens of any are taken")
    claims = [settings.jwt_subject_claim, settings.jwt_tenant_claim, settings.jwt_role_claim, settings.jwt_plan_claim]
    if "" in claims or len(set(claims)) < len(claims):
        raise SettingsError("SANDQL_JWT_SUBJECT_CLAIM, …_TENANT_CLAIM, …_ROLE_CLAIM, …_PLAN_CLAIM: must be four different names")
